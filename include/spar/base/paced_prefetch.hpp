#pragma once
#include <cstddef>

namespace spar {

/// Rows that a later loop will need, asked for two cache lines at a time by the loops that run before it: a processor
/// silently drops prefetches that come in a burst. Everything is inlined by force, because gcc 12 takes a function that
/// only prefetches for one without effect and drops its calls.
class PacedPrefetch {
 public:
  void clear() { *this = {}; }
  /// Floats [offset, offset + floats) from each of `count` places on, to be asked for after those added before (three
  /// lists at most since clear()). The list must stay as long as ask() is called.
  void add(const float* const* rows, std::size_t count, int offset, int floats) {
    if (count > 0) lists_[count_++] = {rows, rows + count, offset, floats};
  }
  [[gnu::always_inline]] void ask() {
    if (left_ <= 0 && !next_row()) return;
    __builtin_prefetch(at_, 1);
    __builtin_prefetch(at_ + 16, 1);
    at_ += 32;
    left_ -= 32;
  }

 private:
  struct List {
    const float* const* next = nullptr;
    const float* const* end = nullptr;
    int offset = 0;
    int floats = 0;
  };

  [[gnu::always_inline]] bool next_row() {
    if (lists_[0].next == lists_[0].end) {
      lists_[0] = lists_[1];
      lists_[1] = lists_[2];
      lists_[2] = {};
      if (lists_[0].next == lists_[0].end) return false;
    }
    at_ = *lists_[0].next++ + lists_[0].offset;
    left_ = lists_[0].floats;
    return true;
  }

  List lists_[3];
  int count_ = 0;
  const float* at_ = nullptr;
  int left_ = 0;
};

}  // namespace spar
