#include "spar/base/sharding.hpp"

#include <algorithm>
#include <bit>

namespace spar {

std::vector<Subtree> aligned_subtrees(const ShardLayout& layout) {
  std::vector<Subtree> subtrees;
  for (int rank = 0; rank < layout.ranks; ++rank) {
    int begin = layout.first_shard(rank);
    const int end = layout.end_shard(rank);
    while (begin < end) {
      const unsigned room = std::bit_floor(static_cast<unsigned>(end - begin));
      const unsigned alignment = begin == 0 ? room : 1U << std::countr_zero(static_cast<unsigned>(begin));
      const int size = static_cast<int>(std::min(room, alignment));
      subtrees.push_back({begin, begin + size, rank});
      begin += size;
    }
  }
  return subtrees;
}

}  // namespace spar
