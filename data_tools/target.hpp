#pragma once
#include <string>
#include <vector>

/// The file that import, split and synth write.
namespace spar::data_tools {

/// UserError, before anything is read: no target named; a folder, a device, or a file that is no data set of spar,
/// which a slip of the pen must not cost; one of `inputs`; a folder that is missing or cannot be written. One process
/// calls it.
void check_target(const std::string& to, const std::vector<std::string>& inputs = {});

/// Removes what killed programs left beside the target, and says what: one sentence for each file.
std::vector<std::string> sweep_target(const std::string& to);

}  // namespace spar::data_tools
