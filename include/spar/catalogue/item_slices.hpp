#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/base/sharding.hpp"
#include "spar/base/types.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/interactions.hpp"

/// Interactions seen from the items: what the layers as wide as the catalogue read.
namespace spar::catalogue {

/// Some interactions of one user, by ascending item.
struct Cells {
  std::span<const ItemId> items;  ///< global rows
  std::span<const float> values;  ///< empty: all 1
};

/// The interactions of all users with this rank's items, the second copy of the data in training over item slices: a
/// step then needs the ids of its users and no list travels. Memory: 4 bytes an interaction with this rank's items (8
/// with values), and 8 bytes for each user who has some of them.
class ItemSlices {
 public:
  /// Hands each rank the interactions with its items. Collective; every rank gives the lists of its own users
  /// (`values`: one for each of them, in their order; empty on all ranks or on none). Sends each interaction once, in
  /// rounds of at most `round` interactions a rank and the longest list, so that 2 x 4 bytes of each are in flight.
  ItemSlices(const comm::Communicator& communicator, const ShardLayout& layout, Index users, Index items,
             const data::UserLists& own, std::span<const float> values = {},
             std::int64_t round = std::int64_t{1} << 20);

  /// The interactions of a user (any of all) with this rank's items, or with items [first, end) of those.
  Cells of(Index user) const;
  Cells of(Index user, Index first, Index end) const;

  /// How many interactions each of the items [first, end) has, which are this rank's.
  std::vector<std::uint32_t> counts(Index first, Index end) const;

  std::int64_t count() const { return static_cast<std::int64_t>(items_.size()); }
  bool has_values() const { return has_values_; }

 private:
  // The users of one shard who have interactions here: numbers within the shard, ascending, and where their lists end,
  // counted from `begin`.
  struct UserShard {
    std::int64_t begin = 0;
    std::vector<std::uint32_t> users;
    std::vector<std::uint32_t> ends;

    std::int64_t begin_of(std::size_t k) const { return begin + (k == 0 ? 0 : ends[k - 1]); }
  };
  struct Place {
    const UserShard* shard;
    std::size_t k;  // of the first user who is not before the one asked for
    bool found;
  };
  Place find(Index user) const;
  void add_list(Index user, std::uint32_t count);
  void close_lists();

  Partition users_;
  std::vector<UserShard> shards_;
  LargeVector<ItemId> items_;
  LargeVector<float> values_;
  bool has_values_ = false;
};

}  // namespace spar::catalogue
