#pragma once
#include "data_tools/blocks.hpp"
#include "data_tools/import.hpp"

namespace spar::data_tools {

/// One pass of the minimum counts, then the k-core. A dropped user or item has count 0 in the collection afterwards;
/// the blocks stay as they are, and what belongs to a dropped user or item is passed over by all that follows
/// (is_kept). UserError: nothing is left (counts by filter).
void filter_counts(Collection& collection, const SplitRules& rules, ImportReport& report);

/// Counts again what lies between users and items that both still have a count.
void recount(Collection& collection);

/// Whether an interaction of a kept user is kept: its item is.
inline bool is_kept(const Collection& collection, std::uint32_t item) {
  return collection.item_counts[item] > 0;
}

}  // namespace spar::data_tools
