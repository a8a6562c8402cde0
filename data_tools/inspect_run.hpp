#pragma once
#include <string>
#include <vector>

namespace spar::data_tools {

/// Whether a directory is one in which spar train works.
bool is_run(const std::string& path);

/// inspect() of a run directory. A damaged checkpoint is shown among the others, and its sentence is added to `damage`.
std::string inspect_run(const std::string& path, bool json, std::vector<std::string>& damage);

}  // namespace spar::data_tools
