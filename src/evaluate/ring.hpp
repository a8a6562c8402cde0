#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "spar/catalogue/scan.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/evaluate/evaluator.hpp"

namespace spar::evaluate {

/// Item blocks of fixed size go round the ranks: each rank sees every item once. Traffic per rank: 4 * (dim + 1) bytes
/// for every item that it does not hold.
class ItemRing {
 public:
  /// `seen_items` (this rank's items; may be nullptr): items with 0 are nobody's candidates.
  ItemRing(const comm::Communicator& communicator, const Scorer& scorer, const std::vector<std::uint8_t>* seen_items);

  /// Calls visit(block) for all blocks of all ranks. Collective. An Error that visit throws on any rank is thrown on
  /// every rank, after the round.
  void each_block(const std::function<void(const catalogue::ItemBlock&)>& visit);

  /// Memory of one object, in bytes, for items with `dim` values of which this rank holds `rank_items`.
  static std::int64_t bytes(int dim, Index rank_items);

 private:
  void pack_own(Index first);
  void encode();
  void decode(const std::vector<std::byte>& message);

  const comm::Communicator* communicator_;
  table::RowBlock items_;
  catalogue::BiasColumn bias_;
  const std::vector<std::uint8_t>* seen_items_;
  Index block_items_;
  Index rounds_;
  catalogue::ItemBlock block_;
  std::vector<std::byte> message_;
  std::vector<std::byte> incoming_;
};

}  // namespace spar::evaluate
