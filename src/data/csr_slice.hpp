#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/base/types.hpp"
#include "spar/store/array_file.hpp"

/// Reading of lists that are stored as offsets and entries, cut into segments at the row groups; for the readers of
/// src/data.
namespace spar::data {

[[noreturn]] void throw_damaged(const store::ArrayFile& file, const std::string& what);

/// The groups [first, end) that make up a group-aligned range of rows; empty groups at either side may be in or out.
struct GroupRange {
  int first = 0;
  int end = 0;
};
GroupRange groups_of(Index rows, Index first_row, Index end_row);

/// A part of an offsets array and what follows from it.
struct CsrSlice {
  GroupRange groups;
  std::vector<std::int64_t> offsets;  ///< of the file, one for each row and the closing one
  std::vector<Index> segment_rows;    ///< where the groups begin in the entries, all 1,025; only `groups` are filled in
  Index first() const { return offsets.front(); }
  Index count() const { return offsets.back() - offsets.front(); }
  LargeVector<std::int64_t> local_offsets() const;  ///< starting at 0
};

/// Reads and verifies the offsets of `groups`, whose rows begin at row_boundaries (1,025; only `groups` are looked at).
/// `row` is what sentences call a row ("user").
CsrSlice read_slice(const store::ArrayFile& file, const std::string& offsets_array, const std::string& entries_array,
                    const std::vector<Index>& row_boundaries, const GroupRange& groups, const char* row);

/// The same for rows that are users or items themselves: [first_row, end_row), a group-aligned range.
CsrSlice read_slice(const store::ArrayFile& file, const std::string& offsets_array, const std::string& entries_array,
                    Index first_row, Index end_row, const char* row);

/// The entries of a slice of one of the arrays that its offsets cut; verified.
template <class Values>
Values read_entries(const store::ArrayFile& file, const std::string& array, const CsrSlice& slice) {
  Values values(static_cast<std::size_t>(slice.count()));
  file.read_segments(array, slice.segment_rows, slice.groups.first, slice.groups.end, values.data());
  return values;
}

/// Rows [first_row, end_row) of an array by row, `columns` numbers each; verified.
template <class Values>
Values read_rows(const store::ArrayFile& file, const std::string& array, Index first_row, Index end_row) {
  const Index rows = file.rows(array);
  const GroupRange groups = groups_of(rows, first_row, end_row);
  Values values(static_cast<std::size_t>((end_row - first_row) * file.columns(array)));
  file.read_segments(array, store::group_boundaries(rows), groups.first, groups.end, values.data());
  return values;
}

/// What the entries of lists are, for checks and sentences.
struct Meaning {
  const char* row;    ///< "user"
  const char* entry;  ///< "item"
  Index first_row;    ///< of the lists at hand
  Index limit;        ///< entries lie below
  bool ascending;     ///< entries ascend within a list and are distinct
};

/// Checks that, or throws the "damaged" sentence. Offsets may start anywhere.
void check_entries(const store::ArrayFile& file, const std::string& array, std::span<const std::int64_t> offsets,
                   std::span<const std::uint32_t> entries, const Meaning& meaning);

}  // namespace spar::data
