#include "spar/comm/message_round.hpp"

#include <chrono>
#include <cstdio>
#include <sched.h>
#include <vector>

#include "handle.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::comm {

namespace {

MPI_Datatype line_type() {
  static const MPI_Datatype type = [] {
    MPI_Datatype t;
    check(MPI_Type_contiguous(static_cast<int>(line), MPI_BYTE, &t), "MPI_Type_contiguous");
    check(MPI_Type_commit(&t), "MPI_Type_commit");
    return t;
  }();
  return type;
}

int as_count(std::size_t lines) {
  SPAR_ASSERT(lines < (std::size_t{1} << 31));
  return static_cast<int>(lines);
}

}  // namespace

struct MessageRound::State {
  MPI_Comm comm;
  int rank;
  int tag;
  const char* operation;
  double deadline;
  // Requests of the round in flight; peers[k] < size is a receive from that rank, otherwise a send to peers[k] - size.
  std::vector<MPI_Request> requests;
  std::vector<int> peers;
  std::vector<MPI_Status> statuses;
  std::vector<std::size_t> arrived;
  int size;

  [[noreturn]] void give_up(std::int64_t step) const {
    for (std::size_t k = 0; k < requests.size(); ++k) {
      int done = 0;
      MPI_Request_get_status(requests[k], &done, MPI_STATUS_IGNORE);
      if (done != 0) continue;
      const bool receives = peers[k] < size;
      fmt::print(stderr,
                 "spar: error: rank {} waited {:.0f} s for rank {} at step {}, while it {}: that rank or the network "
                 "between has stopped (parallel.deadline_seconds sets the patience)\n",
                 rank, deadline, receives ? peers[k] : peers[k] - size, step,
                 fmt::format("{} {}", receives ? "receives" : "sends", operation));
      break;
    }
    std::fflush(stderr);
    abort_all(static_cast<int>(ExitCode::environment));
  }
};

MessageRound::MessageRound(const Communicator& communicator, int tag, const char* operation, double deadline_seconds)
    : state_(std::make_unique<State>(State{communicator.handle_->comm,
                                           communicator.rank(),
                                           tag,
                                           operation,
                                           deadline_seconds,
                                           {},
                                           {},
                                           {},
                                           std::vector<std::size_t>(static_cast<std::size_t>(communicator.size())),
                                           communicator.size()})) {}
MessageRound::MessageRound(MessageRound&&) noexcept = default;

// All ranks leave a training together, so what is in flight arrives; a rank that leaves alone is about to end the job.
MessageRound::~MessageRound() {
  constexpr std::chrono::seconds patience{2};
  if (!state_) return;
  try {
    const auto start = std::chrono::steady_clock::now();
    while (!test() && std::chrono::steady_clock::now() - start < patience) sched_yield();
  } catch (const Error&) {
    // MPI has failed, and whoever noticed it first says so.
  }
}

void MessageRound::receive(int from, void* room, std::size_t lines) {
  State& s = *state_;
  s.arrived[static_cast<std::size_t>(from)] = 0;
  s.peers.push_back(from);
  check(MPI_Irecv(room, as_count(lines), line_type(), from, s.tag, s.comm, &s.requests.emplace_back()), "MPI_Irecv");
}

void MessageRound::send(int to, const void* bytes, std::size_t lines) {
  State& s = *state_;
  s.peers.push_back(s.size + to);
  check(MPI_Isend(bytes, as_count(lines), line_type(), to, s.tag, s.comm, &s.requests.emplace_back()), "MPI_Isend");
}

bool MessageRound::test() {
  State& s = *state_;
  if (s.requests.empty()) return true;
  s.statuses.resize(s.requests.size());
  int done = 0;
  check(MPI_Testall(static_cast<int>(s.requests.size()), s.requests.data(), &done, s.statuses.data()), "MPI_Testall");
  if (done == 0) return false;
  for (std::size_t k = 0; k < s.requests.size(); ++k) {
    if (s.peers[k] >= s.size) continue;
    int count = 0;
    check(MPI_Get_count(&s.statuses[k], line_type(), &count), "MPI_Get_count");
    s.arrived[static_cast<std::size_t>(s.peers[k])] = static_cast<std::size_t>(count);
  }
  s.requests.clear();
  s.peers.clear();
  return true;
}

void MessageRound::wait(std::int64_t step) {
  // The clock is read rarely: a step's waits are microseconds, a deadline is minutes.
  constexpr int tests_per_look = 4096;
  constexpr int tests_before_yield = 32;
  auto start = std::chrono::steady_clock::time_point{};
  for (int tries = 0; !test(); ++tries) {
    if (tries % tests_before_yield == tests_before_yield - 1) sched_yield();
    if (tries % tests_per_look != tests_per_look - 1) continue;
    const auto now = std::chrono::steady_clock::now();
    if (start == std::chrono::steady_clock::time_point{}) start = now;
    if (std::chrono::duration<double>(now - start).count() > state_->deadline) state_->give_up(step);
  }
}

std::size_t MessageRound::received(int from) const {
  return state_->arrived[static_cast<std::size_t>(from)];
}

}  // namespace spar::comm
