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

BOOST_AUTO_TEST_SUITE_END()
