#pragma once
#include <cstddef>

namespace spar {

/// Rows that a later loop will need, asked for two cache lines at a time by the loops that run before it: a processor
/// silently drops prefetches that come in a burst. Everything is inlined by force, because gcc 12 takes a function that
/// only prefetches for one without effect and drops its calls.
class PacedPrefetch {
 public:
  void clear() { *this = {}; }
  /// `count` rows of `floats` floats, to be asked for after those added before (one other list at most). The list must
  /// stay as long as ask() is called.
  void add(const float* const* rows, std::size_t count, int floats) {
    (now_.next == now_.end ? now_ : then_) = {rows, rows + count, floats};
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
    int floats = 0;
  };

  [[gnu::always_inline]] bool next_row() {
    if (now_.next == now_.end) {
      now_ = then_;
      then_ = {};
      if (now_.next == now_.end) return false;
    }
    at_ = *now_.next++;
    left_ = now_.floats;
    return true;
  }

  List now_;
  List then_;
  const float* at_ = nullptr;
  int left_ = 0;
};

}  // namespace spar
