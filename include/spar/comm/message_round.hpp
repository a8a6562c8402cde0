#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "spar/comm/communicator.hpp"

namespace spar::comm {

/// Messages are counted in lines of this many bytes, so that int counts reach 128 GiB a message.
inline constexpr std::size_t line = 64;

/// One kind of non-blocking exchange that a training step repeats: at most one message to and one from every other rank
/// at a time. Sizes travel with the messages; the receiver gives room for the largest. Buffers must stay untouched
/// until finished, or until the round is gone: its end waits (a moment) for what is in flight, so declare it after its
/// buffers. Not copyable; used by the main thread of each rank in the same order.
class MessageRound {
 public:
  /// `operation` names the exchange in the deadline's sentence; `tag` (>= 16) must differ between kinds that are in
  /// flight together.
  MessageRound(const Communicator& communicator, int tag, const char* operation, double deadline_seconds);
  MessageRound(MessageRound&&) noexcept;
  ~MessageRound();

  void receive(int from, void* room, std::size_t lines);
  void send(int to, const void* bytes, std::size_t lines);

  /// Makes progress; true when nothing is in flight.
  bool test();
  /// Waits until nothing is in flight. Past the deadline the whole job ends with a sentence that names this rank, a
  /// missing peer, the step and the operation (exit code 3).
  void wait(std::int64_t step);
  /// Lines that arrived from `from` in the round just finished.
  std::size_t received(int from) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spar::comm
