#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "spar/base/types.hpp"
#include "spar/data/side_writer.hpp"
#include "spar/store/array_file.hpp"

/// Pieces of a data set's layout that its writers share.
namespace spar::data {

/// Where groups begin in an array by entry: 1,025 sums of the counts by group; all 0 for no counts.
std::vector<std::int64_t> running_sum(const std::vector<std::int64_t>& counts);

/// An array cut into segments at `segment_rows`.
store::ArraySpec spec(const std::string& path, store::ElementType type, std::vector<Index> segment_rows,
                      std::size_t text_size = 0);

/// Boundaries of an offsets array over `rows` rows: those of the row groups, the last with the closing offset.
std::vector<Index> offsets_boundaries(Index rows);
/// The same over rows whose groups begin at `boundaries`.
std::vector<Index> with_closing_offset(std::vector<Index> boundaries);

/// The attributes that say what a group of the file holds, for readers that know nothing of spar.
void describe_group(const std::string& group, const std::string& format, std::vector<store::Attribute>& attributes);

/// Arrays and attributes of side data; each plan's name must differ from those of its kind and side.
void add_side_arrays(const std::vector<SidePlan>& side, Index users, Index items, std::vector<store::ArraySpec>& specs);
void add_side_attributes(const std::vector<SidePlan>& side, std::vector<store::Attribute>& attributes);

}  // namespace spar::data
