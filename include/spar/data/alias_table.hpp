#pragma once
#include <cstdint>
#include <span>

#include "spar/base/memory.hpp"
#include "spar/base/types.hpp"

namespace spar::data {

/// Draws k with probability weights[k] / sum of all by the alias method (Walker 1977; Vose 1991): a draw reads one
/// entry. 8 bytes a weight. Weights are finite and at least 0; what weighs 0 is never drawn. A function of the weights
/// alone.
class AliasTable {
 public:
  AliasTable() = default;
  /// Fewer than 2^32 weights. Where all are 0 nothing can be drawn: empty().
  explicit AliasTable(std::span<const double> weights);

  bool empty() const { return entries_.empty(); }
  /// What 64 random bits choose; not where empty().
  std::uint32_t draw(std::uint64_t word) const;

 private:
  struct Entry {
    std::uint32_t threshold;  // of 2^32: below it the entry's own number, else the alias
    std::uint32_t alias;
  };
  LargeVector<Entry> entries_;
};

}  // namespace spar::data
