#include "lock_file.hpp"

#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "descriptor.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/store/durable.hpp"

namespace spar::store {

namespace {

void pause_shortly() {
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

// Creates `path`, which must not exist, with `text`; false where it exists.
bool create_exclusively(const std::string& path, const std::string& text) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file.valid() && errno == EEXIST) return false;
  if (!file.valid()) throw_system_failure("cannot write", path, errno);
  try {
    write_fully(file, path, text.data(), text.size(), 0);
  } catch (...) {
    ::unlink(path.c_str());
    throw;
  }
  return true;
}

double seconds_of(const timespec& time) {
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

LockFile::LockFile(std::string run_directory, LockTimes times)
    : directory_(std::move(run_directory)), path_(directory_ + "/run.lock"), times_(times) {}

void LockFile::take(const LockOwner& self) {
  // Each turn ends in the lock, in a refusal, or in a file that another process changed meanwhile.
  for (int turn = 0; turn < 500; ++turn) {
    if (create(self)) return;
    std::optional<LockOwner> owner = read_owner(path_);
    for (int wait = 0; !owner && wait < 25; ++wait) {  // its owner may be about to write it, or has removed it
      pause_shortly();
      owner = read_owner(path_);
    }
    if (!owner && access(path_.c_str(), F_OK) != 0) continue;
    if (counts(owner, self)) refuse(owner);
    if (replace(owner, self)) return;
    pause_shortly();
  }
  refuse(read_owner(path_));
}

bool LockFile::create(const LockOwner& self) const {
  return create_exclusively(path_, to_text(self));
}

bool LockFile::counts(const std::optional<LockOwner>& owner, const LockOwner& self) const {
  if (owner && (is_dead(*owner, self) || is_earlier_start(*owner, self))) return false;
  return untouched_seconds(path_, self) < times_.stale_seconds;
}

// By the file server's clock, which need not be ours: the age against a file made just now.
double LockFile::untouched_seconds(const std::string& file, const LockOwner& self) const {
  const std::string probe = path_ + ".probe-" + self.nonce;
  create_exclusively(probe, "now");
  struct stat now {};
  struct stat touched {};
  const bool known = stat(probe.c_str(), &now) == 0 && stat(file.c_str(), &touched) == 0;
  unlink(probe.c_str());
  return known ? seconds_of(now.st_mtim) - seconds_of(touched.st_mtim) : 0.0;
}

// The right to replace one owner is a file of that owner's nonce, so that of several takers one succeeds.
bool LockFile::replace(const std::optional<LockOwner>& stale, const LockOwner& self) {
  const std::string nonce = stale ? stale->nonce : "unreadable";
  const std::string ticket = path_ + ".takeover-" + nonce;
  if (!create_exclusively(ticket, self.nonce)) {
    if (untouched_seconds(ticket, self) >= times_.stale_seconds) unlink(ticket.c_str());
    return false;
  }
  const std::optional<LockOwner> now = read_owner(path_);
  const bool unchanged = stale ? now && now->nonce == nonce : !now && access(path_.c_str(), F_OK) == 0;
  if (unchanged) {
    try {
      write_durably(path_, to_text(self));
    } catch (...) {
      unlink(ticket.c_str());
      throw;
    }
    taken_from_ = stale;
  }
  unlink(ticket.c_str());
  return unchanged;
}

void LockFile::refuse(const std::optional<LockOwner>& owner) const {
  if (!owner)
    throw UserError(
        fmt::format("{} is in use: its run.lock is not readable, but somebody touched it within the last {:.0f} s; "
                    "wait until that run ends, or choose another --run",
                    directory_, times_.stale_seconds));
  const std::string job = owner->job.empty() ? "" : fmt::format(" (job {})", owner->job);
  throw UserError(
      fmt::format("{} is in use by process {} on host {}{} since {}: wait until it ends, or choose another --run",
                  directory_, owner->process, owner->host, job, owner->since));
}

void LockFile::touch() const {
  if (utimensat(AT_FDCWD, path_.c_str(), nullptr, 0) != 0) throw_system_failure("cannot touch", path_, errno);
}

bool LockFile::carries(const std::string& nonce) const {
  const auto owner = read_owner(path_);
  return owner && owner->nonce == nonce;
}

void LockFile::remove_if(const std::string& nonce) const noexcept {
  try {
    if (carries(nonce)) unlink(path_.c_str());
  } catch (...) {  // what cannot be read is not ours to remove
  }
}

}  // namespace spar::store
