#pragma once
#include <bit>
#include <cstdint>
#include <span>

/// The fixed binary tree over shards along which every cross-shard sum is made (docs/architecture.md, "Sums"). Leaves
/// are shards; an inner node joins two aligned halves; absent leaves are skipped, so a node with one present child is
/// that child, not that child plus zero.
namespace spar {

/// Sums present leaves along the tree. `shard(k)` gives the ascending, distinct shards of the leaves k = 0 .. count-1
/// (any leaf of a subtree may stand for a partial sum over that subtree); `merge(left, right)` adds the value of leaf
/// slot `right` to that of `left`, in place. The sum ends in slot 0. Makes count-1 merges, whose order depends on the
/// shards only.
template <class ShardOf, class Merge>
void tree_reduce(int count, ShardOf&& shard, Merge&& merge) {
  if (count < 2) return;
  // A stack of subtrees not yet joined to their left neighbour; two neighbours meet at the level of the highest bit in
  // which they differ, and the lower meeting is made first.
  int stack[64];
  int level[64];  // level[k]: where stack[k] meets stack[k-1]
  int depth = 1;
  stack[0] = 0;
  level[0] = 64;
  const auto meeting = [&](int left, int right) {
    return static_cast<int>(
        std::bit_width(static_cast<std::uint32_t>(shard(left)) ^ static_cast<std::uint32_t>(shard(right))));
  };
  int previous = 0;
  for (int k = 1; k < count; ++k) {
    const int meets = meeting(previous, k);
    while (depth > 1 && level[depth - 1] < meets) {
      merge(stack[depth - 2], stack[depth - 1]);
      --depth;
    }
    stack[depth] = k;
    level[depth] = meets;
    ++depth;
    previous = k;
  }
  while (depth > 1) {
    merge(stack[depth - 2], stack[depth - 1]);
    --depth;
  }
}

/// The tree sum of one value a shard (all present), values in shard order; for sums that stay on one rank. Empty: 0.
double tree_sum(std::span<const double> values);

}  // namespace spar
