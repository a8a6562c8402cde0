#include <algorithm>
#include <cmath>

#include <boost/test/unit_test.hpp>

#include "spar/catalogue/output_law.hpp"

namespace {

using namespace spar;
using namespace spar::catalogue;

tape::NoiseKey key_of(std::uint32_t step) {
  return {5, Purpose::negatives, 2, step, 3};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(output_law)

BOOST_AUTO_TEST_CASE(shards_draw_all_of_a_step_together_and_each_its_exact_share_in_the_mean) {
  for (const std::int64_t draws : {1, 3, 50, 101}) {
    constexpr Index items = 101;
    const OutputLaw law({8, 1}, items, draws);
    BOOST_TEST(law.total_weight() == items);
    std::vector<std::int64_t> sums(8);
    for (std::int64_t offset = 0; offset < items; ++offset) {
      std::int64_t all = 0;
      for (int s = 0; s < 8; ++s) {
        const std::int64_t share = law.share(s, offset);
        BOOST_TEST((share >= 0 && share <= Partition{items, 8}.size(s)));
        sums[static_cast<std::size_t>(s)] += share;
        all += share;
      }
      BOOST_TEST(all == draws);
    }
    for (int s = 0; s < 8; ++s) BOOST_TEST((sums[static_cast<std::size_t>(s)] == draws * Partition{items, 8}.size(s)));
  }
}

BOOST_AUTO_TEST_CASE(catalogues_of_any_size_have_shares_without_overflow) {
  const Index items = Index{1} << 40;
  const OutputLaw law({1024, 1}, items, Index{1} << 30);
  std::int64_t all = 0;
  for (int s = 0; s < 1024; ++s) all += law.share(s, items - 1);
  BOOST_TEST(all == Index{1} << 30);
}

BOOST_AUTO_TEST_CASE(the_uniform_law_draws_distinct_items_each_as_often) {
  constexpr Index items = 53;
  constexpr int steps = 20000;
  const OutputLaw law({4, 1}, items, 11);
  std::vector<int> times(items);
  DrawnItems drawn;
  for (int step = 0; step < steps; ++step) {
    std::size_t all = 0;
    for (int s = 0; s < 4; ++s) {
      law.draw(s, key_of(static_cast<std::uint32_t>(step)), drawn);
      all += drawn.rows.size();
      BOOST_TEST_REQUIRE(
          (std::adjacent_find(drawn.rows.begin(), drawn.rows.end(), std::greater_equal<>()) == drawn.rows.end()));
      BOOST_TEST_REQUIRE(std::count(drawn.taken.begin(), drawn.taken.end(), true) == drawn.count());
      for (int k = 0; k < drawn.count(); ++k) {
        const std::int32_t row = drawn.rows[static_cast<std::size_t>(k)];
        BOOST_TEST_REQUIRE(drawn.place(row) == k);
        ++times[static_cast<std::size_t>(Partition{items, 4}.begin(s) + row)];
      }
      for (const float weight : drawn.log_weights)
        BOOST_TEST_REQUIRE(weight == static_cast<float>(std::log(53.0 / 11)));
    }
    BOOST_TEST_REQUIRE(all == 11U);
  }
  const double p = 11.0 / 53.0;
  for (const int t : times) BOOST_TEST(std::abs(t - p * steps) < 4.5 * std::sqrt(p * (1 - p) * steps));
}

BOOST_AUTO_TEST_SUITE_END()
