#pragma once
#include "data_tools/placing.hpp"
#include "data_tools/side_set.hpp"
#include "spar/store/array_file.hpp"

namespace spar::data_tools {

/// Adds the side data of a data set, dislikes apart (place_dislikes), for the rows that are kept (numbers of the maps
/// are rows of `file`). Posts stay in their parts. Where all rows stay, so do the bytes. Reads a row group at a time;
/// checksums are verified.
void carry_side_data(const store::ArrayFile& file, const RowMap& users, const RowMap& items, SideSet& set);

}  // namespace spar::data_tools
