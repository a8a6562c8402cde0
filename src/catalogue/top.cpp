#include "spar/catalogue/top.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <type_traits>

#include "spar/catalogue/lanes.hpp"

namespace spar::catalogue {

namespace {

// A vector register may be stored beyond the last number it adds.
constexpr int slack = 16;
// Up to here a list is sorted faster by counting.
constexpr std::size_t most_counted = 256;
// Vectors whose comparisons are joined before one branch.
constexpr int joined = 4;

Key median(Key a, Key b, Key c) {
  return std::max(std::min(a, b), std::min(std::max(a, b), c));
}

// Copies keys greater than the pivot to `greater`, the others to `others`; returns the number of the greater ones.
// `keys` may be `greater` or `others`.
std::size_t partition(const Key* keys, std::size_t count, Key pivot, Key* greater, Key* others) {
  std::size_t above = 0;
  std::size_t rest = 0;
  std::size_t k = 0;
#ifdef __AVX512F__
  const __m512i pivots = _mm512_set1_epi64(static_cast<long long>(pivot));
  for (; k + 8 <= count; k += 8) {
    const __m512i eight = _mm512_loadu_si512(keys + k);
    const __mmask8 mask = _mm512_cmpgt_epu64_mask(eight, pivots);
    _mm512_storeu_si512(greater + above, _mm512_maskz_compress_epi64(mask, eight));
    _mm512_storeu_si512(others + rest, _mm512_maskz_compress_epi64(static_cast<__mmask8>(~mask), eight));
    const auto passed = static_cast<std::size_t>(std::popcount(static_cast<unsigned>(mask)));
    above += passed;
    rest += 8 - passed;
  }
#endif
  for (; k < count; ++k) {
    const Key key = keys[k];
    greater[above] = key;
    others[rest] = key;
    above += key > pivot ? 1 : 0;
    rest += key > pivot ? 0 : 1;
  }
  return above;
}

// Writes the keys of the lanes in `mask`; lane k is item first_item + k. Returns their number; a
// vector of keys is written whatever it is.
#ifdef __AVX512F__
using Words = std::uint32_t __attribute__((vector_size(64)));

inline int append(Lanes scores, std::uint32_t first_item, std::uint32_t mask, Key* to) {
  constexpr Words ascending = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const auto bits = std::bit_cast<Words>(scores + Lanes{});
  const auto negative = std::bit_cast<Words>(std::bit_cast<IntLanes>(bits) >> 31);
  const Words ordered = bits ^ (negative | 0x80000000U);
  const auto chosen = static_cast<__mmask16>(mask);
  const __m512i passed = _mm512_maskz_compress_epi32(chosen, std::bit_cast<__m512i>(ordered));
  const __m512i items = _mm512_maskz_compress_epi32(chosen, std::bit_cast<__m512i>(~(ascending + first_item)));
  // Lanes 0 and 16 make the first key, 1 and 17 the next: the item is the lower half.
  constexpr Words first_keys = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
  _mm512_storeu_si512(to, _mm512_permutex2var_epi32(items, std::bit_cast<__m512i>(first_keys), passed));
  _mm512_storeu_si512(to + 8, _mm512_permutex2var_epi32(items, std::bit_cast<__m512i>(first_keys + 8U), passed));
  return std::popcount(mask);
}
#else
inline int append(Lanes scores, std::uint32_t first_item, std::uint32_t mask, Key* to) {
  int count = 0;
  for (; mask != 0; mask &= mask - 1) {
    const int lane = std::countr_zero(mask);
    to[count++] = make_key(scores[lane], first_item + static_cast<std::uint32_t>(lane));
  }
  return count;
}
#endif

}  // namespace

TopSelector::TopSelector(int top)
    : top_(top), greater_(static_cast<std::size_t>(top_capacity(top) + slack)), others_(greater_.size()) {}

TopSelector::Kept TopSelector::keep_greatest(std::span<Key> keys, int at_least, int at_most) {
  auto need = static_cast<std::size_t>(at_least);
  const auto room = static_cast<std::size_t>(at_most - at_least);
  Kept kept;
  const Key* region = keys.data();
  std::size_t count = keys.size();
  if (greater_.size() < count + slack) {
    greater_.resize(count + slack);
    others_.resize(count + slack);
  }
  // The keys before `kept` stay, those of `region` are undecided, all others are gone.
  const auto keep = [&](const Key* from, std::size_t number) {
    std::copy_n(from, number, keys.data() + kept.count);
    kept.count += static_cast<int>(number);
  };
  while (need > 0 && need + room < count) {
    // Never the greatest key, so that each round leaves less.
    const Key pivot =
        count == 2 ? std::min(region[0], region[1]) : median(region[0], region[count / 2], region[count - 1]);
    const std::size_t above = partition(region, count, pivot, greater_.data(), others_.data());
    if (above >= need) {
      kept.floor = pivot;
      region = greater_.data();
      count = above;
    } else {
      keep(greater_.data(), above);
      need -= above;
      region = others_.data();
      count -= above;
    }
  }
  if (need > 0) keep(region, count);
  return kept;
}

void TopSelector::compact(TopList& list) {
  const Kept kept = keep_greatest({list.keys, static_cast<std::size_t>(list.count)}, top_, top_ + top_ / 4 + 8);
  list.count = kept.count;
  if (kept.floor > 0) list.threshold = std::max(list.threshold, key_score(kept.floor));
}

void TopSelector::offer(const float* scores, Index count, Index first_item, TopList& list) {
  const int full = top_capacity(top_) - joined * lanes;
  Lanes threshold = broadcast(list.threshold);
  Key* const keys = list.keys;
  int kept = list.count;
  const auto offer_some = [&](Index first, auto together) {
    std::array<Lanes, together> some;
    for (std::size_t j = 0; j < together; ++j) some[j] = load(scores + first + static_cast<Index>(j) * lanes);
    Lanes greatest = some[0];
    for (std::size_t j = 1; j < together; ++j) greatest = some[j] > greatest ? some[j] : greatest;
    if (mask_at_least(greatest, threshold) == 0) return;
    for (std::size_t j = 0; j < together; ++j) {
      const auto item = static_cast<std::uint32_t>(first_item + first + static_cast<Index>(j) * lanes);
      kept += append(some[j], item, mask_at_least(some[j], threshold), keys + kept);
    }
    if (kept <= full) return;
    list.count = kept;
    compact(list);
    kept = list.count;
    threshold = broadcast(list.threshold);
  };
  Index k = 0;
  for (; k + joined * lanes <= count; k += joined * lanes) offer_some(k, std::integral_constant<std::size_t, joined>{});
  for (; k < count; k += lanes) offer_some(k, std::integral_constant<std::size_t, 1>{});
  list.count = kept;
}

void TopSelector::finish(TopList& list) {
  if (list.count > top_)
    list.count = keep_greatest({list.keys, static_cast<std::size_t>(list.count)}, top_, top_).count;
  const std::span<Key> keys(list.keys, static_cast<std::size_t>(list.count));
  if (keys.size() > most_counted) {
    std::sort(keys.begin(), keys.end(), std::greater<>());
    return;
  }
  // A short list is sorted by counting, which no branch prediction can spoil.
  std::copy(keys.begin(), keys.end(), greater_.begin());
  for (std::size_t k = 0; k < keys.size(); ++k) {
    const Key key = greater_[k];
    std::uint64_t place = 0;
    for (std::size_t other = 0; other < keys.size(); ++other) place += greater_[other] > key ? 1 : 0;
    keys[place] = key;
  }
}

}  // namespace spar::catalogue
