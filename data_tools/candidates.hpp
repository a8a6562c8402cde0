#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "spar/base/random.hpp"
#include "spar/base/types.hpp"

namespace spar::data_tools {

/// Draws the candidates of a sampled protocol: for a user who has a test item, `wanted` different items of the
/// catalogue, uniformly among those that he has in no part (the protocol of He et al., WWW 2017, and of Kang and
/// McAuley, ICDM 2018, who draw 99 and 100). A function of the seed, the user's row and the sizes of both sets.
class CandidateDrawer {
 public:
  /// `wanted` at least 1.
  CandidateDrawer(Index items, int wanted, std::uint64_t seed);

  /// Rows in the order of the draws; all that `own`, the rows of the user's items in any order, leaves where that is
  /// fewer. Valid until the next call. Reads 16 random bytes a draw; rejects by search in the sorted own rows.
  std::span<const std::uint32_t> draw(std::uint32_t user, std::span<const std::uint32_t> own);

 private:
  Index items_;
  std::size_t wanted_;
  RandomStream stream_;
  std::vector<std::uint32_t> taken_;  // own rows and drawn ones, ascending
  std::vector<std::uint32_t> drawn_;
};

}  // namespace spar::data_tools
