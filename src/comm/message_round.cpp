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

std::size_t at(int rank) {
  return static_cast<std::size_t>(rank);
}

}  // namespace

struct MessageRound::State {
  // What came from one rank, and how many messages went each way through mailboxes.
  struct Peer {
    Mailbox* to = nullptr;    // in the own block; nullptr: another node
    Mailbox* from = nullptr;  // in the peer's block
    std::byte* block = nullptr;
    std::uint64_t sent = 0;
    std::uint64_t read = 0;
    std::byte* arrived = nullptr;
    std::size_t lines = 0;
  };

  MPI_Comm comm;
  int rank;
  int tag;
  const char* operation;
  double deadline;
  // Requests of the round in flight; ranks[k] < size is a receive from that rank, otherwise a send to ranks[k] - size.
  std::vector<MPI_Request> requests;
  std::vector<int> ranks;
  std::vector<MPI_Status> statuses;
  std::vector<int> expected;  // ranks whose notice has not come yet
  std::vector<Peer> peers;
  int full = -1;  // the rank whose mailbox has no free place
  const NodeMemory* memory = nullptr;

  int size() const { return static_cast<int>(peers.size()); }
  bool test_messages();
  bool test_notices();
  template <class Done>
  void wait_for(std::int64_t step, Done&& done);
  [[noreturn]] void give_up(std::int64_t step) const;
};

bool MessageRound::State::test_messages() {
  if (requests.empty()) return true;
  statuses.resize(requests.size());
  int done = 0;
  check(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, statuses.data()), "MPI_Testall");
  if (done == 0) return false;
  for (std::size_t k = 0; k < requests.size(); ++k) {
    if (ranks[k] >= size()) continue;
    int count = 0;
    check(MPI_Get_count(&statuses[k], line_type(), &count), "MPI_Get_count");
    peers[at(ranks[k])].lines = static_cast<std::size_t>(count);
  }
  requests.clear();
  ranks.clear();
  return true;
}

bool MessageRound::State::test_notices() {
  while (!expected.empty()) {
    Peer& peer = peers[at(expected.back())];
    const std::uint64_t number = peer.read + 1;
    const Mailbox::Notice& notice = peer.from->notices[number % Mailbox::places];
    if (notice.number.load(std::memory_order_acquire) != number) return false;
    peer.arrived = peer.block + notice.offset;
    peer.lines = notice.lines;
    peer.read = number;
    peer.from->read.store(number, std::memory_order_release);
    expected.pop_back();
  }
  return true;
}

void MessageRound::State::give_up(std::int64_t step) const {
  int missing = full >= 0 ? size() + full : expected.empty() ? -1 : expected.back();
  for (std::size_t k = 0; k < requests.size() && missing < 0; ++k) {
    int done = 0;
    MPI_Request_get_status(requests[k], &done, MPI_STATUS_IGNORE);
    if (done == 0) missing = ranks[k];
  }
  const bool receives = missing < size();
  fmt::print(stderr,
             "spar: error: rank {} waited {:.0f} s for rank {} at step {}, while it {}: that rank or the network "
             "between has stopped (parallel.deadline_seconds sets the patience)\n",
             rank, deadline, receives ? missing : missing - size(), step,
             fmt::format("{} {}", receives ? "receives" : "sends", operation));
  std::fflush(stderr);
  abort_all(static_cast<int>(ExitCode::environment));
}

template <class Done>
void MessageRound::State::wait_for(std::int64_t step, Done&& done) {
  // The clock is read rarely: a step's waits are microseconds, a deadline is minutes.
  constexpr int tests_per_look = 4096;
  constexpr int tests_before_yield = 32;
  auto start = std::chrono::steady_clock::time_point{};
  for (int tries = 0; !done(); ++tries) {
    if (tries % tests_before_yield == tests_before_yield - 1) sched_yield();
    if (tries % tests_per_look != tests_per_look - 1) continue;
    const auto now = std::chrono::steady_clock::now();
    if (start == std::chrono::steady_clock::time_point{}) start = now;
    if (std::chrono::duration<double>(now - start).count() > deadline) give_up(step);
  }
}

MessageRound::MessageRound(const Communicator& communicator, int tag, const char* operation, double deadline_seconds,
                           const NodeMemory* memory, Mailbox* mailboxes)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.comm = communicator.handle_->comm;
  s.rank = communicator.rank();
  s.tag = tag;
  s.operation = operation;
  s.deadline = deadline_seconds;
  s.memory = memory;
  s.peers.resize(at(communicator.size()));
  if (memory == nullptr || memory->own() == nullptr) return;
  const auto offset = reinterpret_cast<std::byte*>(mailboxes) - memory->own();
  for (int r = 0; r < communicator.size(); ++r) {
    State::Peer& peer = s.peers[at(r)];
    peer.block = r == s.rank ? nullptr : memory->of(r);
    if (peer.block == nullptr) continue;
    peer.to = mailboxes + r;
    peer.from = reinterpret_cast<Mailbox*>(peer.block + offset) + s.rank;
  }
}
MessageRound::MessageRound(MessageRound&&) noexcept = default;

// All ranks leave a training together, so what is in flight arrives; a rank that leaves alone is about to end the job.
MessageRound::~MessageRound() {
  constexpr std::chrono::seconds patience{2};
  if (!state_) return;
  try {
    const auto start = std::chrono::steady_clock::now();
    while (!state_->test_messages() && std::chrono::steady_clock::now() - start < patience) sched_yield();
  } catch (const Error&) {
    // MPI has failed, and whoever noticed it first says so.
  }
}

void MessageRound::receive(int from, void* room, std::size_t lines) {
  State& s = *state_;
  State::Peer& peer = s.peers[at(from)];
  peer.lines = 0;
  if (peer.from != nullptr) {
    s.expected.push_back(from);
    return;
  }
  peer.arrived = static_cast<std::byte*>(room);
  s.ranks.push_back(from);
  check(MPI_Irecv(room, as_count(lines), line_type(), from, s.tag, s.comm, &s.requests.emplace_back()), "MPI_Irecv");
}

void MessageRound::send(int to, const void* bytes, std::size_t lines) {
  State& s = *state_;
  State::Peer& peer = s.peers[at(to)];
  if (peer.to == nullptr) {
    s.ranks.push_back(s.size() + to);
    check(MPI_Isend(bytes, as_count(lines), line_type(), to, s.tag, s.comm, &s.requests.emplace_back()), "MPI_Isend");
    return;
  }
  SPAR_ASSERT(lines == 0 || s.memory->holds(bytes));
  const std::uint64_t number = ++peer.sent;
  // A place is free long before it is needed again: the exchange waits for answers in between.
  s.full = to;
  s.wait_for(static_cast<std::int64_t>(number),
             [&] { return number <= Mailbox::places + peer.to->read.load(std::memory_order_acquire); });
  s.full = -1;
  Mailbox::Notice& notice = peer.to->notices[number % Mailbox::places];
  notice.offset = lines == 0 ? 0 : static_cast<std::uint64_t>(static_cast<const std::byte*>(bytes) - s.memory->own());
  notice.lines = lines;
  notice.number.store(number, std::memory_order_release);
}

bool MessageRound::test() {
  const bool notices = state_->test_notices();
  return state_->test_messages() && notices;
}

void MessageRound::wait(std::int64_t step) {
  state_->wait_for(step, [&] { return test(); });
}

std::size_t MessageRound::received(int from) const {
  return state_->peers[at(from)].lines;
}

std::byte* MessageRound::arrived(int from) const {
  return state_->peers[at(from)].arrived;
}

}  // namespace spar::comm
