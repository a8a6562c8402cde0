#pragma once
#include <optional>
#include <string>

#include "lock_owner.hpp"

/// run.lock as one process sees it; RunLock makes it the lock of all ranks.
namespace spar::store {

class LockFile {
 public:
  LockFile(std::string run_directory, LockTimes times);

  /// Takes the lock for `self`, from nobody or from an owner that no longer counts. UserError: another job holds it, or
  /// the directory is closed to us; EnvironmentError: anything else.
  void take(const LockOwner& self);
  /// The file's time becomes now.
  void touch() const;
  bool carries(const std::string& nonce) const;
  void remove_if(const std::string& nonce) const noexcept;

  const std::string& path() const { return path_; }
  const std::optional<LockOwner>& taken_from() const { return taken_from_; }

 private:
  bool create(const LockOwner& self) const;
  bool replace(const std::optional<LockOwner>& stale, const LockOwner& self);
  bool counts(const std::optional<LockOwner>& owner, const LockOwner& self) const;
  double untouched_seconds(const std::string& file, const LockOwner& self) const;
  [[noreturn]] void refuse(const std::optional<LockOwner>& owner) const;

  std::string directory_;
  std::string path_;
  LockTimes times_;
  std::optional<LockOwner> taken_from_;
};

}  // namespace spar::store
