#pragma once
#include <cstdint>

#include "spar/base/memory.hpp"
#include "spar/base/types.hpp"

namespace spar::table {

/// The distinct rows of a list, by an array over all rows of a rank that is never cleared between lists: a stamp counts
/// if it lies within the range of the present list. 4 bytes a row.
class RowStamps {
 public:
  explicit RowStamps(Index rows) : stamps_(static_cast<std::size_t>(rows)) {}

  /// Begins an empty list.
  void start() {
    base_ += count_;
    count_ = 0;
    if (base_ < std::uint32_t{1} << 31) return;
    for (std::uint32_t& stamp : stamps_) stamp = 0;
    base_ = 1;
  }
  /// The place of `row` among the list's distinct rows, in order of first appearance; `fresh` tells whether it is new.
  /// Free of branches, so each call waits for the stamp of the one before: ask for stamps early.
  [[gnu::always_inline]] std::uint32_t find(std::uint32_t row, bool& fresh) {
    const std::uint32_t seen = stamps_[row] - base_;
    fresh = seen >= count_;
    const std::uint32_t place = fresh ? count_ : seen;
    stamps_[row] = base_ + place;
    count_ += fresh ? 1 : 0;
    return place;
  }
  /// Asks for the stamp of a row to come.
  [[gnu::always_inline]] void fetch_early(std::uint32_t row) const { __builtin_prefetch(&stamps_[row], 1); }

 private:
  Buffer<std::uint32_t> stamps_;
  std::uint32_t base_ = 1;
  std::uint32_t count_ = 0;
};

}  // namespace spar::table
