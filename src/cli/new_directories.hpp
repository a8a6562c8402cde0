#pragma once
#include <string>
#include <vector>

namespace spar::cli {

/// Makes directories, and takes back those that were not there before where nothing came to lie in them: a command that
/// fails leaves no trace. What another program put there stays, since only empty directories are removed.
class NewDirectories {
 public:
  NewDirectories() = default;
  NewDirectories(const NewDirectories&) = delete;
  NewDirectories& operator=(const NewDirectories&) = delete;
  ~NewDirectories();

  /// Makes `path` and its parents; errors as store::make_directories.
  void make(const std::string& path);
  /// They are to stay, empty or not.
  void keep() { made_.clear(); }

 private:
  std::vector<std::string> made_;  ///< deepest first
};

}  // namespace spar::cli
