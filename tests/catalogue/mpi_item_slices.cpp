#include <cmath>
#include <cstring>
#include <map>

#include <boost/test/unit_test.hpp>

#include "spar/base/shard_tree.hpp"
#include "spar/base/threads.hpp"
#include "spar/catalogue/item_slices.hpp"
#include "spar/catalogue/shard_sums.hpp"
#include "spar/catalogue/slice_batch.hpp"

namespace {

using namespace spar;
using namespace spar::catalogue;

constexpr Index users = 101;
constexpr Index items = 53;
constexpr int shards = 8;

bool has(Index u, Index i) {
  return u % 9 != 4 && (u * 5 + i * 3) % 7 < 2;
}
float value(Index u, Index i) {
  return static_cast<float>(1 + (u * 3 + i) % 5);
}

data::UserLists lists_of(Index first, Index end, std::vector<float>* values) {
  data::UserLists lists;
  lists.first_user = first;
  for (Index u = first; u < end; ++u) {
    for (Index i = 0; i < items; ++i) {
      if (!has(u, i)) continue;
      lists.items.push_back(static_cast<ItemId>(i));
      if (values != nullptr) values->push_back(value(u, i));
    }
    lists.offsets.push_back(static_cast<std::int64_t>(lists.items.size()));
  }
  return lists;
}

ItemSlices slices_of(const comm::Communicator& world, const ShardLayout& layout, bool with_values, std::int64_t round) {
  const Partition partition{users, shards};
  std::vector<float> values;
  const auto own = lists_of(partition.begin(layout.first_shard(world.rank())),
                            partition.begin(layout.end_shard(world.rank())), &values);
  return {world, layout, users, items, own, with_values ? std::span<const float>(values) : std::span<const float>{},
          round};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(item_slices)

BOOST_AUTO_TEST_CASE(each_rank_has_its_items_of_every_user_whatever_the_rounds) {
  const auto world = comm::Communicator::world();
  const ShardLayout layout{shards, world.size()};
  const Partition partition{items, shards};
  const Index low = partition.begin(layout.first_shard(world.rank()));
  const Index high = partition.begin(layout.end_shard(world.rank()));
  for (const bool with_values : {false, true}) {
    for (const std::int64_t round : {std::int64_t{1}, std::int64_t{40}, std::int64_t{1} << 20}) {
      const ItemSlices slices = slices_of(world, layout, with_values, round);
      bool same = true;
      for (Index u = 0; u < users; ++u) {
        std::vector<ItemId> expected;
        std::vector<float> numbers;
        for (Index i = low; i < high; ++i) {
          if (!has(u, i)) continue;
          expected.push_back(static_cast<ItemId>(i));
          if (with_values) numbers.push_back(value(u, i));
        }
        const auto cells = slices.of(u);
        same &= std::equal(expected.begin(), expected.end(), cells.items.begin(), cells.items.end());
        same &= std::equal(numbers.begin(), numbers.end(), cells.values.begin(), cells.values.end());
        const auto part = slices.of(u, low + 1, high - 1);
        for (const ItemId i : part.items) same &= i > low && static_cast<Index>(i) < high - 1;
        same &= part.items.size() <= cells.items.size() && part.items.size() + 2 >= cells.items.size();
      }
      BOOST_TEST(same);
    }
  }
}

// Every input is kept or dropped by its user and item, and negatives fall where they fall, whatever the shards.
BOOST_AUTO_TEST_CASE(corruption_and_negatives_do_not_depend_on_how_the_items_are_cut) {
  const auto alone = comm::Communicator::alone();
  std::vector<Index> batch_users{3, 100, 4, 57};
  const std::vector<float> positives{16.0F, 15.0F, 0.0F, 15.0F};
  const Corruption corruption{0.5, {7, Purpose::dropout, 1, 2, 3}};
  std::vector<std::map<std::pair<int, Index>, float>> inputs, cells;
  for (const int count : {1, 4, 16}) {
    const ShardLayout layout{count, 1};
    const ItemSlices slices(alone, layout, users, items, lists_of(0, users, nullptr));
    const table::Table table("item", items, layout, 0, {4, false, 0}, {});
    auto& in = inputs.emplace_back();
    auto& drawn = cells.emplace_back();
    for (int s = 0; s < count; ++s) {
      const SliceRows rows = slice_rows(table, s);
      SliceBatch batch, with;
      list_batch(slices, rows, batch_users, corruption, batch);
      add_negatives(batch, rows, items, batch_users, positives, 2.0, {7, Purpose::negatives, 1, 2, 3}, with);
      BOOST_TEST(batch.users() == 4);
      BOOST_TEST(with.users() == 4);
      for (int u = 0; u < 4; ++u) {
        const auto begin = static_cast<std::size_t>(batch.offsets[static_cast<std::size_t>(u)]);
        for (std::size_t k = 0; k < batch.items_of(u).size(); ++k)
          in[{u, rows.first + batch.items_of(u)[k]}] = batch.inputs[begin + k];
        const auto at = static_cast<std::size_t>(with.offsets[static_cast<std::size_t>(u)]);
        for (std::size_t k = 0; k < with.items_of(u).size(); ++k)
          drawn[{u, rows.first + with.items_of(u)[k]}] = with.values[at + k];
      }
    }
  }
  BOOST_TEST((inputs[0] == inputs[1] && inputs[0] == inputs[2]));
  BOOST_TEST((cells[0] == cells[1] && cells[0] == cells[2]));
  int kept = 0, negatives = 0;
  for (const auto& [cell, input] : inputs[0]) {
    BOOST_TEST((input == 0.0F || input == 2.0F));
    kept += input != 0.0F;
  }
  BOOST_TEST(kept > 10);
  BOOST_TEST(kept < static_cast<int>(inputs[0].size()) - 10);
  for (const auto& [cell, x] : cells[0]) {
    const bool positive = has(batch_users[static_cast<std::size_t>(cell.first)], cell.second);
    BOOST_TEST((x == 1.0F) == positive);
    negatives += !positive;
  }
  BOOST_TEST(negatives > 20);
  BOOST_TEST(negatives <= 92);
}

BOOST_AUTO_TEST_CASE(sums_reach_the_homes_along_the_shard_tree_on_any_launch) {
  const auto world = comm::Communicator::world();
  for (const int count : {4, 8, 16}) {
    const ShardLayout layout{count, world.size()};
    RowsByShard rows;
    for (int s = 0; s < count; ++s) rows.begin.push_back(rows.rows() + s % 3);
    constexpr int width = 16;
    const auto floats = static_cast<std::size_t>(rows.rows()) * width;
    const auto number = [](int shard, std::size_t k) {
      return static_cast<float>(std::sin(static_cast<double>(shard) * 91.0 + static_cast<double>(k)));
    };
    std::vector<float> expected(floats);
    for (std::size_t k = 0; k < floats; ++k) {
      std::vector<float> x;
      for (int s = 0; s < count; ++s) x.push_back(number(s, k));
      tree_reduce(
          count, [](int s) { return s; },
          [&](int a, int b) { x[static_cast<std::size_t>(a)] += x[static_cast<std::size_t>(b)]; });
      expected[k] = x[0];
    }
    for (const int thread_count : {1, 2}) {
      set_threads(thread_count);
      ShardSums sums(world, layout);
      for (int again = 0; again < 2; ++again) {
        sums.add_up(floats, [&](int k, int, float* room) {
          for (std::size_t c = 0; c < floats; ++c) room[c] = number(layout.first_shard(world.rank()) + k, c);
        });
        std::vector<float> all(floats);
        const auto first = static_cast<std::size_t>(rows.first_of_rank(layout, world.rank())) * width;
        sums.to_homes(rows, width, all.data() + first);
        share_rows(world, layout, rows, width, all.data());
        BOOST_TEST((all == expected));
      }
    }
    set_threads(1);
  }
}

BOOST_AUTO_TEST_CASE(log_sums_merge_to_the_same_bits_on_any_launch) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  const auto merged = [](const comm::Communicator& c) {
    const ShardLayout layout{shards, c.size()};
    std::vector<LogSum> own;
    for (int s = layout.first_shard(c.rank()); s < layout.end_shard(c.rank()); ++s) {
      own.push_back(s == 2 ? LogSum::none() : LogSum{std::sin(s) * 30.0, 1.0 + s});
      own.push_back(LogSum::none());
    }
    return merge_log_sums(c, layout, 2, own);
  };
  const auto here = merged(world);
  const auto expected = merged(alone);
  BOOST_TEST(here[0].largest == expected[0].largest);
  BOOST_TEST(here[0].sum == expected[0].sum);
  BOOST_TEST(here[1].sum == 0.0);
  BOOST_TEST(std::isfinite(here[0].log()));
}

BOOST_AUTO_TEST_SUITE_END()
