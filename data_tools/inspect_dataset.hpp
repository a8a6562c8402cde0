#pragma once
#include <string>

namespace spar::data_tools {

/// inspect() of a data set file.
std::string inspect_dataset(const std::string& path, bool json);

}  // namespace spar::data_tools
