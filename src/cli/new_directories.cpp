#include "new_directories.hpp"

#include <filesystem>
#include <unistd.h>

#include "spar/store/durable.hpp"

namespace spar::cli {

NewDirectories::~NewDirectories() {
  for (const std::string& directory : made_) ::rmdir(directory.c_str());
}

void NewDirectories::make(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code unknown;
  std::vector<std::string> absent;
  for (fs::path at = fs::path(path).lexically_normal(); !at.empty() && !fs::exists(at, unknown); at = at.parent_path())
    absent.push_back(at.string());
  made_.insert(made_.begin(), absent.begin(), absent.end());
  store::make_directories(path);
}

}  // namespace spar::cli
