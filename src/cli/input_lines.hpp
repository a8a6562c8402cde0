#pragma once
#include <string>
#include <vector>

namespace spar::cli {

/// The lines of a file, or of standard input where `path` is "-", without line ends and empty lines. One rank calls it.
/// UserError where it cannot be read.
std::vector<std::string> input_lines(const std::string& path);

}  // namespace spar::cli
