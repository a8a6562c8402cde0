#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/base/sharding.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/comm/message_round.hpp"
#include "spar/table/contributions.hpp"
#include "spar/table/table.hpp"

/// Pull and push of the rows of one sharded table.
///
/// A step of the training, on every rank:
///   request(s+1)   each shard names the distinct rows it will need       4 bytes a row named
///   serve(s+1)     the owner finds the rows that are distinct per subtree, answers with slots      4 bytes a row named
///   send_rows(s), receive_rows(s)                                    width floats a distinct row
///   push(s, c, gradients), finish_push(s, c)                         width floats a distinct row
///   total(s, c, t), row_of(s, t)                                     the owner's sums, ready for the optimiser
/// What a rank has for itself is never copied nor sent. Requests of the next step travel while the current one
/// computes, and with pipeline = 1 the pushes of the step before (three sets). A step may push twice (channels 0 and 1:
/// clean gradients, then those at the perturbed rows) and have rows returned in between.
///
/// A *lane* is one maximal aligned subtree of a rank's shards (base/sharding.hpp): the unit that asks, and for which
/// one partial sum a row is sent back. The owner completes the shard tree over the lanes, so a sum is the same bits on
/// any launch.
namespace spar::table {

class RowExchange {
 public:
  /// `most_rows_per_shard`: the most rows that any shard of any rank ever asks for in one step; the same on every rank.
  /// `tag` (>= 16, in steps of 8) keeps the exchanges of several tables apart; `deadline_seconds` ends a hopeless wait;
  /// `copy_own_rows`: receive_rows() copies the rank's own rows, too, so that they stay as they were while updates
  /// follow (pipeline = 1).
  RowExchange(const comm::Communicator& communicator, const ShardLayout& layout, Table& table,
              std::size_t most_rows_per_shard, int tag, double deadline_seconds, bool copy_own_rows);

  /// Steps that may be in flight together: one whose gradients travel, one that computes, one whose rows are fetched.
  static constexpr int sets = 3;

  /// What the ranks tell each other with every request; the union of all ranks' flags comes out of serve().
  using Flags = std::uint32_t;

  /// Starts sending what each of this rank's shards will need: wanted[k] = distinct global rows of local shard k. `set`
  /// is 0, 1 or 2; the lists may go when this returns.
  void request(int set, std::span<const std::span<const Index>> wanted, Flags flags, std::int64_t step);
  /// Makes progress on what is in flight; cheap.
  void progress();
  /// Completes the requests of all ranks, starts the answers (slots). Returns the union of the flags.
  Flags serve(int set, std::int64_t step);

  /// Starts sending the rows that others asked for, as they are now.
  void send_rows(int set, std::int64_t step);
  /// Completes slots and rows: row() is valid from here to the next receive_rows() of the same set.
  void receive_rows(int set, std::int64_t step);
  /// The values of the j-th row that local shard k asked for, `width` floats.
  const float* row(int set, int k, int j) const { return sets_[set].rows[slot(set, k, j)]; }

  /// Sums gradients[k] (local shard k: the row for the j-th row it asked for at gradients[k] + j * width; overwritten,
  /// in use until finish_push) along the tree of each lane and starts sending the sums to their owners.
  void push(int set, int channel, std::span<float* const> gradients, std::int64_t step);
  bool push_arrived() { return push_round_.test(); }
  /// Completes the sums at the owner, over the distinct rows that any shard asked for, in no particular order.
  void finish_push(int set, int channel, std::int64_t step);
  int touched(int set) const { return static_cast<int>(sets_[set].touched.size()); }
  /// The local row of this rank's table.
  Index row_of(int set, int t) const { return sets_[set].touched[static_cast<std::size_t>(t)]; }
  /// The sum of all gradients of that row, `width` floats; may be overwritten; valid until the set's and channel's next
  /// push.
  float* total(int set, int channel, int t) const {
    return sets_[set].pushes[channel].totals[static_cast<std::size_t>(t)];
  }

  /// Sends one row for each touched row back to all that asked for it (perturbations): values[t * width ..]. Blocking.
  /// returned() is then valid like row().
  void return_rows(int set, const float* values, std::int64_t step);
  const float* returned(int set, int k, int j) const { return sets_[set].returned[slot(set, k, j)]; }

  /// Bytes this rank sent to others so far.
  std::int64_t bytes_sent() const { return bytes_sent_; }

 private:
  struct Peer {                   // what one rank asked of this one, or this one of it
    Buffer<std::uint32_t> ids;    // header line, then the lanes' lists: rows counted from the owner's first
    std::size_t count = 0;        // ids without header
    Buffer<std::uint32_t> slots;  // answer: header line(s) with the lanes' distinct counts, then a slot for each id
    Buffer<float> rows;           // distinct rows, lane by lane
    std::size_t distinct = 0;
    std::vector<std::int32_t> lane_ids;       // ids of each lane
    std::vector<std::int32_t> lane_distinct;  // distinct rows of each lane
  };
  struct Push {
    std::vector<Buffer<float>> outgoing;  // by owner
    std::vector<Buffer<float>> incoming;  // by requester
    std::vector<float*> sums;             // by slot
    std::vector<float*> totals;           // by touched row
  };
  struct Lane {
    Subtree subtree;
    int index_in_rank = 0;
  };
  struct Set {
    std::vector<Peer> asked;   // by owner: what this rank asked
    std::vector<Peer> asking;  // by requester: what others asked of this rank; own entry unused
    Flags flags = 0;
    // This rank as requester. Positions number the ids of one lane owner by owner; slots number its distinct rows
    // likewise.
    std::vector<std::size_t> shard_begin;       // local shard k's ids are [shard_begin[k], shard_begin[k+1])
    std::vector<std::uint32_t> owner;           // of each id
    std::vector<std::uint32_t> position;        // of each id within (owner, lane)
    std::vector<std::uint32_t> slot;            // of each id, within all distinct rows of the rank's lanes
    std::vector<std::int32_t> lane_slot_begin;  // [lane * ranks + owner]: first slot; last entry: all
    std::vector<const float*> rows;             // by slot
    std::vector<const float*> returned;         // by slot
    Contributions shard_sums;
    Buffer<float> own_rows;  // copy_own_rows
    // This rank as owner.
    std::vector<std::vector<std::uint32_t>> lane_rows;     // by global lane: local rows, distinct
    std::vector<std::vector<std::uint32_t>> lane_touched;  // the same as indices into touched
    std::vector<std::uint32_t> touched;
    Contributions lane_sums;
    std::array<Push, 2> pushes;
    std::vector<Buffer<float>> return_outgoing;  // by requester
    std::vector<Buffer<float>> return_incoming;  // by owner
  };

  std::size_t slot(int set, int k, int j) const {
    const Set& s = sets_[set];
    return s.slot[s.shard_begin[static_cast<std::size_t>(k)] + static_cast<std::size_t>(j)];
  }
  int owner_of(Index row) const;
  int lanes_of(int rank) const {
    return lane_begin_[static_cast<std::size_t>(rank) + 1] - lane_begin_[static_cast<std::size_t>(rank)];
  }
  void collect_ids(Set& s, std::span<const std::span<const Index>> wanted);
  void find_distinct(Set& s, int lane, const std::uint32_t* ids, std::uint32_t* slots, std::size_t count);
  void find_touched(Set& s);
  void assign_slots(Set& s);
  void send_sums(Set& s, Push& push);
  std::size_t lines_per_row() const { return static_cast<std::size_t>(width_) * sizeof(float) / comm::line; }
  std::size_t row_bytes() const { return static_cast<std::size_t>(width_) * sizeof(float); }
  std::size_t header_lines(int rank) const;

  const comm::Communicator& communicator_;
  ShardLayout layout_;
  Table& table_;
  int rank_;
  int ranks_;
  int width_;
  bool copy_own_rows_;
  std::size_t most_rows_per_shard_;
  std::vector<Index> bounds_;  // first row of each rank
  double rows_per_rank_inverse_;
  std::vector<Lane> lanes_;           // of all ranks, in shard order
  std::vector<int> lane_begin_;       // by rank
  std::vector<int> lane_of_shard_;    // by local shard: index in rank
  std::vector<std::uint32_t> stamp_;  // by local row: the lane search that met it last
  std::vector<std::uint32_t> stamp_slot_;
  std::uint32_t search_ = 0;
  std::array<Set, sets> sets_;
  std::vector<float*> row_of_contribution_;
  comm::MessageRound id_round_;
  comm::MessageRound slot_round_;
  comm::MessageRound row_round_;
  comm::MessageRound push_round_;
  comm::MessageRound return_round_;
  std::int64_t bytes_sent_ = 0;
};

}  // namespace spar::table
