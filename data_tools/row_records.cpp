#include "data_tools/row_records.hpp"

#include <algorithm>
#include <bit>

#include "spar/base/sharding.hpp"

namespace spar::data_tools {

namespace {

constexpr std::size_t buffer_bytes = std::size_t{16} << 10;
constexpr std::int64_t range_bytes = std::int64_t{16} << 20;

std::size_t range_count(std::int64_t expected_bytes) {
  const auto wanted = static_cast<std::size_t>(std::max<std::int64_t>(0, expected_bytes) / range_bytes + 1);
  return std::min<std::size_t>(std::bit_ceil(wanted), row_groups);
}

}  // namespace

RowRecords::RowRecords(SpillFile& file, Index rows, std::size_t record_bytes, std::int64_t expected_bytes)
    : rows_(rows), record_bytes_(record_bytes), buckets_(file, range_count(expected_bytes), buffer_bytes) {}

void RowRecords::add(Index row, const void* record) {
  const auto range = static_cast<std::size_t>(Partition{rows_, ranges()}.part_of(row));
  buckets_.append(range, record, record_bytes_);
}

void RowRecords::load(int range, std::vector<char>& bytes) const {
  bytes.clear();
  buckets_.load(static_cast<std::size_t>(range), bytes);
}

Index RowRecords::first_row(int range) const {
  return Partition{rows_, ranges()}.begin(range);
}

int RowRecords::first_group(int range) const {
  return row_groups / ranges() * range;
}

}  // namespace spar::data_tools
