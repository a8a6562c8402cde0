#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "spar/base/memory.hpp"
#include "spar/base/types.hpp"
#include "spar/data/dislike_law.hpp"
#include "spar/data/interactions.hpp"

namespace spar::data {

/// What a law says besides how items are weighed.
struct LawOptions {
  bool own_items = false;  ///< whether negatives may be the user's own training items (nobody is then left out)
  int candidates = 1;      ///< draws for each negative, which is the one that the model scores highest
};

/// The law of negatives: how items are weighed, and what may be one. Either uniform, which keeps nothing, or
/// P(item) = count^power / sum of all, over the whole catalogue, by the alias method (Walker 1977; Vose 1991): a draw
/// reads one entry. Items of count 0 are never drawn. 8 bytes an item on every rank that draws: the user's shard must
/// know the item without asking, since it rejects those that the user has. So this grows with the catalogue, and
/// `spar plan` counts it; 80 MB for ten million items. A function of counts, power and options alone.
class ItemLaw {
 public:
  /// At least one count must be above 0, and the power too.
  ItemLaw(std::span<const std::uint32_t> counts, double power, LawOptions options = {});
  /// Uniform over items 0 to items - 1.
  explicit ItemLaw(Index items, LawOptions options = {});

  /// The item that 64 random bits choose.
  ItemId item(std::uint64_t word) const;
  /// Items that can be drawn.
  Index drawable() const { return drawable_; }
  const LawOptions& options() const { return options_; }

  /// Users' dislikes stand before this law; nullptr, as it is without a call: they do not.
  void use_dislikes(std::shared_ptr<const DislikeLaw> dislikes) { dislikes_ = std::move(dislikes); }
  const DislikeLaw* dislikes() const { return dislikes_.get(); }

 private:
  struct Entry {
    std::uint32_t threshold;  // of 2^32: below it the entry's own item, else the alias
    ItemId alias;
  };
  LargeVector<Entry> entries_;  // none: uniform
  Index drawable_ = 0;
  LawOptions options_;
  std::shared_ptr<const DislikeLaw> dislikes_;
};

}  // namespace spar::data
