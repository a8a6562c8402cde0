#include <map>
#include <set>

#include "toy_game.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/game/neural_batch.hpp"

namespace {

using namespace spar;
using game::NeuralBatch;

const test::ToyData toy;
constexpr std::int64_t steps = 9;
constexpr int per_positive = 3;

}  // namespace

BOOST_AUTO_TEST_SUITE(neural_batch)

BOOST_AUTO_TEST_CASE(every_positive_comes_once_an_epoch_with_negatives_that_its_user_lacks) {
  const Index first = 40;
  const data::UserLists lists = toy.lists(first, first + 60);
  game::PointSource source(lists, 5, 50, 2, toy.items, 1, per_positive);
  source.begin_epoch(4);
  std::map<std::pair<Index, Index>, int> seen;
  NeuralBatch batch;
  std::set<Index> samples;
  int negatives = 0;
  for (std::int64_t step = 0; step < steps; ++step) {
    source.draw(step, steps, batch);
    BOOST_REQUIRE(batch.labels.size() == static_cast<std::size_t>(batch.examples));
    BOOST_REQUIRE(batch.slots.size() == 2U);
    BOOST_TEST(std::set<Index>(batch.rows[0].begin(), batch.rows[0].end()).size() == batch.rows[0].size());
    BOOST_TEST(std::set<Index>(batch.rows[1].begin(), batch.rows[1].end()).size() == batch.rows[1].size());
    for (std::size_t k = 0; k < batch.labels.size(); ++k) {
      const Index user = batch.rows[0][static_cast<std::size_t>(batch.slots[0][k])];
      const Index item = batch.rows[1][static_cast<std::size_t>(batch.slots[1][k])];
      BOOST_TEST(user >= first + 5);
      BOOST_TEST(user < first + 55);
      BOOST_TEST(toy.has(user, item) == (batch.labels[k] == 1.0F));
      BOOST_TEST((batch.labels[k] == 1.0F) == (k % (1 + per_positive) == 0));
      if (batch.labels[k] == 1.0F) ++seen[{user, item}];
      negatives += batch.labels[k] == 0.0F ? 1 : 0;
      BOOST_TEST(samples.insert(batch.samples[k]).second);
    }
  }
  std::int64_t expected = 0;
  for (Index u = 5; u < 55; ++u) {
    const auto items = lists.of(u);
    if (static_cast<Index>(items.size()) == toy.items) continue;  // nothing is left to draw for them
    expected += static_cast<std::int64_t>(items.size());
    for (const ItemId item : items) BOOST_TEST((seen[{first + u, item}]) == 1);
  }
  BOOST_TEST(negatives == expected * per_positive);
  BOOST_TEST(source.skipped() == source.entries() - expected);
}

BOOST_AUTO_TEST_CASE(a_draw_is_a_function_of_epoch_and_step) {
  const data::UserLists lists = toy.lists(0, toy.users);
  game::PointSource once(lists, 0, 100, 1, toy.items, 1, per_positive);
  game::PointSource again(lists, 0, 100, 1, toy.items, 1, per_positive);
  NeuralBatch a;
  NeuralBatch b;
  once.begin_epoch(0);
  for (std::int64_t step = 0; step < steps; ++step) once.draw(step, steps, a);
  once.begin_epoch(3);
  once.draw(5, steps, a);
  again.begin_epoch(3);
  again.draw(5, steps, b);
  BOOST_TEST((a.rows == b.rows));
  BOOST_TEST((a.slots == b.slots));
  BOOST_TEST((a.samples == b.samples));
  again.begin_epoch(4);
  again.draw(5, steps, b);
  BOOST_TEST((a.rows != b.rows));
}

BOOST_AUTO_TEST_CASE(pairs_are_the_triples_of_the_sampler) {
  const data::UserLists lists = toy.lists(10, 90);
  game::PairSource source(lists, 0, 80, 3, toy.items, 2);
  source.begin_epoch(1);
  NeuralBatch batch;
  source.draw(2, steps, batch);
  BOOST_TEST(batch.examples > 20);
  for (std::size_t k = 0; k < static_cast<std::size_t>(batch.examples); ++k) {
    const Index user = batch.rows[0][static_cast<std::size_t>(batch.slots[0][k])];
    BOOST_TEST(toy.has(user, batch.rows[1][static_cast<std::size_t>(batch.slots[1][k])]));
    BOOST_TEST(!toy.has(user, batch.rows[1][static_cast<std::size_t>(batch.slots[2][k])]));
  }
}

// The first is the negative as it would be without others, and none is an item that the user has.
BOOST_AUTO_TEST_CASE(candidates_of_a_negative_are_further_draws_of_its_law) {
  const data::UserLists lists = toy.lists(10, 90);
  const data::ItemLaw law(toy.items, {.candidates = 4});
  game::PairSource plain(lists, 0, 80, 3, toy.items, 2);
  game::PairSource pairs(lists, 0, 80, 3, toy.items, 2);
  game::PointSource points(lists, 0, 80, 3, toy.items, 2, per_positive);
  pairs.use_law(&law);
  points.use_law(&law);
  BOOST_TEST(pairs.most_rows_per_entry() == 5);
  BOOST_TEST(points.most_rows_per_entry() == 1 + 4 * per_positive);
  NeuralBatch expected;
  NeuralBatch batch;
  std::set<std::vector<Index>> different;
  int drawn = 0;
  const auto check = [&](std::size_t role) {
    const game::Contest& contest = batch.contest;
    BOOST_TEST(contest.each == 4);
    BOOST_TEST(contest.role == role);
    BOOST_TEST(contest.query_roles == 1U);
    BOOST_TEST(contest.slots.size() == 4 * contest.examples.size());
    for (std::size_t e = 0; e < contest.examples.size(); ++e) {
      const auto example = static_cast<std::size_t>(contest.examples[e]);
      BOOST_TEST(contest.slots[4 * e] == batch.slots[role][example]);
      std::vector<Index> items;
      for (std::size_t c = 0; c < 4; ++c) {
        items.push_back(batch.rows[1][static_cast<std::size_t>(contest.slots[4 * e + c])]);
        BOOST_TEST(!toy.has(batch.rows[0][static_cast<std::size_t>(batch.slots[0][example])], items.back()));
      }
      ++drawn;
      different.insert(items);
    }
    BOOST_TEST(std::set<Index>(batch.rows[1].begin(), batch.rows[1].end()).size() == batch.rows[1].size());
  };
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    plain.begin_epoch(epoch);
    pairs.begin_epoch(epoch);
    points.begin_epoch(epoch);
    for (std::int64_t step = 0; step < steps; ++step) {
      plain.draw(step, steps, expected);
      pairs.draw(step, steps, batch);
      BOOST_TEST((batch.slots == expected.slots));
      BOOST_TEST((expected.contest.each == 1 && expected.contest.slots.empty()));
      BOOST_TEST(batch.contest.examples.size() == static_cast<std::size_t>(batch.examples));
      check(2);
      points.draw(step, steps, batch);
      for (const std::int32_t example : batch.contest.examples)
        BOOST_TEST(batch.labels[static_cast<std::size_t>(example)] == 0.0F);
      BOOST_TEST(batch.contest.examples.size() * (1 + per_positive) == batch.labels.size() * per_positive);
      check(1);
    }
  }
  BOOST_TEST(static_cast<int>(different.size()) > drawn * 9 / 10);
}

BOOST_AUTO_TEST_SUITE_END()
