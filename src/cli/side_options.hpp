#pragma once
#include <string>

#include "data_tools/side_options.hpp"
#include "spar/cli/option_set.hpp"

/// The options of import about side data.
namespace spar::cli {

struct SideWords {
  std::string tags_split = "leave-one-out";
  bool none = false;

  void apply(data_tools::SideOptions& side) const;
};

void declare_side(OptionSet& set, SideWords& words, data_tools::SideOptions& side);

}  // namespace spar::cli
