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
#include "spar/table/row_stamps.hpp"
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
  /// `keep_own_rows`: receive_rows() copies the rank's own rows, too, so that they stay as they were while updates
  /// follow (pipeline = 1).
  RowExchange(const comm::Communicator& communicator, const ShardLayout& layout, Table& table,
              std::size_t most_rows_per_shard, int tag, double deadline_seconds, bool keep_own_rows);

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
  const float* row(int set, int k, int j) const { return rows(set, k)[j]; }
  /// The same as a list, as long as the shard's request.
  const float* const* rows(int set, int k) const {
    const Set& s = sets_[static_cast<std::size_t>(set)];
    return s.rows.data() + s.shard_begin[static_cast<std::size_t>(k)];
  }

  /// The rows that all local shards asked for, each shard counted: so many rows of gradient does a push take.
  std::size_t asked_rows(int set) const { return sets_[static_cast<std::size_t>(set)].shard_begin.back(); }
  /// How many of them stand before those of local shard k.
  std::size_t rows_before(int set, int k) const {
    return sets_[static_cast<std::size_t>(set)].shard_begin[static_cast<std::size_t>(k)];
  }
  /// Sums the gradients (for the j-th row that local shard k asked for at gradients[(rows_before(k) + j) * width];
  /// overwritten, in use until the set's and channel's next push) along the tree of each lane and starts sending the
  /// sums to their owners.
  void push(int set, int channel, float* gradients, std::int64_t step);
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
  const float* returned(int set, int k, int j) const { return returned_rows(set, k)[j]; }
  const float* const* returned_rows(int set, int k) const {
    const Set& s = sets_[static_cast<std::size_t>(set)];
    return s.returned.data() + s.shard_begin[static_cast<std::size_t>(k)];
  }

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
  // A row of another rank that a shard of this rank asked for.
  struct Foreign {
    std::uint32_t contribution;  // its number among all that the rank's shards asked for
    std::uint32_t owner;
    std::uint32_t position;  // in the list sent to the owner
  };
  // A row that a shard of this rank asked for: `contribution` is its number among all that the rank's shards ask for.
  struct OwnWanted {
    std::uint32_t contribution;
    std::int32_t shard;
    std::uint32_t local;
  };
  struct ForeignWanted {
    std::uint32_t contribution;
    Index row;
  };
  struct Set {
    std::vector<Peer> asked;   // by owner: what this rank asked; own entry unused
    std::vector<Peer> asking;  // by requester: what others asked of this rank; own entry unused
    Flags flags = 0;
    // This rank as requester. Slots number the distinct rows of each of its lanes: first the rank's own, lane by lane,
    // then owner by owner those of others, lane by lane.
    std::vector<std::size_t> shard_begin;  // local shard k's ids are [shard_begin[k], shard_begin[k+1])
    std::vector<std::int32_t> slot;        // of each id
    std::vector<const float*> rows;        // of each id: where its values are
    std::vector<Foreign> foreign;
    std::vector<std::int32_t> own_begin;   // by own lane: first slot of the rank's own rows; last entry: all
    std::vector<std::int32_t> slot_begin;  // by owner
    std::vector<const float*> returned;    // of each id
    Contributions shard_sums;
    Buffer<float> own_rows;  // keep_own_rows: by slot
    // This rank as owner.
    std::vector<std::vector<std::uint32_t>> lane_rows;     // by global lane: local rows, distinct
    std::vector<std::vector<std::uint32_t>> lane_touched;  // the same as indices into touched
    std::vector<std::uint32_t> touched;
    Contributions lane_sums;
    std::array<Push, 2> pushes;
    std::vector<Buffer<float>> return_outgoing;  // by requester
    std::vector<Buffer<float>> return_incoming;  // by owner
  };

  int slots(const Set& s) const { return s.slot_begin.back(); }
  int owner_of(Index row) const;
  int lanes_of(int rank) const {
    return lane_begin_[static_cast<std::size_t>(rank) + 1] - lane_begin_[static_cast<std::size_t>(rank)];
  }
  void reset_lists(Set& s, std::span<const std::span<const Index>> wanted);
  void collect_ids(Set& s, std::span<const std::span<const Index>> wanted);
  void collect_lane(Set& s, std::span<const std::span<const Index>> wanted, std::size_t begin, std::size_t end);
  void place_own(Set& s, std::size_t lane, std::size_t count);
  void send_ids(Set& s);
  void answer(Set& s, int requester);
  void find_distinct(Set& s, int lane, const std::uint32_t* ids, std::uint32_t* slots, std::size_t count);
  void find_touched(Set& s);
  void assign_slots(Set& s);
  void place_foreign_rows(Set& s);
  void copy_own_rows(Set& s);
  void send_sums(Set& s, Push& push);
  void list_returned(Set& s, const float* values);
  std::size_t lines_per_row() const { return static_cast<std::size_t>(width_) * sizeof(float) / comm::line; }
  std::size_t row_bytes() const { return static_cast<std::size_t>(width_) * sizeof(float); }
  std::size_t header_lines(int rank) const;

  const comm::Communicator& communicator_;
  ShardLayout layout_;
  Table& table_;
  int rank_;
  int ranks_;
  int width_;
  bool keep_own_rows_;
  std::size_t most_rows_per_shard_;
  std::vector<Index> bounds_;  // first row of each rank
  double rows_per_rank_inverse_;
  std::vector<Lane> lanes_;         // of all ranks, in shard order
  std::vector<int> lane_begin_;     // by rank
  std::vector<int> lane_of_shard_;  // by local shard: index in rank
  RowStamps stamps_;
  std::array<Set, sets> sets_;
  std::vector<float*> row_of_contribution_;
  std::vector<const float*> row_of_slot_;
  Buffer<OwnWanted> own_wanted_;
  Buffer<ForeignWanted> foreign_wanted_;
  comm::MessageRound id_round_;
  comm::MessageRound slot_round_;
  comm::MessageRound row_round_;
  comm::MessageRound push_round_;
  comm::MessageRound return_round_;
  std::int64_t bytes_sent_ = 0;
};

}  // namespace spar::table
