#pragma once
#include <span>
#include <vector>

#include "spar/base/sharding.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/interactions.hpp"
#include "spar/game/neural_batch.hpp"

namespace spar::game {

/// Turns pointwise micro-batches of users and items into those of their profiles: a user is the bag of his training
/// items, an item the bag of its training users, and the rows that a pass needs are those of all members. Users belong
/// to their shard, so their lists are at hand; those of items are with the items' owners, who are asked once a step.
///
/// A step moves, besides the rows: 4 bytes for each distinct item that a rank's shards meet and for each user in its
/// list; it holds 4 bytes for each member of each bag. A shard pulls the distinct members of all its bags, which on
/// small catalogues are most rows; popular items make this mode dear, since their lists are as long as they are
/// popular.
class ProfileBatcher {
 public:
  /// `users`: the training lists of this rank's users; `items`: those of its items (data::transpose). Both must outlive
  /// the batcher. `item_rows` cuts the items into shards.
  ProfileBatcher(const comm::Communicator& communicator, const data::UserLists& users, const data::UserLists& items,
                 const Partition& item_rows);

  /// Collective; one batch for each local shard, as PointSource draws them: rows[0] and rows[1] are the distinct users
  /// and items, slots[0] and slots[1] those of the examples. Afterwards bags[0] and bags[1] are their profiles, in
  /// ascending order, as slots into rows[1] and rows[0], which hold the distinct members. Slots of examples count bags.
  void complete(std::span<NeuralBatch* const> batches);

 private:
  void fetch(std::span<NeuralBatch* const> batches);
  std::span<const ItemId> users_of(Index item) const;
  void fill(NeuralBatch& batch, std::size_t shard);

  const comm::Communicator& communicator_;
  const data::UserLists& users_;
  const data::UserLists& items_;
  Partition item_rows_;
  ShardLayout layout_;
  // Lists of other ranks' items in this step, by ascending item.
  std::vector<ItemId> wanted_;
  std::vector<std::size_t> offsets_;
  std::vector<ItemId> members_;
  std::vector<data::SlotFinder> finders_;  // by local shard
  std::vector<std::size_t> most_;          // keys that each has room for
};

}  // namespace spar::game
