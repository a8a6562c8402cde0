#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "spar/base/random.hpp"
#include "spar/base/types.hpp"
#include "spar/data/interactions.hpp"
#include "spar/data/item_law.hpp"

namespace spar::data {

/// Small distinct sets of a micro-batch: gives every different key a slot in order of first appearance. As large as the
/// micro-batch, never as the catalogue.
class SlotFinder {
 public:
  explicit SlotFinder(std::size_t most_keys = 0);
  void clear();
  /// The slot of `key`; `fresh` tells whether it is new.
  std::int32_t find(std::uint32_t key, bool& fresh) {
    // Fibonacci hashing (Knuth, volume 3, 6.4): the table is a quarter full at most, so probes are short.
    for (std::uint32_t place = (key * 0x9e3779b9U) >> shift_;; place = (place + 1) & mask_) {
      Entry& entry = entries_[place];
      const std::uint32_t slot = entry.stamp - base_;
      if (slot >= count_) {
        entry = {key, base_ + count_};
        fresh = true;
        return static_cast<std::int32_t>(count_++);
      }
      if (entry.key == key) {
        fresh = false;
        return static_cast<std::int32_t>(slot);
      }
    }
  }

 private:
  // Stamps of earlier sets lie below base_, so that clearing writes nothing.
  struct Entry {
    std::uint32_t key = 0;
    std::uint32_t stamp = 0;
  };
  std::vector<Entry> entries_;
  int shift_ = 31;
  std::uint32_t mask_ = 0;
  std::uint32_t base_ = 1;
  std::uint32_t count_ = 0;
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
  void resize(std::size_t triples, std::size_t distinct_users, std::size_t distinct_items) {
    for (auto* slots : {&user, &positive, &negative}) slots->resize(triples);
    users.resize(distinct_users);
    items.resize(distinct_items);
  }
};

/// Draws the triples (u, i, j) of one shard: its positives in a fresh order every epoch, and for each a negative j that
/// is uniform over the items that u does not have in training (drawn by rejection), or follows an ItemLaw and what
/// stands before it. Every draw is a function of (seed, epoch, step, shard, place in the micro-batch, attempt).
///
/// Places of a step: the negatives for each of its positives, in their order; then as many again for every further
/// candidate of the law.
class TripleSampler {
 public:
  /// The shard's users are local users [first_user, first_user + users) of `lists` (training). `lists` must outlive the
  /// sampler. The purposes tell the streams of training from those of an attack.
  TripleSampler(const UserLists& lists, Index first_user, Index users, int shard, Index total_items, std::uint64_t seed,
                Purpose order_purpose = Purpose::shuffle, Purpose negative_purpose = Purpose::negatives);

  /// Negatives come from this law, which must outlive the sampler, instead of the uniform one; nullptr: uniform. Where
  /// law->needs_service(), a NegativeService must have drawn a step before it is sampled.
  void use_law(const ItemLaw* law) {
    law_ = law;
    dislikes_ = law == nullptr ? nullptr : law->dislikes();
    rejects_ = law == nullptr || !law->options().own_items;
  }
  /// Negatives for each positive: 1 unless told.
  void set_negatives_each(int negatives) { negatives_each_ = negatives; }

  std::int64_t positives() const { return positives_; }
  /// The most triples of any step when an epoch has `steps` steps.
  std::int64_t most_triples(std::int64_t steps) const { return (positives_ + steps - 1) / steps; }

  /// Fixes the order of an epoch. Costs one random access a positive, within the shard's own 8 bytes each.
  void begin_epoch(std::int64_t epoch);
  /// Entries floor(step * n / steps) .. floor((step + 1) * n / steps) of the epoch's order. Triples whose user has
  /// every item are left out and counted. `next`: the sampler that draws after this one, whose first lists are asked
  /// for meanwhile. Moves, per triple: 8 bytes of the order, the user's two offsets and the first lines of its list.
  void sample(std::int64_t step, std::int64_t steps, MicroBatch& batch, const TripleSampler* next = nullptr);
  std::int64_t skipped() const { return skipped_; }

  /// A positive of the shard; users counted from the shard's first.
  struct Positive {
    std::uint32_t user;
    ItemId item;
  };
  /// Places of a step of `steps`, and the positive that asks at one of them.
  std::int64_t places(std::int64_t step, std::int64_t steps) const {
    return ((step + 1) * positives_ / steps - step * positives_ / steps) * negatives_each_ * candidates();
  }
  const Positive& positive_at(std::int64_t step, std::int64_t steps, std::int64_t place) const {
    const std::int64_t first = step * positives_ / steps;
    const std::int64_t positives = (step + 1) * positives_ / steps - first;
    return positive(first + place % (positives * negatives_each_) / negatives_each_);
  }
  /// Whether local user `user` has every item that can be drawn, so that he gets no negative.
  bool lacks_negatives(Index user) const {
    const Index drawable = law_ != nullptr ? law_->drawable() : total_items_;
    return rejects_ && static_cast<Index>(lists_->of(user).size()) >= drawable;
  }
  /// The bits of one attempt at a place of the epoch that has begun.
  RandomStream::Block attempt(std::int64_t step, std::uint32_t place, std::uint32_t attempt) const {
    return negative_stream_.block(place, (static_cast<std::uint32_t>(shard_) << 20) | attempt,
                                  static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(epoch_));
  }
  /// The negatives of consecutive steps, drawn elsewhere: step first_step + k has those from offsets[k] on, by place.
  /// Sixteen further entries must follow the last. What they refer to must outlive the steps' sampling.
  struct Served {
    std::int64_t first_step = 0;
    std::span<const std::size_t> offsets{};
    const ItemId* items = nullptr;

    const ItemId* at(std::int64_t step, std::uint32_t place) const {
      return items + offsets[static_cast<std::size_t>(step - first_step)] + place;
    }
  };
  void use_served(const Served& served) { served_ = served; }

  /// The epoch's order, for samplers that make something else than triples of it.
  const Positive& positive(std::int64_t entry) const { return order_[static_cast<std::size_t>(entry)]; }
  Index first_user() const { return first_user_; }
  /// The negative of local user `user` at `place` of the step's draws; false where the user has every item.
  bool draw_negative(Index user, std::int64_t step, std::uint32_t place, ItemId& item) const;
  /// What draw_negative() tries first at sixteen places from `place` on, whoever the users are: most are negatives.
  void draw_first(std::int64_t step, std::uint32_t place, ItemId* items) const;
  /// Whether local user `user` has `item` in training.
  bool owns(Index user, ItemId item) const;
  /// Draws for each negative that the law asks for; sample() makes the first of them.
  int candidates() const { return law_ == nullptr ? 1 : law_->options().candidates; }
  /// Whether what draw_first() drew for him may not be his negative, so that draw_negative() is asked. Where dislikes
  /// stand before the law it always is.
  bool rejects(Index user, ItemId item) const { return dislikes_ != nullptr || (rejects_ && owns(user, item)); }

 private:
  class Lookahead;

  void fill_order();
  template <bool by_dislikes>
  void sample_by(std::int64_t step, std::int64_t steps, MicroBatch& batch, const TripleSampler* next);
  bool has(Index user, ItemId item) const;
  bool draw_dislike(Index user, std::int64_t step, std::uint32_t place, ItemId& item) const;
  ItemId uniform(std::uint64_t word) const {
    return static_cast<ItemId>(bounded(word, static_cast<std::uint64_t>(total_items_)));
  }
  const Popularity* popularity() const { return law_ != nullptr ? law_->popularity() : nullptr; }

  const UserLists* lists_;
  Index first_user_;
  int shard_;
  Index total_items_;
  const ItemLaw* law_ = nullptr;
  const DislikeLaw* dislikes_ = nullptr;  // of the law
  bool rejects_ = true;
  int negatives_each_ = 1;
  Served served_;
  std::int64_t positives_ = 0;
  Index users_;
  RandomStream order_stream_;
  RandomStream negative_stream_;
  std::int64_t epoch_ = -1;
  std::int64_t skipped_ = 0;
  LargeVector<Positive> order_;  // read from front to back, so that only the users' lists are far away
};

}  // namespace spar::data
