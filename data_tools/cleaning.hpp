#pragma once
#include "data_tools/blocks.hpp"
#include "data_tools/import.hpp"
#include "data_tools/reading.hpp"

namespace spar::data_tools {

/// How repeats and the input's parts are treated.
struct CleaningRules {
  bool merge_validation = false;  ///< validation rows count as training rows
  bool merge_test = false;        ///< test rows count as training rows (a split of spar's own takes their place)
  std::optional<double> min_rating;
  std::optional<double> dislikes_below;
  std::string negatives_path;  ///< for sentences
};

/// Sorts every bucket by user and item and keeps each pair once: without ratings its first occurrence, with ratings the
/// last by time (ties and no times: by place in the input). A pair in several parts stays in the first of train,
/// validation, test. Then puts training pairs rated below the threshold of dislikes into blocks of their own, and drops
/// what is rated below that of interactions. The records are used up. UserError: a candidate list of a pair that the
/// test part lacks; no training pair that is a dislike where some are wanted.
Collection clean(Records records, const CleaningRules& rules, const SpillPlace& place, ImportReport& report);

}  // namespace spar::data_tools
