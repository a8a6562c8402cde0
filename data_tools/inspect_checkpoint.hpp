#pragma once
#include <string>

namespace spar::data_tools {

/// Whether a directory says that it is a checkpoint.
bool is_checkpoint(const std::string& path);

/// inspect() of a checkpoint's directory.
std::string inspect_checkpoint(const std::string& path, bool json);

}  // namespace spar::data_tools
