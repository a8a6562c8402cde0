#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "spar/base/lanes.hpp"
#include "spar/base/memory.hpp"
#include "spar/base/types.hpp"

namespace spar::table {

/// Which gradient rows add up to which sum. A contribution is one row of gradient that one shard (or the partial sum of
/// one subtree) has for one slot; contributions are added in ascending order of shards. The sums follow the shard tree.
/// Most slots have one contribution, which then is the sum: only the others are listed and moved.
class Contributions {
 public:
  /// Forgets everything; contributions and slots will be numbers in [0, most). No allocation once the
  /// sizes are steady.
  void reset(std::size_t most);
  /// Slots [slots(), slots) exist from now on, without contributions.
  void grow(int slots);
  /// The next contribution of `slot`, by `shard` (above those of the slot's contributions so far); a number that no
  /// other contribution has. `fresh`: the slot is new, slots() before the call. Free of branches, since whether a row
  /// is met again cannot be guessed.
  [[gnu::always_inline]] void add(int slot, std::int32_t contribution, int shard, bool fresh = false) {
    const auto s = static_cast<std::size_t>(slot);
    const auto c = static_cast<std::size_t>(contribution) + 1;
    const std::int32_t before = fresh ? -1 : newest_[s];
    const bool second = before_[static_cast<std::size_t>(before + 1)] < 0;
    shard_[c] = shard;
    before_[c] = before;
    newest_[s] = contribution;
    shared_[shared_count_] = slot;
    shared_count_ += second ? 1 : 0;
    slots_ += fresh ? 1 : 0;
  }

  int slots() const { return slots_; }
  /// Slots with more than one contribution.
  int shared() const { return static_cast<int>(shared_count_); }

  /// Writes the row of each slot's only contribution, row(c) for contribution c; of any of them where there are more,
  /// which is for reduce() to mend. nullptr where there is none.
  template <class Row>
  void list_rows(Row&& row, float** sums) const {
    for (std::size_t s = 0; s < static_cast<std::size_t>(slots_); ++s)
      sums[s] = newest_[s] < 0 ? nullptr : row(newest_[s]);
  }
  /// Sums the contributions of shared slots [begin, end) in place: row(c), `width` floats, a multiple of 16;
  /// sums[slot] becomes the row of the slot's first contribution, which then holds the sum. Disjoint ranges may run on
  /// different threads. Moves: 3 rows of memory for each contribution beyond a slot's first.
  template <class Row>
  void reduce(int begin, int end, int width, Row&& row, float** sums) const;

 private:
  std::int32_t before(std::int32_t contribution) const { return before_[static_cast<std::size_t>(contribution) + 1]; }

  int slots_ = 0;
  std::size_t shared_count_ = 0;
  Buffer<std::int32_t> newest_;  // contribution of a slot, -1: none
  Buffer<std::int32_t> shared_;  // slots
  // By contribution + 1: the slot's contribution before it, -1 if it is the first; entry 0 says that no contribution is
  // never a first one.
  Buffer<std::int32_t> before_;
  Buffer<std::int32_t> shard_;
};

/// left += right, `width` floats.
inline void add_row(float* left, const float* right, int width) {
  with_width(width, [&](auto w) {
    for (int c = 0; c < w; c += lanes) store_lanes(left + c, load_lanes(left + c) + load_lanes(right + c));
  });
}
/// left += factor * right, `width` floats.
void add_scaled_row(float* left, float factor, const float* right, int width);
/// Sums rows[k] of ascending shards[k] along the shard tree into rows[0].
void tree_add_rows(float* const* rows, const std::int32_t* shards, int count, int width);

template <class Row>
void Contributions::reduce(int begin, int end, int width, Row&& row, float** sums) const {
  constexpr int ahead = 8;
  std::vector<float*> rows;
  std::vector<std::int32_t> shards;
  for (int k = begin; k < end; ++k) {
    if (k + ahead < end) {
      const std::int32_t later = newest_[static_cast<std::size_t>(shared_[static_cast<std::size_t>(k + ahead)])];
      for (const float* early : {row(later), row(before(later))}) {
        for (int c = 0; c < width; c += 16) __builtin_prefetch(early + c, 1);
      }
    }
    const auto slot = static_cast<std::size_t>(shared_[static_cast<std::size_t>(k)]);
    const std::int32_t newest = newest_[slot];
    const std::int32_t second = before(newest);
    if (before(second) < 0) {
      sums[slot] = row(second);
      add_row(sums[slot], row(newest), width);
      continue;
    }
    std::size_t count = 0;
    for (std::int32_t c = newest; c >= 0; c = before(c)) ++count;
    rows.resize(count);
    shards.resize(count);
    for (std::int32_t c = newest; c >= 0; c = before(c)) {
      --count;
      rows[count] = row(c);
      shards[count] = shard_[static_cast<std::size_t>(c) + 1];
    }
    tree_add_rows(rows.data(), shards.data(), static_cast<int>(rows.size()), width);
    sums[slot] = rows.front();
  }
}

}  // namespace spar::table
