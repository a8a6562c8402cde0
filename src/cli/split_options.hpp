#pragma once
#include <string>

#include "data_tools/import.hpp"
#include "spar/cli/option_set.hpp"

/// The options that import and split share: filters, and how the test and validation parts are made.
namespace spar::cli {

struct SplitWords {
  std::string split;  ///< empty: automatic
  std::string validation;

  void apply(data_tools::SplitRules& rules) const;
};

void declare_split(OptionSet& set, SplitWords& words, data_tools::SplitRules& rules);

}  // namespace spar::cli
