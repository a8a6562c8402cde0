#pragma once
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "spar/base/types.hpp"

/// The best of many scored items: a threshold lets few pass, a buffer collects them, and whenever it is full only the
/// best are kept.
namespace spar::catalogue {

/// A scored item as one number: a greater key is a better item, by score, then by smaller item. -0 counts as 0. Not for
/// NaN.
using Key = std::uint64_t;

inline Key make_key(float score, ItemId item) {
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0F);
  const std::uint32_t ordered = (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
  return (static_cast<Key>(ordered) << 32) | static_cast<std::uint32_t>(~item);
}
inline ItemId key_item(Key key) {
  return ~static_cast<ItemId>(key);
}
inline float key_score(Key key) {
  const auto ordered = static_cast<std::uint32_t>(key >> 32);
  return std::bit_cast<float>((ordered & 0x80000000U) != 0 ? ordered & 0x7fffffffU : ~ordered);
}

/// The best items of one user so far. `keys` points to top_capacity(top) numbers that outlive it.
struct TopList {
  Key* keys = nullptr;
  int count = 0;
  float threshold = -3.40282347e+38F;  ///< scores below cannot enter
};

/// How many keys the list of the `top` best needs.
constexpr int top_capacity(int top) {
  return 2 * top + 128;
}

/// Selects; one object a worker (it holds scratch memory).
class TopSelector {
 public:
  explicit TopSelector(int top);

  /// Offers items first_item + k with scores[k], k in [0, count); -inf never enters. `scores` as in count_above().
  void offer(const float* scores, Index count, Index first_item, TopList& list);
  /// Leaves the best min(top, offered) keys in `list`, best first.
  void finish(TopList& list);

  struct Kept {
    int count = 0;
    Key floor = 0;  ///< all kept keys are greater, all others are not; 0: all were kept
  };
  /// Moves at least `at_least` and at most `at_most` of the greatest of the distinct `keys` to the front, in any order;
  /// expected time linear (Hoare's selection, 1961). Fewer keys than `at_least` all stay.
  Kept keep_greatest(std::span<Key> keys, int at_least, int at_most);

 private:
  void compact(TopList& list);

  int top_;
  std::vector<Key> greater_;
  std::vector<Key> others_;
};

}  // namespace spar::catalogue
