#include "data_tools/inspect.hpp"

#include <array>
#include <filesystem>

#include <fmt/format.h>

#include "data_tools/inspect_dataset.hpp"
#include "spar/base/error.hpp"

namespace spar::data_tools {

namespace {

/// One kind of thing that inspect() knows. The first whose `is` holds is asked.
struct Kind {
  bool (*is)(const std::filesystem::path& path);
  std::string (*inspect)(const std::string& path, bool json);
};

bool is_file(const std::filesystem::path& path) {
  return !std::filesystem::is_directory(path);
}

constexpr std::array<Kind, 1> kinds = {{{is_file, inspect_dataset}}};

}  // namespace

std::string inspect(const std::string& path, bool json) {
  for (const Kind& kind : kinds) {
    if (kind.is(path)) return kind.inspect(path, json);
  }
  throw UserError(fmt::format("{} is a directory without anything that spar inspect knows: give it a data set", path));
}

}  // namespace spar::data_tools
