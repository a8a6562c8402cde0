#include <cmath>
#include <numeric>

#include <boost/test/unit_test.hpp>

#include "spar/catalogue/output_law.hpp"

namespace {

using namespace spar;
using namespace spar::catalogue;

constexpr Index items = 40;
constexpr int shards = 8;
constexpr int draws = 9;
constexpr double power = 0.5;

std::uint32_t count_of(Index item) {
  return item % 4 == 3 ? 0U : static_cast<std::uint32_t>(1 + item * item);
}

// As the header defines it, before it is rounded to 1 / 4096.
double share_of(Index item) {
  double mean = 0;
  for (Index i = 0; i < items; ++i) mean += std::pow(count_of(i), power) / static_cast<double>(items);
  return 0.9 * std::pow(count_of(item), power) / mean + 0.1;
}

OutputLaw law_of(const comm::Communicator& communicator) {
  const ShardLayout layout{shards, communicator.size()};
  const Partition partition{items, shards};
  std::vector<std::uint32_t> counts;
  for (Index i = partition.begin(layout.first_shard(communicator.rank()));
       i < partition.begin(layout.end_shard(communicator.rank())); ++i)
    counts.push_back(count_of(i));
  return {communicator, layout, items, draws, counts, power};
}

DrawnItems drawn_of(const OutputLaw& law, int shard, int step) {
  DrawnItems drawn;
  law.draw(shard, {5, Purpose::negatives, 2, static_cast<std::uint32_t>(step), 3}, drawn);
  return drawn;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(output_law_by_popularity)

BOOST_AUTO_TEST_CASE(owners_draw_the_same_items_on_any_launch) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  const OutputLaw law = law_of(world);
  const OutputLaw expected = law_of(alone);
  BOOST_TEST(law.total_weight() == expected.total_weight());
  const ShardLayout layout{shards, world.size()};
  bool same = true;
  for (int step = 0; step < 50; ++step) {
    for (int s = layout.first_shard(world.rank()); s < layout.end_shard(world.rank()); ++s) {
      const DrawnItems a = drawn_of(law, s, step);
      const DrawnItems b = drawn_of(expected, s, step);
      same = same && a.rows == b.rows && a.log_weights == b.log_weights;
    }
  }
  BOOST_TEST(same);
}

BOOST_AUTO_TEST_CASE(items_are_drawn_as_often_as_their_weights_say_and_weighed_by_the_inverse) {
  const auto alone = comm::Communicator::alone();
  const OutputLaw law = law_of(alone);
  const Partition partition{items, shards};
  constexpr int steps = 20000;
  std::vector<double> times(items);
  std::vector<double> weights(items);
  for (int step = 0; step < steps; ++step) {
    double all = 0;
    for (int s = 0; s < shards; ++s) {
      const DrawnItems drawn = drawn_of(law, s, step);
      for (std::size_t k = 0; k < drawn.rows.size(); ++k) {
        const auto item = static_cast<std::size_t>(partition.begin(s) + drawn.rows[k]);
        const double weight = std::exp(static_cast<double>(drawn.log_weights[k]));
        const double often = weight * draws * share_of(static_cast<Index>(item)) / static_cast<double>(items);
        BOOST_TEST_REQUIRE(std::abs(often - std::round(often)) < 0.01 * often);
        times[item] += std::round(often);
        weights[item] += weight;
        all += std::round(often);
      }
    }
    BOOST_TEST_REQUIRE(all == draws);
  }
  for (std::size_t i = 0; i < times.size(); ++i) {
    const double expected = steps * draws * share_of(static_cast<Index>(i)) / static_cast<double>(items);
    BOOST_TEST(std::abs(times[i] - expected) < 4.5 * std::sqrt(expected) + 0.005 * expected);
    // So the mean of sum_j w_j f_j over the draws is the sum of f over the catalogue, whatever f.
    BOOST_TEST(std::abs(weights[i] / steps - 1.0) < 4.5 / std::sqrt(expected));
  }
}

BOOST_AUTO_TEST_SUITE_END()
