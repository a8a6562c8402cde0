#pragma once
#include <array>
#include <numeric>
#include <string>
#include <vector>

#include "spar/base/random.hpp"
#include "spar/base/sharding.hpp"
#include "spar/data/dataset_writer.hpp"

namespace spar::test {

/// A small random data set in plain memory: lists[part][user] has ascending distinct items.
struct SampleDataset {
  Index users = 0;
  Index items = 0;
  bool has_ratings = false;
  bool has_times = false;
  bool has_negatives = false;
  std::array<std::vector<std::vector<ItemId>>, 3> lists;
  std::vector<std::vector<ItemId>> negatives;

  static SampleDataset random(Index users, Index items, std::uint64_t seed, bool all_arrays) {
    SampleDataset sample;
    sample.users = users;
    sample.items = items;
    sample.has_ratings = sample.has_times = sample.has_negatives = all_arrays;
    const RandomStream stream(seed, Purpose::synthetic);
    for (auto& part : sample.lists) part.resize(static_cast<std::size_t>(users));
    sample.negatives.resize(static_cast<std::size_t>(users));
    for (std::size_t user = 0; user < static_cast<std::size_t>(users); ++user) {
      for (std::uint32_t item = 0; item < items; ++item) {
        const std::uint32_t draw = stream.block(static_cast<std::uint32_t>(user), item)[0] % 16;
        if (draw < 3) sample.lists[draw][user].push_back(item);
        if (draw == 3 && all_arrays) sample.negatives[user].insert(sample.negatives[user].begin(), item);
      }
    }
    return sample;
  }

  static float rating(ItemId item) { return static_cast<float>(item % 5) + 1.0F; }
  static std::int64_t time(ItemId item) { return 1'000'000'000 + item; }
  static std::string user_id(Index row) { return "user " + std::to_string(row * 7); }
  static std::string item_id(Index row) { return row == 0 ? "" : "é" + std::to_string(row); }

  std::vector<std::int64_t> group_counts(const std::vector<std::vector<ItemId>>& by_user) const {
    std::vector<std::int64_t> counts(row_groups, 0);
    const Partition groups{users, row_groups};
    for (Index user = 0; user < users; ++user) {
      counts[static_cast<std::size_t>(groups.part_of(user))] +=
          static_cast<std::int64_t>(by_user[static_cast<std::size_t>(user)].size());
    }
    return counts;
  }

  data::DatasetPlan plan() const {
    data::DatasetPlan plan;
    plan.name = "sample";
    plan.source = "a test";
    plan.split = "at random";
    plan.users = users;
    plan.items = items;
    for (std::size_t part = 0; part < 3; ++part) plan.group_counts[part] = group_counts(lists[part]);
    if (has_negatives) plan.negatives_group_counts = group_counts(negatives);
    plan.has_ratings = has_ratings;
    plan.has_times = has_times;
    for (Index row = 0; row < users; ++row) plan.user_id_bytes = std::max(plan.user_id_bytes, user_id(row).size());
    for (Index row = 0; row < items; ++row) plan.item_id_bytes = std::max(plan.item_id_bytes, item_id(row).size());
    return plan;
  }

  /// Writes all of one group of users and of items.
  void write_group(data::DatasetWriter& writer, int group) const {
    const Partition user_groups{users, row_groups};
    const Partition item_groups{items, row_groups};
    for (const data::Part part : {data::Part::train, data::Part::validation, data::Part::test}) {
      const auto [offsets, flat] =
          flatten(lists[static_cast<std::size_t>(part)], user_groups.begin(group), user_groups.end(group));
      std::vector<float> ratings;
      std::vector<std::int64_t> times;
      for (const ItemId item : flat) {
        if (has_ratings) ratings.push_back(rating(item));
        if (has_times) times.push_back(time(item));
      }
      writer.write_group(part, group, {offsets, flat, ratings, times});
    }
    if (has_negatives) {
      const auto [offsets, flat] = flatten(negatives, user_groups.begin(group), user_groups.end(group));
      writer.write_negatives(group, offsets, flat);
    }
    writer.write_user_ids(group, ids(user_groups, group, user_id));
    writer.write_item_ids(group, ids(item_groups, group, item_id));
  }

  void write(const std::string& path) const {
    data::DatasetWriter writer = data::DatasetWriter::create(path, plan());
    for (int group = 0; group < row_groups; ++group) write_group(writer, group);
    writer.commit();
  }

  /// The lists of users [first, end) one after the other.
  static std::pair<std::vector<std::int64_t>, std::vector<ItemId>> flatten(
      const std::vector<std::vector<ItemId>>& by_user, Index first, Index end) {
    std::vector<std::int64_t> offsets{0};
    std::vector<ItemId> flat;
    for (Index user = first; user < end; ++user) {
      const std::vector<ItemId>& list = by_user[static_cast<std::size_t>(user)];
      flat.insert(flat.end(), list.begin(), list.end());
      offsets.push_back(static_cast<std::int64_t>(flat.size()));
    }
    return {offsets, flat};
  }

 private:
  static std::vector<std::string> ids(const Partition& groups, int group, std::string (*id)(Index)) {
    std::vector<std::string> ids;
    for (Index row = groups.begin(group); row < groups.end(group); ++row) ids.push_back(id(row));
    return ids;
  }
};

}  // namespace spar::test
