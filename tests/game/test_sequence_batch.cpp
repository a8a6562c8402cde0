#include <algorithm>
#include <set>

#include <boost/test/unit_test.hpp>

#include "spar/game/sequence_batch.hpp"

namespace {

using namespace spar;
using Roles = game::SequenceRoles;

constexpr Index total_items = 12;

// Users with histories of 1, 2, 5, 3, 12 (all) and 0 items; global rows from 100 on.
data::UserLists lists() {
  const std::vector<std::vector<ItemId>> histories{
      {7}, {3, 1}, {9, 0, 4, 2, 11}, {5, 8, 6}, {0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11}, {}};
  data::UserLists all;
  all.first_user = 100;
  for (auto history : histories) {
    all.by_time.insert(all.by_time.end(), history.begin(), history.end());
    std::sort(history.begin(), history.end());
    all.items.insert(all.items.end(), history.begin(), history.end());
    all.offsets.push_back(all.offsets.back() + static_cast<std::int64_t>(history.size()));
  }
  return all;
}

game::SequenceSource source(const data::UserLists& of, int length, int negatives, std::uint64_t seed = 1) {
  return {of, 0, of.users(), 0, total_items, seed, length, negatives};
}

std::vector<ItemId> inputs_of(const game::NeuralBatch& batch, int row) {
  std::vector<ItemId> items;
  for (int p = row * batch.length; p < (row + 1) * batch.length; ++p) {
    const auto at = static_cast<std::size_t>(p);
    if (batch.valid[at] != 0)
      items.push_back(static_cast<ItemId>(batch.rows[0][static_cast<std::size_t>(batch.slots[Roles::inputs][at])]));
  }
  return items;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sequence_batches)

BOOST_AUTO_TEST_CASE(each_user_with_two_items_comes_once_an_epoch_and_one_with_every_item_is_counted) {
  const auto of = lists();
  auto sequences = source(of, 4, 1);
  BOOST_TEST(sequences.entries() == 4);
  std::set<std::vector<Index>> orders;
  for (std::int64_t epoch = 0; epoch < 6; ++epoch) {
    sequences.begin_epoch(epoch);
    std::vector<Index> users;
    for (std::int64_t step = 0; step < 3; ++step) {
      game::NeuralBatch batch;
      sequences.draw(step, 3, batch);
      users.insert(users.end(), batch.samples.begin(), batch.samples.end());
    }
    orders.insert(users);
    std::sort(users.begin(), users.end());
    BOOST_TEST(users == (std::vector<Index>{101, 102, 103}), boost::test_tools::per_element());
    BOOST_TEST(sequences.skipped() == 1);
  }
  BOOST_TEST(orders.size() > 1U);
}

BOOST_AUTO_TEST_CASE(targets_follow_their_inputs_and_padding_stands_in_front) {
  const auto of = lists();
  auto sequences = source(of, 3, 2);
  sequences.begin_epoch(0);
  game::NeuralBatch batch;
  sequences.draw(0, 1, batch);
  BOOST_TEST(batch.length == 3);
  BOOST_TEST(batch.examples == 1 + 3 + 2);
  std::size_t target = 0;
  for (int row = 0; row < 3; ++row) {
    const Index user = batch.samples[static_cast<std::size_t>(row)] - of.first_user;
    const auto history = of.history(user);
    const std::size_t count = std::min<std::size_t>(3, history.size() - 1);
    const auto expected = history.last(count + 1).first(count);
    BOOST_TEST(inputs_of(batch, row) == std::vector<ItemId>(expected.begin(), expected.end()),
               boost::test_tools::per_element());
    for (int p = 0; p < 3; ++p)
      BOOST_TEST((batch.valid[static_cast<std::size_t>(3 * row + p)] != 0) == (p >= 3 - static_cast<int>(count)));
    for (std::size_t k = 0; k < count; ++k, ++target) {
      const auto item = [&](std::size_t role) {
        return static_cast<ItemId>(batch.rows[0][static_cast<std::size_t>(batch.slots[role][target])]);
      };
      BOOST_TEST(batch.slots[Roles::places][target] == 3 * row + 3 - static_cast<int>(count - k));
      BOOST_TEST(item(Roles::targets) == history.last(count)[k]);
      for (const std::size_t role : {Roles::first_negative, Roles::first_negative + 1})
        BOOST_TEST(!of.contains(user, item(role)));
    }
  }
  BOOST_TEST(target == static_cast<std::size_t>(batch.examples));
  const std::set<Index> distinct(batch.rows[0].begin(), batch.rows[0].end());
  BOOST_TEST(distinct.size() == batch.rows[0].size());
}

BOOST_AUTO_TEST_CASE(draws_are_functions_of_seed_epoch_and_step) {
  const auto of = lists();
  auto one = source(of, 4, 3);
  auto other = source(of, 4, 3);
  auto reseeded = source(of, 4, 3, 2);
  game::NeuralBatch a, b, c;
  one.begin_epoch(0);
  one.draw(0, 2, a);
  one.begin_epoch(3);
  one.draw(1, 2, a);
  other.begin_epoch(3);
  other.draw(1, 2, b);
  BOOST_TEST((a.slots == b.slots && a.rows == b.rows && a.samples == b.samples));
  reseeded.begin_epoch(3);
  reseeded.draw(1, 2, c);
  BOOST_TEST((a.rows != c.rows || a.slots != c.slots));
}

BOOST_AUTO_TEST_CASE(a_batch_of_histories_holds_the_newest_items_and_points_at_the_last) {
  const std::vector<std::vector<ItemId>> histories{{4}, {1, 2, 3, 4, 5}, {5, 1}};
  game::HistoryBatcher batcher(3);
  game::NeuralBatch batch;
  batcher.fill(histories, batch);
  BOOST_TEST(batch.length == 3);
  BOOST_TEST(inputs_of(batch, 0) == (std::vector<ItemId>{4}), boost::test_tools::per_element());
  BOOST_TEST(inputs_of(batch, 1) == (std::vector<ItemId>{3, 4, 5}), boost::test_tools::per_element());
  BOOST_TEST(inputs_of(batch, 2) == (std::vector<ItemId>{5, 1}), boost::test_tools::per_element());
  BOOST_TEST(batch.slots[Roles::places] == (std::vector<std::int32_t>{2, 5, 8}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
