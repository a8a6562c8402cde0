#include <algorithm>
#include <array>
#include <tuple>

#include "data_tools/blocks.hpp"
#include "data_tools/side_sinks.hpp"
#include "spar/base/error.hpp"
#include "spar/base/sharding.hpp"
#include "spar/base/threads.hpp"

namespace spar::data_tools {

namespace {

constexpr std::array<data::Part, 3> all_parts = {data::Part::train, data::Part::validation, data::Part::test};

}  // namespace

std::vector<std::uint64_t> hashes_by_row(const IdMap& ids, const RowMap& rows) {
  const std::vector<std::uint64_t> by_number = ids.hashes();
  std::vector<std::uint64_t> by_row;
  by_row.reserve(rows.number_of.size());
  for (const std::uint32_t number : rows.number_of) by_row.push_back(by_number[number]);
  return by_row;
}

PostSink::PostSink(SpillFile& file, Index users, bool timed, std::int64_t expected_bytes)
    : SideSink(data::SideKind::tags, data::Side::users, "tags"), records_(file, users, sizeof(Record), expected_bytes) {
  plan_.timed = timed;
}

void PostSink::add(Index user, Index item, std::string_view tag, std::int64_t time, data::Part part) {
  const Record record{time, static_cast<std::uint32_t>(user), static_cast<std::uint32_t>(item), tags_.number(tag),
                      static_cast<std::uint32_t>(part)};
  records_.add(user, &record);
}

/// The records of a range by user, item and tag, each triple once (the first that was given), with their parts.
std::int64_t PostSink::load_merged(int range, std::vector<Record>& records) const {
  records_.load(range, records);
  if (vocabulary_.rows() > 0) {
    for (Record& record : records) record.tag = vocabulary_.row_of[record.tag];
  }
  const auto key = [](const Record& record) { return std::tuple(record.user, record.item, record.tag); };
  std::stable_sort(records.begin(), records.end(), [&](const Record& a, const Record& b) { return key(a) < key(b); });
  const auto kept =
      std::unique(records.begin(), records.end(), [&](const Record& a, const Record& b) { return key(a) == key(b); });
  const std::int64_t repeats = records.end() - kept;
  records.erase(kept, records.end());
  part_users(records);
  return repeats;
}

void PostSink::part_users(std::vector<Record>& records) const {
  if (!split_) return;
  ResolvedSplit rule;
  rule.test = rule.validation = split_->leave_one_out ? SplitKind::random_leave_one_out : SplitKind::none;
  rule.seed = split_->seed;
  Splitter splitter(rule);
  std::vector<std::uint32_t> items;
  std::vector<std::uint8_t> parts;
  for (std::size_t begin = 0, end = 0; begin < records.size(); begin = end) {
    items.clear();
    for (end = begin; end < records.size() && records[end].user == records[begin].user; ++end) {
      if (items.empty() || items.back() != records[end].item) items.push_back(records[end].item);
    }
    parts.assign(items.size(), static_cast<std::uint8_t>(data::Part::train));
    UserList list;
    if (split_->leave_one_out) list.user_hash = split_->user_hashes[records[begin].user];
    list.item_hashes = split_->item_hashes.data();
    list.items = items;
    list.parts = parts;
    splitter.assign(list);
    std::size_t post = 0;
    for (std::size_t k = begin; k < end; ++k) {
      if (records[k].item != items[post]) ++post;
      records[k].part = parts[post];
    }
  }
}

void PostSink::count_range(int range, std::vector<std::int64_t>& tag_counts) {
  std::vector<Record> records;
  add_shared(repeated_, load_merged(range, records));
  const Partition groups{records_.rows_of_side(), row_groups};
  std::int64_t users = 0;
  for (std::size_t k = 0; k < records.size(); ++k) {
    const Record& record = records[k];
    const bool new_user = k == 0 || record.user != records[k - 1].user;
    const bool new_post = new_user || record.item != records[k - 1].item;
    const auto group = static_cast<std::size_t>(groups.part_of(record.user));
    users += new_user ? 1 : 0;
    plan_.group_posts[record.part][group] += new_post ? 1 : 0;
    ++plan_.group_entries[record.part][group];
    add_shared(tag_counts[record.tag], 1);
  }
  add_shared(covered_, users);
  add_shared(entries_, static_cast<std::int64_t>(records.size()));
}

void PostSink::finish() {
  for (auto& counts : plan_.group_posts) counts.assign(row_groups, 0);
  for (auto& counts : plan_.group_entries) counts.assign(row_groups, 0);
  std::vector<std::int64_t> tag_counts(tags_.size());
  parallel_for(records_.ranges(), [&](int range) { count_range(range, tag_counts); });
  vocabulary_ = deal_words(tags_, tag_counts);
  plan_.width = vocabulary_.rows();
  plan_.text_bytes = longest_word(tags_, vocabulary_);
}

void PostSink::write(data::SideWriter& writer) const {
  parallel_for(records_.ranges(), [&](int range) { write_range(range, writer); });
  write_words(tags_, vocabulary_, writer);
}

namespace {

/// The posts of one group and part.
struct PostLists {
  std::vector<std::int64_t> offsets{0}, tag_offsets{0};
  std::vector<ItemId> items;
  std::vector<std::uint32_t> tags;
  std::vector<std::int64_t> times;
};

}  // namespace

void PostSink::write_range(int range, data::SideWriter& writer) const {
  std::vector<Record> records;
  load_merged(range, records);
  const Partition groups{records_.rows_of_side(), row_groups};
  std::size_t at = 0;
  for (int group = records_.first_group(range); group < records_.end_group(range); ++group) {
    std::array<PostLists, 3> lists;
    for (Index user = groups.begin(group); user < groups.end(group); ++user) {
      for (std::size_t first = at; at < records.size() && static_cast<Index>(records[at].user) == user; ++at) {
        PostLists& list = lists[records[at].part];
        if (at == first || records[at].item != records[at - 1].item) {
          list.items.push_back(records[at].item);
          list.tag_offsets.push_back(list.tag_offsets.back());
        }
        list.tags.push_back(records[at].tag);
        if (plan_.timed) list.times.push_back(records[at].time);
        ++list.tag_offsets.back();
      }
      for (PostLists& list : lists) list.offsets.push_back(static_cast<std::int64_t>(list.items.size()));
    }
    for (const data::Part part : all_parts) {
      const PostLists& list = lists[static_cast<std::size_t>(part)];
      writer.write_posts(part, group, {list.offsets, list.items, list.tag_offsets, list.tags, list.times});
    }
  }
}

}  // namespace spar::data_tools
