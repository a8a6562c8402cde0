#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "spar/comm/communicator.hpp"
#include "spar/evaluate/evaluator.hpp"

namespace spar::evaluate {

/// One item's row wherever it is held; valid until the next fetch.
struct ItemRow {
  const float* row = nullptr;
  float bias = 0;
  bool has_bias = false;
  bool seen = true;
  const catalogue::PairFunction* pairs = nullptr;

  /// The score of a user's row and this item: the same bits as the block kernel's.
  float score(const float* user, int dim) const;
};

/// Rows of chosen items, fetched from the ranks that hold them, each distinct row once.
class ItemRows {
 public:
  /// Collective.
  ItemRows(const comm::Communicator& communicator, int shards, const Scorer& scorer,
           const std::vector<std::uint8_t>* seen_items);

  /// Fetches the rows of `items` (any order, repeats allowed) that other ranks hold. Collective; forgets what was
  /// fetched before.
  void fetch(std::span<const ItemId> items);
  /// The row of an own or fetched item.
  ItemRow find(ItemId item) const;

  /// Items to ask for in one fetch so that its rows stay below a fixed memory.
  static Index items_in_fetch(int dim);
  static std::int64_t bytes(int dim);

 private:
  bool is_own(Index item) const {
    return item >= scorer_->items.first_row && item < scorer_->items.first_row + scorer_->items.rows;
  }
  void write_row(Index item, float* to) const;

  const comm::Communicator* communicator_;
  const Scorer* scorer_;
  const std::vector<std::uint8_t>* seen_items_;
  bool has_bias_;
  std::vector<Index> first_items_;  // by rank, and the end
  std::vector<ItemId> fetched_;     // ascending
  std::vector<float> rows_;         // of fetched_: dim values, bias, seen
};

}  // namespace spar::evaluate
