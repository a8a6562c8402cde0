#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "spar/comm/communicator.hpp"

/// The lock of a run directory, the file run.lock (docs/formats.md, "Run directory"): one job at a time trains in a
/// directory, a dead one does not block it for ever, and one that was taken for dead can do no harm. No flock, which
/// many cluster file systems lack: the file is created exclusively and its owner's nonce is read again before whatever
/// counts.
namespace spar::store {

/// Who holds a lock, as its file says.
struct LockOwner {
  std::string nonce;
  std::string host;
  std::string machine;  ///< kernel boot and process namespace: where a process number means something
  std::int64_t process = 0;
  std::int64_t process_start = 0;  ///< clock ticks since boot: tells a process from a later one of the same number
  std::string job;                 ///< SLURM_JOB_ID, or empty
  std::int64_t restarts = 0;       ///< SLURM_RESTART_COUNT
  std::string since;               ///< local time, "2026-11-22 10:00:00"
};

/// How long a lock that nobody touches counts, and how often its owner touches it.
struct LockTimes {
  double stale_seconds = 300;
  double touch_seconds = 30;
  double visible_seconds = 10;  ///< how long other nodes may take to see the file
};

/// This process's own entry: host, process, job, a fresh nonce.
LockOwner this_process();

/// Held by all ranks of one job; rank 0 owns the file.
class RunLock {
 public:
  /// Locks `run_directory`, which exists; collective. Taken over are: a dead owner on the same host, an earlier start
  /// of the same job, a lock untouched for times.stale_seconds. On every rank: UserError naming host, process and since
  /// when, if another job holds it; EnvironmentError if the directory cannot be written, or if a rank does not see what
  /// rank 0 wrote (the directory is not shared by all nodes).
  static RunLock acquire(const comm::Communicator& communicator, const std::string& run_directory,
                         const LockTimes& times = {});

  RunLock(RunLock&&) noexcept;
  RunLock& operator=(RunLock&&) noexcept;
  ~RunLock();  ///< releases

  /// The nonce that rank 0 wrote: the same on every rank; marks the job's temporary files.
  const std::string& nonce() const;
  std::int64_t restarts() const;
  /// Whose lock was taken over, for a notice; on rank 0.
  const std::optional<LockOwner>& taken_from() const;

  /// Marks the lock as alive. Rank 0 calls it at every step and between the blocks of long work; it acts every
  /// times.touch_seconds only (no effect on other ranks). EnvironmentError when the lock is no longer this job's.
  void touch();
  /// Reads the file again: whether it still carries this job's nonce. Asked before each commit or deletion; any rank.
  bool still_owner() const;
  /// Removes the file if it is still this job's; rank 0 (no effect on other ranks).
  void release() noexcept;

 private:
  struct State;
  explicit RunLock(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// What run.lock in `run_directory` says now; nothing where there is none or it is unreadable. For `spar inspect`.
std::optional<LockOwner> read_lock(const std::string& run_directory);

}  // namespace spar::store
