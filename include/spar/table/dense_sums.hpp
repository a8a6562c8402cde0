#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/base/sharding.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/comm/message_round.hpp"
#include "spar/comm/node_memory.hpp"

namespace spar::table {

struct DenseSumsOptions {
  int tag = 0;  ///< the first of two
  double deadline_seconds = 600;
  bool node_memory = true;
};

/// The sum over all shards of vectors that every rank wants whole, along the shard tree: the gradients of a step's
/// dense parameters, in float; statistics of tables (statistics.hpp), in double. Within a rank it is made while the
/// shards finish, in any order and by any thread, then over the ranks without blocking. A step:
///
///   room(k) ... finish(k)   for each of the rank's shards, any thread
///   send()                  collective; returns at once
///   receive(step)           collective
///
/// Two shards that are neighbours in the tree become one room as soon as both have finished, so a rank keeps about as
/// many rooms as it has threads and levels, not one a shard (an adversary of scope batch and the auto-encoders hold all
/// rooms until their last pass). Over the ranks each completes the tree for a segment of
/// its own and gives it to all: 2 x 4 x count bytes in and out of a rank and step (the first half times the subtrees of
/// a rank, where ranks are no power of two; twice that in double). Nothing is allocated once every room of a steady
/// state exists.
template <class T>
class DenseSumsOf {
 public:
  /// `count`: numbers of a vector, a multiple of 16. Collective.
  DenseSumsOf(const comm::Communicator& communicator, const ShardLayout& layout, std::size_t count,
              const DenseSumsOptions& options);

  /// `count` numbers of the rank's k-th shard, until finish(k). The same for every call until then; what stands there
  /// at first is unspecified, but finite.
  T* room(int k);
  void finish(int k);

  /// All of the rank's shards have finished.
  void send();
  /// The sum, the same bits on every rank and any launch; the caller may change it, until the next step's send().
  /// Past the deadline the job ends as MessageRound says.
  T* receive(std::int64_t step);

  /// Bytes given to other ranks since the start.
  std::int64_t bytes_sent() const { return bytes_sent_; }
  /// Rooms made so far.
  std::size_t rooms() const { return memory_.size(); }

 private:
  T* free_room();
  T* arrive(int level, int shard, T* sum);
  void keep_lane(int shard, T* sum);
  int lane_of(int shard) const;
  std::size_t segment_numbers(int rank) const;
  std::size_t segment_begin(int rank) const;
  void sum_segment();

  const comm::Communicator& communicator_;
  ShardLayout layout_;
  std::size_t count_;
  int first_;                   // the rank's first shard
  std::vector<Subtree> lanes_;  // of this rank
  std::vector<int> lane_shards_;
  std::vector<int> lanes_by_rank_;

  std::mutex mutex_;
  std::vector<Buffer<T>> memory_;
  std::vector<T*> free_;
  std::vector<T*> room_of_;               // by local shard
  std::vector<std::vector<T*>> waiting_;  // by level and number in it: a sum whose neighbour is missing
  std::vector<T*> lane_sums_;             // by lane

  comm::NodeRoom<comm::Mailbox> mailboxes_;  // by kind, in it by rank
  comm::NodeRoom<T> outgoing_;               // by rank, in it by lane: segments
  comm::NodeRoom<T> segment_;                // this rank's, complete
  std::vector<Buffer<T>> incoming_;          // by rank: segments of its lanes, from other nodes
  Buffer<T> lanes_of_all_;
  Buffer<T> total_;
  std::unique_ptr<comm::NodeMemory> node_memory_;
  std::unique_ptr<comm::MessageRound> part_round_;
  std::unique_ptr<comm::MessageRound> total_round_;
  std::int64_t bytes_sent_ = 0;
};

using DenseSums = DenseSumsOf<float>;

extern template class DenseSumsOf<float>;
extern template class DenseSumsOf<double>;

}  // namespace spar::table
