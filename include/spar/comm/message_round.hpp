#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "spar/comm/communicator.hpp"
#include "spar/comm/node_memory.hpp"

namespace spar::comm {

/// Messages are counted in lines of this many bytes, so that int counts reach 128 GiB a message.
inline constexpr std::size_t line = 64;

/// What one rank tells another one of its node: where the bytes of its latest messages lie in its own block. The
/// mailbox lies in the sender's block, too.
struct alignas(line) Mailbox {
  static constexpr std::size_t places = 4;  ///< notices that may be under way
  struct alignas(line) Notice {
    std::atomic<std::uint64_t> number;  ///< of the message, from 1; written last
    std::uint64_t offset;               ///< in the sender's block
    std::uint64_t lines;
  };
  Notice notices[places];                         // message n at n % places
  alignas(line) std::atomic<std::uint64_t> read;  ///< the last number that the receiver has read
};

/// One kind of non-blocking exchange that a training step repeats: at most one message to and one from every other rank
/// at a time. Sizes travel with the messages; the receiver gives room for the largest. Used by the main thread of each
/// rank in the same order. Not copyable.
///
/// To ranks of other nodes a message is copied by MPI: buffers must stay untouched until finished, or until the round
/// is gone: its end waits (a moment) for what is in flight, so declare it after its buffers. Between ranks that share
/// NodeMemory only a notice travels: the receiver reads the sender's bytes in place, and the sender must not change
/// them before it knows, by a later message of that receiver, that they have been read.
class MessageRound {
 public:
  /// `operation` names the exchange in the deadline's sentence; `tag` (>= 16) must differ between kinds that are in
  /// flight together. `mailboxes`: one for every rank, at the same offset of every rank's block, all zero; nullptr:
  /// messages only.
  MessageRound(const Communicator& communicator, int tag, const char* operation, double deadline_seconds,
               const NodeMemory* memory = nullptr, Mailbox* mailboxes = nullptr);
  MessageRound(MessageRound&&) noexcept;
  ~MessageRound();

  /// `room` for at most `lines`; not needed (and not written) where `from` shares its memory.
  void receive(int from, void* room, std::size_t lines);
  /// `bytes` lie in the own block of the node memory where `to` shares it.
  void send(int to, const void* bytes, std::size_t lines);

  /// Makes progress; true when nothing is in flight.
  bool test();
  /// Waits until nothing is in flight. Past the deadline the whole job ends with a sentence that names this rank, a
  /// missing peer, the step and the operation (exit code 3).
  void wait(std::int64_t step);
  /// Lines that arrived from `from` in the round just finished.
  std::size_t received(int from) const;
  /// Where they lie: in the room given, or in the sender's block.
  std::byte* arrived(int from) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spar::comm
