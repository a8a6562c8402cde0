#include "csr_slice.hpp"

#include <algorithm>

#include "array_specs.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/sharding.hpp"

namespace spar::data {

void throw_damaged(const store::ArrayFile& file, const std::string& what) {
  throw UserError(fmt::format("{} is damaged: {}", file.path(), what));
}

GroupRange groups_of(Index rows, Index first_row, Index end_row) {
  SPAR_ASSERT(first_row >= 0 && first_row <= end_row && end_row <= rows);
  const Partition groups{rows, row_groups};
  GroupRange range;
  range.first = first_row == rows ? row_groups : groups.part_of(first_row);
  range.end = end_row == rows ? row_groups : groups.part_of(end_row);
  SPAR_ASSERT(groups.begin(range.first) == first_row && groups.begin(range.end) == end_row);
  return range;
}

LargeVector<std::int64_t> CsrSlice::local_offsets() const {
  LargeVector<std::int64_t> local(offsets.size());
  std::transform(offsets.begin(), offsets.end(), local.begin(),
                 [&](std::int64_t offset) { return offset - offsets.front(); });
  return local;
}

// The closing offset of a slice stands in the next group's segment, which is not read: the checksums of the
// entries prove it.
CsrSlice read_slice(const store::ArrayFile& file, const std::string& offsets_array, const std::string& entries_array,
                    const std::vector<Index>& row_boundaries, const GroupRange& groups, const char* row) {
  const Index rows = file.rows(offsets_array) - 1;
  const Index entries = file.rows(entries_array);
  if (rows < 0) throw_damaged(file, fmt::format("array {} is empty", offsets_array));
  const Index first_row = row_boundaries[static_cast<std::size_t>(groups.first)];
  const Index end_row = row_boundaries[static_cast<std::size_t>(groups.end)];
  CsrSlice slice;
  slice.groups = groups;
  slice.offsets.resize(static_cast<std::size_t>(end_row - first_row) + 1);
  file.read_segments(offsets_array, groups.end == row_groups ? with_closing_offset(row_boundaries) : row_boundaries,
                     groups.first, groups.end, slice.offsets.data());
  file.read(offsets_array, end_row, 1, &slice.offsets.back());
  if (first_row == 0 && slice.offsets.front() != 0)
    throw_damaged(file, fmt::format("array {} does not start at 0", offsets_array));
  if (end_row == rows && slice.offsets.back() != entries) {
    throw_damaged(file, fmt::format("array {} ends at {}, but {} has {} entries", offsets_array, slice.offsets.back(),
                                    entries_array, entries));
  }
  const auto falls = std::is_sorted_until(slice.offsets.begin(), slice.offsets.end());
  if (falls != slice.offsets.end() || slice.offsets.front() < 0 || slice.offsets.back() > entries) {
    const Index at = first_row + std::max<Index>(0, (falls - slice.offsets.begin()) - 1);
    throw_damaged(file, fmt::format("the offsets in {} do not rise at {} {}", offsets_array, row, at));
  }
  slice.segment_rows.resize(row_groups + 1);
  for (int g = groups.first; g <= groups.end; ++g) {
    const Index at = row_boundaries[static_cast<std::size_t>(g)] - first_row;
    slice.segment_rows[static_cast<std::size_t>(g)] = slice.offsets[static_cast<std::size_t>(at)];
  }
  return slice;
}

CsrSlice read_slice(const store::ArrayFile& file, const std::string& offsets_array, const std::string& entries_array,
                    Index first_row, Index end_row, const char* row) {
  const Index rows = file.rows(offsets_array) - 1;
  if (rows < 0) throw_damaged(file, fmt::format("array {} is empty", offsets_array));
  return read_slice(file, offsets_array, entries_array, store::group_boundaries(rows),
                    groups_of(rows, first_row, end_row), row);
}

void check_entries(const store::ArrayFile& file, const std::string& array, std::span<const std::int64_t> offsets,
                   std::span<const std::uint32_t> entries, const Meaning& meaning) {
  for (std::size_t k = 0; k + 1 < offsets.size(); ++k) {
    const auto begin = static_cast<std::size_t>(offsets[k] - offsets.front());
    const auto end = static_cast<std::size_t>(offsets[k + 1] - offsets.front());
    for (std::size_t at = begin; at < end; ++at) {
      if (static_cast<Index>(entries[at]) >= meaning.limit) {
        throw_damaged(file, fmt::format("{} {} in {} has {} {}, but there are {} {}s", meaning.row,
                                        meaning.first_row + static_cast<Index>(k), array, meaning.entry, entries[at],
                                        meaning.limit, meaning.entry));
      }
      if (meaning.ascending && at > begin && entries[at] <= entries[at - 1]) {
        throw_damaged(file, fmt::format("the {}s of {} {} in {} are not ascending and distinct", meaning.entry,
                                        meaning.row, meaning.first_row + static_cast<Index>(k), array));
      }
    }
  }
}

}  // namespace spar::data
