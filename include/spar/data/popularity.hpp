#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "spar/base/random.hpp"
#include "spar/base/sharding.hpp"
#include "spar/base/types.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/alias_table.hpp"

/// Items drawn by their popularity, each by the shard that owns it.
namespace spar::data {

/// P(item) = count^power / sum of all over a catalogue that lies in shards: first the shard, by the total of its items,
/// then the item, by a table that only its owner has. A rank keeps 8 bytes for each item of its own and 12 for each
/// shard, so nothing here grows with the catalogue on every rank; whoever draws asks the owner (NegativeService). A
/// function of counts, power and the number of shards: the same draws on any launch.
class Popularity {
 public:
  /// `items` is cut into layout.shards shards; every rank counts what `drawn` of all ranks names (items of training
  /// pairs, any order). Power above 0; at least one item somewhere. Collective; moves 4 bytes an interaction, a
  /// million at a time.
  Popularity(const comm::Communicator& communicator, const ShardLayout& layout, Index items,
             std::span<const ItemId> drawn, double power);

  /// Items that can be drawn, of the whole catalogue.
  Index drawable() const { return drawable_; }
  /// The shard that 64 random bits choose; any rank.
  int shard(std::uint64_t word) const { return static_cast<int>(shards_.draw(word)); }
  /// The item that 64 further bits choose within `shard`, which this rank holds.
  ItemId item(int shard, std::uint64_t word) const {
    return static_cast<ItemId>(items_.begin(shard) + own_[static_cast<std::size_t>(shard - first_shard_)].draw(word));
  }
  /// Both at once, of the halves of a block; where this rank holds all shards.
  ItemId item(const RandomStream::Block& block) const { return item(shard(word64(block, 0)), word64(block, 1)); }
  bool holds(int shard) const { return shard >= first_shard_ && shard < first_shard_ + static_cast<int>(own_.size()); }
  /// Whether this rank holds all shards, so that it draws without asking.
  bool complete() const { return static_cast<int>(own_.size()) == layout_.shards; }
  int rank_of(int shard) const { return layout_.rank_of(shard); }

 private:
  ShardLayout layout_;
  Partition items_;
  int first_shard_;
  AliasTable shards_;
  std::vector<AliasTable> own_;  // of this rank's shards
  Index drawable_ = 0;
};

}  // namespace spar::data
