#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/base/types.hpp"
#include "spar/catalogue/pair_function.hpp"
#include "spar/catalogue/score.hpp"
#include "spar/data/interactions.hpp"

/// Users against a block of items, masked, a cache-sized piece at a time: never users x items numbers.
namespace spar::catalogue {

/// A user to score: its row of ItemPanels::dim() floats and its place in the mask lists.
struct ScanUser {
  const float* row = nullptr;
  Index list = 0;  ///< local position in every UserLists of the masks
};

/// A block of items, and which of them are nobody's candidates.
struct ItemBlock {
  ItemPanels panels;
  std::vector<float> penalty;  ///< by item of the block: 0, or -inf where nobody may get the item; empty: all 0
};

/// What a scan hands out: the scores of `count` consecutive items for one user, -inf where the item is no candidate.
/// Aligned to a vector; the values beyond `count` are -inf up to the end of their vector.
struct ScoredItems {
  const float* scores = nullptr;
  Index first_item = 0;  ///< global row
  Index count = 0;
  Index excluded = 0;  ///< how many of them are -inf
};

/// Scores and masks; one object a worker (it holds scratch memory).
class BlockScan {
 public:
  /// `masks`: items that are never candidates of a user (ascending lists). `first_user`: the global row of list
  /// position 0. `pairs`: scores where they are no inner products, must outlive the scan.
  BlockScan(int dim, Index first_user, std::span<const data::UserLists* const> masks,
            const PairFunction* pairs = nullptr);

  /// Calls consume(k, scored) for every user k and the pieces of the block, in ascending order of items for each user,
  /// until it returns false: then user k gets no more pieces. Throws DivergenceError naming a user and an item whose
  /// score is not finite, masked or not.
  void scan(std::span<const ScanUser> users, const ItemBlock& block,
            const std::function<bool(std::size_t, const ScoredItems&)>& consume);

  /// Items of one piece: their panels fill at most half of a small second-level cache, their scores stay below 1,024 a
  /// user.
  static int piece_panels(int dim);
  /// Scratch memory of one object, in bytes.
  static std::int64_t bytes(int dim, int masks, int users);

 private:
  using Cursor = const ItemId*;

  void find_cursors(std::span<const ScanUser> users, Index first_item);
  void score_group(std::span<const ScanUser> users, std::span<const std::size_t> group, const ItemPanels& panels,
                   int first_panel, int count);
  Index exclude_masked(Index first_item, Index count, std::size_t user, const ScanUser& who, float* scores);

  Index first_user_;
  std::span<const data::UserLists* const> masks_;
  const PairFunction* pairs_;
  int piece_panels_;
  Index stride_;
  Buffer<float> scores_;
  std::vector<Cursor> cursors_;    // masks x users: the first masked item not yet passed
  std::vector<std::size_t> live_;  // the users that still want pieces
};

}  // namespace spar::catalogue
