#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data_tools/import.hpp"
#include "spar/cli/option_set.hpp"

/// The options that import and split share: filters, and how the test and validation parts are made.
namespace spar::cli {

struct SplitWords {
  std::string split;  ///< empty: automatic
  std::string validation;
  std::vector<std::int64_t> held_out_users;  ///< for validation, for the test; empty: none
  std::optional<double> fold_in;
  bool drop_unseen_items = false;

  /// UserError where the options do not fit together.
  void apply(data_tools::SplitRules& rules) const;
};

void declare_split(OptionSet& set, SplitWords& words, data_tools::SplitRules& rules);

}  // namespace spar::cli
