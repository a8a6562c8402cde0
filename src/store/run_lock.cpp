#include "spar/store/run_lock.hpp"

#include <chrono>
#include <thread>

#include "lock_file.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::store {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

struct RunLock::State {
  State(const std::string& run_directory, LockTimes lock_times) : file(run_directory, lock_times), times(lock_times) {}
  ~State() {
    if (held) file.remove_if(nonce);
  }

  void await_visible(const std::string& run_directory, int rank, const std::string& owner_host) const {
    const auto start = Clock::now();
    while (!file.carries(nonce)) {
      if (seconds_since(start) > times.visible_seconds)
        throw EnvironmentError(
            fmt::format("the run directory {} is not shared by all nodes: rank {} on host {} does not see the run.lock "
                        "that rank 0 on host {} wrote; "
                        "choose a --run on a file system that every node mounts",
                        run_directory, rank, this_process().host, owner_host));
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }

  LockFile file;
  LockTimes times;
  bool held = false;  // by this process
  std::string nonce;
  std::int64_t restarts = 0;
  Clock::time_point touched = Clock::now();
};

RunLock::RunLock(std::unique_ptr<State> state) : state_(std::move(state)) {}
RunLock::RunLock(RunLock&&) noexcept = default;
RunLock& RunLock::operator=(RunLock&&) noexcept = default;
RunLock::~RunLock() = default;

RunLock RunLock::acquire(const comm::Communicator& communicator, const std::string& run_directory,
                         const LockTimes& times) {
  auto state = std::make_unique<State>(run_directory, times);
  LockOwner self;
  comm::agree(communicator, [&] {
    if (!communicator.is_root()) return;
    self = this_process();
    state->file.take(self);
    state->nonce = self.nonce;
    state->held = true;
  });
  state->nonce = communicator.broadcast(self.nonce, 0);
  const std::string host = communicator.broadcast(self.host, 0);
  state->restarts = communicator.max(self.restarts);
  comm::agree(communicator, [&] { state->await_visible(run_directory, communicator.rank(), host); });
  return RunLock(std::move(state));
}

const std::string& RunLock::nonce() const {
  return state_->nonce;
}

std::int64_t RunLock::restarts() const {
  return state_->restarts;
}

const std::optional<LockOwner>& RunLock::taken_from() const {
  return state_->file.taken_from();
}

void RunLock::touch() {
  if (!state_->held || seconds_since(state_->touched) < state_->times.touch_seconds) return;
  state_->touched = Clock::now();
  if (!still_owner())
    throw EnvironmentError(
        fmt::format("{} is no longer this run's: another process took it over, or somebody removed it; this run ends "
                    "so that two do not mix",
                    state_->file.path()));
  state_->file.touch();
}

bool RunLock::still_owner() const {
  return state_->file.carries(state_->nonce);
}

void RunLock::release() noexcept {
  if (!state_->held) return;
  state_->held = false;
  state_->file.remove_if(state_->nonce);
}

std::optional<LockOwner> read_lock(const std::string& run_directory) {
  return read_owner(run_directory + "/run.lock");
}

}  // namespace spar::store
