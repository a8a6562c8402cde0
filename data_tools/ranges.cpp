#include "data_tools/ranges.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "spar/base/sharding.hpp"

namespace spar::data_tools {

namespace {

constexpr std::size_t head_bytes = sizeof(ListHead);
constexpr std::size_t buffer_bytes = std::size_t{16} << 10;

ListHead head_at(const char* bytes) {
  ListHead head;
  std::memcpy(&head, bytes, sizeof head);
  return head;
}

template <class T>
void take(std::vector<T>& values, const char* bytes, std::size_t count) {
  const std::size_t before = values.size();
  values.resize(before + count);
  std::memcpy(values.data() + before, bytes, count * sizeof(T));
}

}  // namespace

std::size_t range_count(std::int64_t interactions) {
  return std::clamp<std::size_t>(std::bit_ceil(static_cast<std::size_t>(interactions >> 18)), 1, row_groups);
}

RangeSpill::RangeSpill(SpillFile& file, std::size_t ranges) : buckets_(file, ranges, buffer_bytes) {}

char* RangeSpill::begin_list(std::size_t bytes) {
  bytes_.resize(head_bytes + bytes);
  return bytes_.data() + head_bytes;
}

void RangeSpill::end_list(Index users, const ListHead& head) {
  std::memcpy(bytes_.data(), &head, head_bytes);
  const auto range = static_cast<std::size_t>(Partition{users, static_cast<int>(buckets_.count())}.part_of(head.row));
  buckets_.append(range, bytes_.data(), bytes_.size());
}

RangeWriter::RangeWriter(Index users, std::size_t ranges, const Schema& schema, data::DatasetWriter& writer)
    : users_(users), ranges_(ranges), schema_(schema), writer_(writer) {}

void RangeWriter::load(std::size_t range, const std::vector<const RangeSpill*>& spills, bool values) {
  const Partition partition{users_, static_cast<int>(ranges_)};
  first_row_ = partition.begin(static_cast<int>(range));
  bytes_.clear();
  for (const RangeSpill* spill : spills) spill->load(range, bytes_);
  places_.assign(static_cast<std::size_t>(partition.size(static_cast<int>(range))), 0);
  const std::size_t value_bytes = values ? schema_.value_bytes() : 4;
  for (std::size_t at = 0; at < bytes_.size();) {
    const ListHead head = head_at(&bytes_[at]);
    places_[static_cast<std::size_t>(head.row - first_row_)] = at + 1;
    at += head_bytes + head.size() * value_bytes;
  }
}

void RangeWriter::gather(int group, std::size_t part, bool values) {
  offsets_.assign(1, 0);
  items_.clear();
  ratings_.clear();
  times_.clear();
  const Partition groups{users_, row_groups};
  for (Index row = groups.begin(group); row < groups.end(group); ++row) {
    const std::size_t place = places_[static_cast<std::size_t>(row - first_row_)];
    if (place > 0) {
      const char* at = &bytes_[place - 1];
      const ListHead head = head_at(at);
      const std::size_t count = head.counts[part];
      std::size_t before = 0;
      for (std::size_t earlier = 0; earlier < part; ++earlier) before += head.counts[earlier];
      at += head_bytes;
      take(items_, at + before * 4, count);
      at += head.size() * 4;
      if (values && schema_.ratings) {
        take(ratings_, at + before * 4, count);
        at += head.size() * 4;
      }
      if (values && schema_.times) take(times_, at + before * 8, count);
    }
    offsets_.push_back(static_cast<std::int64_t>(items_.size()));
  }
}

void RangeWriter::write_parts(std::size_t range, const std::vector<const RangeSpill*>& spills) {
  load(range, spills, true);
  const int groups = row_groups / static_cast<int>(ranges_);
  for (int k = 0; k < groups; ++k) {
    const int group = static_cast<int>(range) * groups + k;
    for (const data::Part part : writer_.parts()) {
      gather(group, static_cast<std::size_t>(part), true);
      writer_.write_group(part, group, {offsets_, items_, ratings_, times_});
    }
  }
}

void RangeWriter::write_candidates(std::size_t range, const std::vector<const RangeSpill*>& spills) {
  load(range, spills, false);
  const int groups = row_groups / static_cast<int>(ranges_);
  for (int k = 0; k < groups; ++k) {
    const int group = static_cast<int>(range) * groups + k;
    gather(group, 0, false);
    writer_.write_negatives(group, offsets_, items_);
  }
}

}  // namespace spar::data_tools
