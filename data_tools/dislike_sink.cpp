#include <algorithm>
#include <numeric>

#include "data_tools/blocks.hpp"
#include "data_tools/side_sinks.hpp"
#include "spar/base/sharding.hpp"
#include "spar/base/threads.hpp"

namespace spar::data_tools {

DislikeSink::DislikeSink(SpillFile& file, Index users, bool timed, std::int64_t expected_bytes)
    : SideSink(data::SideKind::dislikes, data::Side::users, "dislikes"),
      records_(file, users, sizeof(Record), expected_bytes) {
  plan_.timed = timed;
}

void DislikeSink::add(Index user, Index item, std::int64_t time) {
  const Record record{time, static_cast<std::uint32_t>(user), static_cast<std::uint32_t>(item)};
  records_.add(user, &record);
}

void DislikeSink::finish() {
  plan_.group_entries[0].assign(row_groups, 0);
  parallel_for(records_.ranges(), [&](int range) { count_range(range); });
  entries_ = std::accumulate(plan_.group_entries[0].begin(), plan_.group_entries[0].end(), std::int64_t{0});
}

void DislikeSink::count_range(int range) {
  std::vector<Record> records;
  records_.load(range, records);
  const Partition groups{records_.rows_of_side(), row_groups};
  std::vector<std::uint32_t> users;
  for (const Record& record : records) {
    ++plan_.group_entries[0][static_cast<std::size_t>(groups.part_of(record.user))];
    users.push_back(record.user);
  }
  std::sort(users.begin(), users.end());
  add_shared(covered_, std::unique(users.begin(), users.end()) - users.begin());
}

void DislikeSink::write(data::SideWriter& writer) const {
  parallel_for(records_.ranges(), [&](int range) { write_range(range, writer); });
}

void DislikeSink::write_range(int range, data::SideWriter& writer) const {
  std::vector<Record> records;
  records_.load(range, records);
  std::sort(records.begin(), records.end(),
            [](const Record& a, const Record& b) { return a.user != b.user ? a.user < b.user : a.item < b.item; });
  const Partition groups{records_.rows_of_side(), row_groups};
  std::vector<std::int64_t> offsets;
  std::vector<ItemId> items;
  std::vector<std::int64_t> times;
  std::size_t at = 0;
  for (int group = records_.first_group(range); group < records_.end_group(range); ++group) {
    offsets.assign(1, 0);
    items.clear();
    times.clear();
    for (Index row = groups.begin(group); row < groups.end(group); ++row) {
      for (; at < records.size() && static_cast<Index>(records[at].user) == row; ++at) {
        items.push_back(records[at].item);
        if (plan_.timed) times.push_back(records[at].time);
      }
      offsets.push_back(static_cast<std::int64_t>(items.size()));
    }
    writer.write_dislikes(group, {offsets, items, times});
  }
}

}  // namespace spar::data_tools
