#pragma once
#include <string>

#include "data_tools/blocks.hpp"
#include "data_tools/import.hpp"
#include "data_tools/placing.hpp"
#include "data_tools/side_set.hpp"
#include "data_tools/split_rule.hpp"
#include "spar/store/array_file.hpp"

/// What users have rated low, on its way into the data set: kept beside the interactions, counted nowhere.
namespace spar::data_tools {

/// UserError: a threshold above that of the interactions.
void check_dislikes(const SplitRules& rules);

/// Reads the dislikes of a data set into blocks beside those of its interactions, where it has some. Numbers are rows.
void load_dislikes(const store::ArrayFile& file, const SpillPlace& place, Collection& collection);

/// Adds to the set what is known of users and items that have rows, and drops the others. Where the split takes what
/// lies behind a moment, dislikes from that moment on are dropped, too: training must not know them. Completes the
/// report. Does nothing where the collection has no dislikes.
void place_dislikes(const Collection& collection, const RowMap& users, const RowMap& items, const ResolvedSplit& split,
                    SideSet& set, ImportReport& report);

}  // namespace spar::data_tools
