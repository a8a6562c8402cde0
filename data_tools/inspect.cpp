#include "data_tools/inspect.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "data_tools/inspect_checkpoint.hpp"
#include "data_tools/inspect_dataset.hpp"
#include "data_tools/inspect_run.hpp"
#include "spar/base/error.hpp"

namespace spar::data_tools {

std::string inspect(const std::string& path, bool json, std::vector<std::string>* damage) {
  namespace fs = std::filesystem;
  std::error_code unknown;
  if (!fs::is_directory(path, unknown)) {
    const std::string folder = fs::path(path).parent_path().string();
    if (fs::exists(path, unknown) && is_checkpoint(folder.empty() ? "." : folder))
      throw UserError(fmt::format("{} is a file of a checkpoint: give spar inspect the directory", path));
    return inspect_dataset(path, json);
  }
  if (is_checkpoint(path)) return inspect_checkpoint(path, json);
  if (!is_run(path))
    throw UserError(fmt::format(
        "{} is neither a run directory nor a checkpoint, and spar inspect knows no other directories", path));
  std::vector<std::string> found;
  std::string text = inspect_run(path, json, found);
  if (damage != nullptr) *damage = std::move(found);
  return text;
}

}  // namespace spar::data_tools
