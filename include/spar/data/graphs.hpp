#pragma once
#include <string>

#include "spar/base/types.hpp"
#include "spar/data/side_data.hpp"
#include "spar/data/sparse_rows.hpp"
#include "spar/store/array_file.hpp"

/// Graphs over the users: trust, friendship, followers. Edges are directed, without repeats and without loops;
/// friendships are stored in both directions.
namespace spar::data {

/// The users (rows, ascending) that each of the users [first_user, end_user) points to in the graph `name`; weights
/// where the graph has them (SideDescription::weighted). Checksums are verified; both bounds are boundaries of row
/// groups. Any rank may call it alone. UserError as read_features.
SparseRows read_edges(const store::ArrayFile& file, const std::string& name, Index first_user, Index end_user);

}  // namespace spar::data
