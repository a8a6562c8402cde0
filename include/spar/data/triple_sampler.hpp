#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "spar/base/random.hpp"
#include "spar/base/types.hpp"
#include "spar/data/interactions.hpp"

namespace spar::data {

/// Small distinct sets of a micro-batch: gives every different key a slot in order of first appearance. As large as the
/// micro-batch, never as the catalogue.
class SlotFinder {
 public:
  explicit SlotFinder(std::size_t most_keys = 0);
  void clear();
  /// The slot of `key`; `fresh` tells whether it is new.
  std::int32_t find(std::uint64_t key, bool& fresh);

 private:
  struct Entry {
    std::uint64_t key = 0;
    std::uint32_t generation = 0;
    std::int32_t slot = 0;
  };
  std::vector<Entry> entries_;
  int shift_ = 63;
  std::uint32_t generation_ = 0;
  std::int32_t count_ = 0;
};

/// The triples of one shard in one step. Slots point into the distinct rows, which are numbered in order of first
/// appearance.
struct MicroBatch {
  std::vector<std::int32_t> user;      ///< slots into users
  std::vector<std::int32_t> positive;  ///< slots into items
  std::vector<std::int32_t> negative;
  std::vector<Index> users;  ///< distinct, as local users of the rank (global - first user)
  std::vector<Index> items;  ///< distinct, global rows

  int triples() const { return static_cast<int>(user.size()); }
};

/// Draws the triples (u, i, j) of one shard: its positives in a fresh order every epoch, and for each a negative j that
/// is uniform over the items that u does not have in training (drawn by rejection). Every draw is a function of (seed,
/// epoch, step, shard, place in the micro-batch, attempt).
class TripleSampler {
 public:
  /// The shard's users are local users [first_user, first_user + users) of `lists` (training). `lists` must outlive the
  /// sampler. The purposes tell the streams of training from those of an attack.
  TripleSampler(const UserLists& lists, Index first_user, Index users, int shard, Index total_items, std::uint64_t seed,
                Purpose order_purpose = Purpose::shuffle, Purpose negative_purpose = Purpose::negatives);

  std::int64_t positives() const { return positives_; }
  /// The most triples of any step when an epoch has `steps` steps.
  std::int64_t most_triples(std::int64_t steps) const { return (positives_ + steps - 1) / steps; }

  /// Fixes the order of an epoch. Costs one random access a positive.
  void begin_epoch(std::int64_t epoch);
  /// Entries floor(step * n / steps) .. floor((step + 1) * n / steps) of the epoch's order. Triples whose user has
  /// every item are left out and counted.
  void sample(std::int64_t step, std::int64_t steps, MicroBatch& batch);
  std::int64_t skipped() const { return skipped_; }

 private:
  bool draw_negative(Index user, std::int64_t step, std::uint32_t place, ItemId& item) const;

  const UserLists* lists_;
  Index first_user_;
  int shard_;
  Index total_items_;
  std::int64_t positives_ = 0;
  std::int64_t first_entry_ = 0;
  RandomStream order_stream_;
  RandomStream negative_stream_;
  std::int64_t epoch_ = -1;
  std::int64_t skipped_ = 0;
  std::vector<std::uint32_t> order_;    // the epoch's order of the shard's positives
  std::vector<std::uint32_t> user_of_;  // of each positive, counted from first_user_
  std::size_t most_found_ = 0;  // triples that the finders have room for
  SlotFinder user_slots_;
  SlotFinder item_slots_;
};

}  // namespace spar::data
