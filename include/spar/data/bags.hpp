#pragma once
#include <string>
#include <vector>

#include "spar/base/types.hpp"
#include "spar/data/side_data.hpp"
#include "spar/data/sparse_rows.hpp"
#include "spar/store/array_file.hpp"

/// Bags of users or items: genres, keywords, the words of a text, each with a weight (a count, or 1). The words of the
/// vocabulary are dealt to rows like users and items (RowDealing, by falling number of rows that have them, equal
/// numbers by text), so a table with a row a word shards evenly.
namespace spar::data {

/// The bags `name` of rows [first_row, end_row) of users or items: columns are rows of the vocabulary. Checksums are
/// verified; both bounds are boundaries of row groups. Any rank may call it alone. UserError as read_features.
SparseRows read_bags(const store::ArrayFile& file, Side side, const std::string& name, Index first_row, Index end_row);

/// Words [first, first + count) of the vocabulary; any range.
std::vector<std::string> read_vocabulary(const store::ArrayFile& file, Side side, const std::string& name, Index first,
                                         Index count);

}  // namespace spar::data
