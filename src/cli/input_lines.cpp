#include "input_lines.hpp"

#include <fstream>
#include <iostream>

#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::cli {

std::vector<std::string> input_lines(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    if (!file) throw UserError(fmt::format("{}: cannot be read", path));
  }
  std::istream& in = path == "-" ? std::cin : file;
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

}  // namespace spar::cli
