#pragma once
#include <algorithm>
#include <cstdint>

#include "spar/base/memory.hpp"

/// What the bare kernel lists before it computes: positions of distinct keys, and rows to ask for early.
namespace spar::bench {

/// Positions given to keys in the order of their first appearance, by a stamp array over the keys that is not cleared
/// between lists: a stamp counts if it lies within the present list's range.
class Stamps {
 public:
  explicit Stamps(std::size_t keys) : stamps_(keys) { forget(); }

  /// Starts an empty list.
  void start() {
    base_ += count_;
    count_ = 0;
    if (base_ > 0x7fffffffU) forget();
  }
  /// The position of `key`, which is new exactly if it equals the count before the call. Without a branch; so the
  /// count waits for every stamp, and stamps far away must be asked for early.
  std::uint32_t position(std::uint32_t key) {
    const std::uint32_t seen = stamps_[key] - base_;
    const std::uint32_t position = seen < count_ ? seen : count_;
    stamps_[key] = base_ + position;
    count_ += static_cast<std::uint32_t>(position == count_);
    return position;
  }
  std::uint32_t count() const { return count_; }
  [[gnu::always_inline]] void prefetch(std::uint32_t key) const { __builtin_prefetch(&stamps_[key], 1); }

 private:
  void forget() {
    std::fill(stamps_.begin(), stamps_.end(), ~std::uint32_t{0});
    base_ = 0;
  }

  Buffer<std::uint32_t> stamps_;
  std::uint32_t base_ = 0;
  std::uint32_t count_ = 0;
};

/// Rows of a later micro-batch, to be asked for evenly over the loops of the present one: a processor silently drops
/// prefetches that come in a burst. Everything that prefetches is inlined by force, because GCC takes a function that
/// only prefetches for one without effect and drops its calls.
class RowQueue {
 public:
  explicit RowQueue(const float** rows) : rows_(rows) {}
  void add(const float* row) { rows_[count_++] = row; }
  /// Asks for half a row of 64 floats: two cache lines.
  [[gnu::always_inline]] void ask() {
    if (next_ >= 2 * count_) return;
    const float* half_row = rows_[next_ / 2] + next_ % 2 * 32;
    __builtin_prefetch(half_row, 1);
    __builtin_prefetch(half_row + 16, 1);
    ++next_;
  }

 private:
  const float** rows_;
  std::uint32_t count_ = 0;
  std::uint32_t next_ = 0;  // in halves
};

/// Asks for a whole row of 64 floats.
[[gnu::always_inline]] inline void prefetch_row(const float* row) {
  for (int k = 0; k < 64; k += 16) __builtin_prefetch(row + k, 1);
}

}  // namespace spar::bench
