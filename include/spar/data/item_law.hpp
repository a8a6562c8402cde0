#pragma once
#include <cstdint>
#include <span>

#include "spar/base/memory.hpp"
#include "spar/base/types.hpp"

namespace spar::data {

/// The law P(item) = count^power / sum of all, over the whole catalogue, by the alias method (Walker 1977; Vose 1991):
/// a draw reads one entry. Items of count 0 are never drawn. 8 bytes an item on every rank that draws: the user's shard
/// must know the item without asking, since it rejects those that the user has. So this grows with the catalogue, and
/// `spar plan` counts it; 80 MB for ten million items. A function of counts and power alone.
class ItemLaw {
 public:
  /// At least one count must be above 0, and the power too.
  ItemLaw(std::span<const std::uint32_t> counts, double power);

  /// The item that 64 random bits choose.
  ItemId item(std::uint64_t word) const;
  /// Items that can be drawn.
  Index drawable() const { return drawable_; }

 private:
  struct Entry {
    std::uint32_t threshold;  // of 2^32: below it the entry's own item, else the alias
    ItemId alias;
  };
  LargeVector<Entry> entries_;
  Index drawable_ = 0;
};

}  // namespace spar::data
