#pragma once
#include <cstdint>
#include <vector>

#include "spar/base/types.hpp"
#include "spar/data/interactions.hpp"
#include "spar/store/array_file.hpp"

/// What users have rated low: items that a user knows and does not like, in lists beside the interactions. A dislike is
/// no interaction: no part, no filter and no count of interactions knows of it. No item is both in a user's
/// interactions and among his dislikes.
namespace spar::data {

/// The dislikes of users [first_user, end_user), items ascending; bounds, checks and errors as read_lists(). UserError
/// that names the option of spar import where the file keeps none.
UserLists read_dislikes(const store::ArrayFile& file, Index first_user, Index end_user);
/// Their times, in the order of the items; empty where the data set has none.
std::vector<std::int64_t> read_dislike_times(const store::ArrayFile& file, Index first_user, Index end_user);

}  // namespace spar::data
