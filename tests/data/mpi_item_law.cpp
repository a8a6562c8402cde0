#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "spar/base/random.hpp"
#include "spar/data/item_law.hpp"
#include "spar/data/triple_sampler.hpp"

namespace {

using namespace spar;

// Chi-square by its degrees of freedom, as a number of standard deviations (Wilson and Hilferty 1931).
double deviations(double chi_square, double freedom) {
  const double spread = 2.0 / (9.0 * freedom);
  return (std::cbrt(chi_square / freedom) - (1.0 - spread)) / std::sqrt(spread);
}

std::vector<std::uint32_t> counts() {
  std::vector<std::uint32_t> counts;
  for (std::uint32_t k = 0; k < 300; ++k) counts.push_back(k % 7 == 3 ? 0 : 1 + 4000 / (1 + k));
  return counts;
}

// As training lists name them, in whatever order.
std::vector<ItemId> named(const std::vector<std::uint32_t>& counts) {
  std::vector<ItemId> items;
  for (std::size_t k = counts.size(); k-- > 0;) items.insert(items.end(), counts[k], static_cast<ItemId>(k));
  return items;
}

data::Popularity popularity(const std::vector<std::uint32_t>& counts, double power, int shards = 8) {
  return {comm::Communicator::alone(), {shards, 1}, static_cast<Index>(counts.size()), named(counts), power};
}

data::ItemLaw law_of(const std::vector<std::uint32_t>& counts, double power, data::LawOptions options = {}) {
  return data::ItemLaw(std::make_shared<data::Popularity>(popularity(counts, power)), options);
}

double deviation_of(const std::vector<std::int64_t>& drawn, const std::vector<double>& weights) {
  double weight = 0.0;
  double draws = 0.0;
  for (const double w : weights) weight += w;
  for (const std::int64_t n : drawn) draws += static_cast<double>(n);
  double chi_square = 0.0;
  double cells = -1.0;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    if (weights[k] == 0.0) {
      BOOST_TEST(drawn[k] == 0);
      continue;
    }
    const double expected = draws * weights[k] / weight;
    chi_square += (static_cast<double>(drawn[k]) - expected) * (static_cast<double>(drawn[k]) - expected) / expected;
    cells += 1.0;
  }
  return deviations(chi_square, cells);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(item_law)

BOOST_AUTO_TEST_CASE(items_are_drawn_in_proportion_to_a_power_of_their_counts_and_never_without_any) {
  for (const double power : {0.25, 0.75, 1.0, 2.0}) {
    for (const int shards : {1, 16}) {
      const data::Popularity law = popularity(counts(), power, shards);
      std::vector<double> weights;
      Index drawable = 0;
      for (const std::uint32_t count : counts()) {
        weights.push_back(count == 0 ? 0.0 : std::pow(count, power));
        drawable += count == 0 ? 0 : 1;
      }
      BOOST_TEST(law.drawable() == drawable);
      std::vector<std::int64_t> drawn(weights.size());
      const RandomStream stream(3, Purpose::negatives);
      for (std::uint32_t k = 0; k < 1000000; ++k) {
        ++drawn[law.item(stream.block(k))];
      }
      BOOST_TEST(std::abs(deviation_of(drawn, weights)) < 4.0, "power " << power << ", shards " << shards);
    }
  }
}

// Two shards of three items: half of the weight lies with the first, whose last item has none.
BOOST_AUTO_TEST_CASE(a_draw_takes_a_shard_by_one_word_and_an_item_of_it_by_the_other) {
  const data::Popularity law = popularity({3, 1, 0, 0, 0, 4}, 1.0, 2);
  BOOST_TEST(law.drawable() == 3);
  BOOST_TEST(law.complete());
  BOOST_TEST(law.shard(0) == 0);
  BOOST_TEST(law.shard(~std::uint64_t{0}) == 1);
  BOOST_TEST(law.item(0, 0) == 0U);
  std::array<double, 6> share{};
  constexpr int points = 12000;
  for (int k = 0; k < points; ++k) {
    const auto word = static_cast<std::uint64_t>((k + 0.5) / points * 0x1.0p64);
    share[law.item(0, word)] += 1.0 / points;
    BOOST_TEST(law.item(1, word) == 5U);
  }
  BOOST_TEST(share[0] == 0.75, boost::test_tools::tolerance(1e-3));
  BOOST_TEST(share[1] == 0.25, boost::test_tools::tolerance(1e-3));
  BOOST_TEST(share[2] == 0.0);
}

BOOST_AUTO_TEST_CASE(negatives_follow_the_law_outside_the_users_own_items) {
  const auto all = counts();
  data::UserLists lists;
  for (const ItemId item : {0, 1, 5, 40, 200}) lists.items.push_back(item);
  for (int k = 0; k < 20; ++k) lists.items.push_back(static_cast<ItemId>(201 + k));
  lists.offsets = {0, static_cast<std::int64_t>(lists.items.size())};
  const data::ItemLaw law = law_of(all, 0.75);
  data::TripleSampler sampler(lists, 0, 1, 0, static_cast<Index>(all.size()), 5);
  sampler.use_law(&law);
  std::vector<double> weights;
  for (std::size_t k = 0; k < all.size(); ++k) {
    const bool own = lists.contains(0, static_cast<ItemId>(k));
    weights.push_back(own || all[k] == 0 ? 0.0 : std::pow(all[k], 0.75));
  }
  std::vector<std::int64_t> drawn(weights.size());
  data::MicroBatch batch;
  for (std::int64_t epoch = 0; epoch < 20000; ++epoch) {
    sampler.begin_epoch(epoch);
    sampler.sample(0, 1, batch);
    for (const std::int32_t slot : batch.negative)
      ++drawn[static_cast<std::size_t>(batch.items[static_cast<std::size_t>(slot)])];
  }
  BOOST_TEST(std::abs(deviation_of(drawn, weights)) < 4.0);
}

BOOST_AUTO_TEST_CASE(a_user_who_has_all_that_can_be_drawn_is_left_out) {
  data::UserLists lists;
  for (const ItemId item : {1, 2}) lists.items.push_back(item);
  lists.offsets = {0, 2};
  const std::vector<std::uint32_t> only{0, 4, 1, 0, 0};
  const data::ItemLaw law = law_of(only, 1.0);
  data::TripleSampler sampler(lists, 0, 1, 0, 5, 5);
  sampler.use_law(&law);
  data::MicroBatch batch;
  sampler.begin_epoch(0);
  sampler.sample(0, 1, batch);
  BOOST_TEST(batch.triples() == 0);
  BOOST_TEST(sampler.skipped() == 2);
}

BOOST_AUTO_TEST_CASE(own_items_that_may_be_negatives_are_drawn_as_the_law_says) {
  const auto all = counts();
  data::UserLists lists;
  for (ItemId item = 0; item < 60; ++item) lists.items.push_back(item);
  lists.offsets = {0, 60};
  const auto total = static_cast<Index>(all.size());
  const data::LawOptions own{.own_items = true};
  for (const data::ItemLaw& law : {data::ItemLaw(total, own), law_of(all, 0.75, own)}) {
    data::TripleSampler sampler(lists, 0, 1, 0, total, 5);
    sampler.use_law(&law);
    std::vector<std::int64_t> drawn(all.size());
    data::MicroBatch batch;
    for (std::int64_t epoch = 0; epoch < 5000; ++epoch) {
      sampler.begin_epoch(epoch);
      sampler.sample(0, 1, batch);
      for (const std::int32_t slot : batch.negative)
        ++drawn[static_cast<std::size_t>(batch.items[static_cast<std::size_t>(slot)])];
    }
    std::vector<double> weights(all.size(), 1.0);
    if (law.drawable() != total)
      for (std::size_t k = 0; k < all.size(); ++k) weights[k] = all[k] == 0 ? 0.0 : std::pow(all[k], 0.75);
    BOOST_TEST(std::abs(deviation_of(drawn, weights)) < 4.0);
  }
}

BOOST_AUTO_TEST_CASE(whoever_has_every_item_keeps_his_triples_where_own_items_may_be_negatives) {
  data::UserLists lists;
  for (ItemId item = 0; item < 5; ++item) lists.items.push_back(item);
  lists.offsets = {0, 5};
  const data::ItemLaw law(5, {.own_items = true});
  data::TripleSampler sampler(lists, 0, 1, 0, 5, 5);
  sampler.use_law(&law);
  data::MicroBatch batch;
  sampler.begin_epoch(0);
  sampler.sample(0, 1, batch);
  BOOST_TEST(batch.triples() == 5);
  BOOST_TEST(sampler.skipped() == 0);
}

BOOST_AUTO_TEST_CASE(the_uniform_law_draws_what_is_drawn_without_a_law) {
  data::UserLists lists;
  for (const ItemId item : {1, 5, 17, 30, 31}) lists.items.push_back(item);
  lists.offsets = {0, 5};
  const data::ItemLaw law(40);
  data::TripleSampler by_law(lists, 0, 1, 0, 40, 5);
  data::TripleSampler without(lists, 0, 1, 0, 40, 5);
  by_law.use_law(&law);
  data::MicroBatch a;
  data::MicroBatch b;
  for (std::int64_t epoch = 0; epoch < 50; ++epoch) {
    by_law.begin_epoch(epoch);
    without.begin_epoch(epoch);
    by_law.sample(0, 1, a);
    without.sample(0, 1, b);
    BOOST_TEST((a.items == b.items && a.negative == b.negative && a.positive == b.positive));
  }
}

BOOST_AUTO_TEST_SUITE_END()
