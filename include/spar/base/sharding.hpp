#pragma once
#include <vector>

#include "spar/base/types.hpp"

/// Who holds what. Rows are cut into 1,024 groups, groups are united to shards, contiguous shards are held by ranks.
/// Only the last step knows the launch, so whatever is computed and summed per shard is the same on any launch.
namespace spar {

/// Rows of every table lie in this many groups; the unit of dealing, of checksums and of every larger part.
inline constexpr int row_groups = 1024;

/// `rows` rows cut into `parts` contiguous parts whose sizes differ by at most one: part p holds rows
/// floor(p*rows/parts) .. floor((p+1)*rows/parts). With parts a power of two <= 1024, every part is a union of whole
/// groups (Partition{rows, row_groups}).
struct Partition {
  Index rows = 0;
  int parts = 1;

  Index begin(int part) const { return part * rows / parts; }
  Index end(int part) const { return begin(part + 1); }
  Index size(int part) const { return end(part) - begin(part); }
  /// The part that holds `row`, 0 <= row < rows.
  int part_of(Index row) const { return static_cast<int>((row * parts + parts - 1) / rows); }
};

/// How `shards` shards (a power of two) lie on `ranks` ranks: contiguous blocks of floor or ceil of shards/ranks.
struct ShardLayout {
  int shards = 1;
  int ranks = 1;

  int first_shard(int rank) const { return static_cast<int>(static_cast<Index>(rank) * shards / ranks); }
  int end_shard(int rank) const { return first_shard(rank + 1); }
  int shard_count(int rank) const { return end_shard(rank) - first_shard(rank); }
  int rank_of(int shard) const { return static_cast<int>((static_cast<Index>(shard) * ranks + ranks - 1) / shards); }
};

/// A block [begin, end) of shards that is one subtree of the binary tree over all shards: its size is a power of two
/// that divides begin.
struct Subtree {
  int begin = 0;
  int end = 0;
  int rank = 0;  ///< the rank that holds these shards
};

/// The maximal aligned subtrees that make up each rank's block, for all ranks, by falling left to right. One a rank
/// when ranks is a power of two. Every rank computes the same list.
std::vector<Subtree> aligned_subtrees(const ShardLayout& layout);

}  // namespace spar
