#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "spar/base/types.hpp"

namespace spar::table {

/// Which gradient rows add up to which sum. A contribution is one row of gradient that one shard (or the partial sum of
/// one subtree) has for one slot; contributions are added in ascending order of shards. The sums follow the shard tree.
class Contributions {
 public:
  /// Forgets everything; `slots` sums, at most `most` contributions to come. No allocation once the sizes are steady.
  void reset(int slots, std::size_t most);
  /// The next contribution, for `slot`, by `shard` (not below that of the contributions before).
  void add(int slot, int shard);

  int slots() const { return slots_; }
  std::size_t size() const { return count_; }

  /// Sums the contributions of slots [begin, end) in place and gives the row of each sum: row(c) is the row of
  /// contribution c (in order of add), `width` floats, a multiple of 16; sums[slot] becomes the row of the slot's first
  /// contribution, which then holds the sum. Slots without contribution get nullptr. Disjoint ranges may run on
  /// different threads. Moves: 3 rows of memory for each contribution beyond a slot's first, nothing for the first.
  template <class Row>
  void reduce(int begin, int end, int width, Row&& row, float** sums) const;

 private:
  int slots_ = 0;
  std::size_t count_ = 0;
  std::vector<std::int32_t> head_;  // first contribution of a slot, -1: none
  std::vector<std::int32_t> tail_;
  std::vector<std::int32_t> next_;   // the slot's next contribution, -1: last
  std::vector<std::int32_t> shard_;  // of a contribution
};

/// left += right, `width` floats.
void add_row(float* left, const float* right, int width);
/// left += factor * right, `width` floats.
void add_scaled_row(float* left, float factor, const float* right, int width);
/// Sums rows[k] of ascending shards[k] along the shard tree into rows[0].
void tree_add_rows(float* const* rows, const std::int32_t* shards, int count, int width);

template <class Row>
void Contributions::reduce(int begin, int end, int width, Row&& row, float** sums) const {
  std::vector<float*> rows;
  std::vector<std::int32_t> shards;
  for (int slot = begin; slot < end; ++slot) {
    const std::int32_t first = head_[static_cast<std::size_t>(slot)];
    sums[slot] = first < 0 ? nullptr : row(first);
    if (first < 0) continue;
    const std::int32_t second = next_[static_cast<std::size_t>(first)];
    if (second < 0) continue;
    const std::int32_t third = next_[static_cast<std::size_t>(second)];
    if (third < 0) {
      add_row(sums[slot], row(second), width);
      continue;
    }
    rows.clear();
    shards.clear();
    for (std::int32_t c = first; c >= 0; c = next_[static_cast<std::size_t>(c)]) {
      rows.push_back(row(c));
      shards.push_back(shard_[static_cast<std::size_t>(c)]);
    }
    tree_add_rows(rows.data(), shards.data(), static_cast<int>(rows.size()), width);
  }
}

}  // namespace spar::table
