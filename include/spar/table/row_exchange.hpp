#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/base/sharding.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/comm/message_round.hpp"
#include "spar/comm/node_memory.hpp"
#include "spar/table/contributions.hpp"
#include "spar/table/row_stamps.hpp"
#include "spar/table/table.hpp"

/// Pull and push of the rows of one sharded table.
///
/// A step of the training, on every rank:
///   request(s+1)   each shard names the distinct rows it will need       4 bytes a row named
///   serve(s+1)     the owner finds the rows that are distinct per subtree, answers with slots      4 bytes a row named
///   send_rows(s), receive_rows(s)                                    width floats a distinct row
///   gradient_room(s, c), push(s, c), finish_push(s, c)               width floats a distinct row
///   total(s, c, t), row_of(s, t)                                     the owner's sums, ready for the optimiser
/// What a rank has for itself is never copied nor sent. Rows, sums of gradients and returned rows for another rank are
/// put side by side once; between ranks of one node they, and the lists, are then read where they lie
/// (comm::NodeMemory). Requests of the next step travel while the current one computes, and with
/// pipeline = 1 the pushes of the step before (three sets). A step may push twice (channels 0 and 1: clean gradients,
/// then those at the perturbed rows) and have rows returned in between.
///
/// A *lane* is one maximal aligned subtree of a rank's shards (base/sharding.hpp): the unit that asks, and for which
/// one partial sum a row is sent back. The owner completes the shard tree over the lanes, so a sum is the same bits on
/// any launch.
namespace spar::table {

struct ExchangeOptions {
  std::size_t most_rows_per_shard = 0;  ///< that any shard of any rank ever asks for in one step
  int tag = 16;                         ///< >= 16, in steps of 8: keeps the exchanges of several tables apart
  double deadline_seconds = 600;        ///< ends a hopeless wait
  bool keep_own_rows = false;  ///< receive_rows() copies the rank's own rows, too, so that they stay as they were while
                               ///< updates follow, and gradients of three steps are in flight (pipeline = 1)
  bool node_memory = true;     ///< ranks of one node read each other's memory in place
};

class RowExchange {
 public:
  /// Collective; the options are the same on every rank.
  RowExchange(const comm::Communicator& communicator, const ShardLayout& layout, Table& table,
              const ExchangeOptions& options);

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
  /// Where the set's gradients of this channel are written before push(): for the j-th row that local shard k asked
  /// for at (rows_before(k) + j) * width. One room serves all sets unless rows are kept (pipeline): then each has its
  /// own.
  float* gradient_room(int set, int channel);
  /// Sums those gradients along the tree of each lane, in place, and gives the sums to their owners. The room is in use
  /// until rows of the step after it have been received.
  void push(int set, int channel, std::int64_t step);
  /// Completes the sums at the owner, over the distinct rows that any shard asked for, in no particular order.
  void finish_push(int set, int channel, std::int64_t step);
  int touched(int set) const { return static_cast<int>(sets_[set].touched.size()); }
  /// The local row of this rank's table.
  Index row_of(int set, int t) const { return sets_[set].touched[static_cast<std::size_t>(t)]; }
  /// The sum of all gradients of that row, `width` floats; may be overwritten; valid until rows of the next step are
  /// sent.
  float* total(int set, int channel, int t) const {
    return sets_[set].pushes[channel].totals[static_cast<std::size_t>(t)];
  }

  /// Where one row of answers (perturbations) for each touched row is written before return_rows(): row t at t * width.
  float* return_room(int set);
  /// Gives them back to all that asked for the rows. Blocking. returned() is then valid like row(), until the next
  /// push.
  void return_rows(int set, std::int64_t step);
  const float* returned(int set, int k, int j) const { return returned_rows(set, k)[j]; }
  const float* const* returned_rows(int set, int k) const {
    const Set& s = sets_[static_cast<std::size_t>(set)];
    return s.returned.data() + s.shard_begin[static_cast<std::size_t>(k)];
  }

  /// Bytes of this rank that others have received so far, by message or in place.
  std::int64_t bytes_sent() const { return bytes_sent_; }

 private:
  // What this rank asked of one owner.
  struct Asked {
    comm::NodeRoom<std::uint32_t> ids;     // header line(s), then the lanes' lists: rows counted from the owner's first
    std::size_t count = 0;                 // ids without header
    const std::uint32_t* slots = nullptr;  // the answer: header line(s) with the lanes' distinct counts, then a slot
                                           // for each id
    const float* rows = nullptr;           // distinct rows, lane by lane
    std::size_t distinct = 0;
    std::vector<std::int32_t> lane_ids;       // ids of each own lane
    std::vector<std::int32_t> lane_distinct;  // distinct rows of each
    Buffer<std::uint32_t> slots_room;         // from another node
    Buffer<float> rows_room;
  };
  // What one requester asked of this rank.
  struct Asking {
    const std::uint32_t* ids = nullptr;
    std::size_t count = 0;
    comm::NodeRoom<std::uint32_t> slots;
    comm::NodeRoom<float> rows;  // of the room set
    std::size_t distinct = 0;
    std::vector<std::int32_t> lane_ids;       // ids of each of the requester's lanes
    std::vector<std::int32_t> lane_distinct;  // distinct rows of each
    Buffer<std::uint32_t> ids_room;           // from another node
  };
  struct Push {
    std::vector<float*> sums;    // by slot
    std::vector<float*> totals;  // by touched row
  };
  struct PushRooms {
    Buffer<float> gradients;                      // of all that the rank's shards asked for
    std::vector<comm::NodeRoom<float>> outgoing;  // by owner: the sums of its distinct rows
    std::vector<Buffer<float>> incoming;          // by requester on another node
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
    std::vector<Asked> asked;    // by owner; own entry unused
    std::vector<Asking> asking;  // by requester; own entry unused
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
  };
  // Rows on their way back to who asked for them; a step ends before the next one's are written.
  struct Returns {
    Buffer<float> values;                         // by touched row
    std::vector<comm::NodeRoom<float>> outgoing;  // by requester: the values of its distinct rows
    std::vector<Buffer<float>> incoming;          // by owner on another node
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
  void send_sums(const Set& s, const Push& push, PushRooms& rooms);
  void send_return_rows(int requester, const Set& s);
  void list_returned(Set& s);

  void size_lists();
  void share_rooms(const ExchangeOptions& options);
  template <class Room>
  void for_rooms(Room&& room);
  bool near(int rank) const { return memory_->of(rank) != nullptr; }
  // Rows and gradients of one step are in flight at a time, or of as many as there are sets.
  std::size_t room_set(int set) const { return keep_own_rows_ ? static_cast<std::size_t>(set) : 0; }
  std::size_t lines_per_row() const { return static_cast<std::size_t>(width_) * sizeof(float) / comm::line; }
  std::size_t row_bytes() const { return static_cast<std::size_t>(width_) * sizeof(float); }
  std::size_t header_lines(int rank) const;
  std::size_t most_rows(int rank) const;  // that the rank ever asks for in a step
  std::size_t most_id_lines(int rank) const;

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
  std::array<std::array<PushRooms, 2>, sets> push_rooms_;  // by room_set and channel
  Returns returns_;
  comm::NodeRoom<comm::Mailbox> mailboxes_;  // by kind of message, in it by rank
  std::unique_ptr<comm::NodeMemory> memory_;
  static constexpr int requests_to_settle = 4;
  int requests_ = 0;
  std::vector<float*> row_of_contribution_;
  std::vector<const float*> row_of_slot_;
  Buffer<OwnWanted> own_wanted_;
  Buffer<ForeignWanted> foreign_wanted_;
  std::unique_ptr<comm::MessageRound> id_round_;
  std::unique_ptr<comm::MessageRound> slot_round_;
  std::unique_ptr<comm::MessageRound> row_round_;
  std::unique_ptr<comm::MessageRound> push_round_;
  std::unique_ptr<comm::MessageRound> return_round_;
  std::int64_t bytes_sent_ = 0;
};

}  // namespace spar::table
