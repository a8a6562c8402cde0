#include "spar/catalogue/top.hpp"

#include <algorithm>
#include <functional>

#include "spar/catalogue/lanes.hpp"

namespace spar::catalogue {

namespace {

// A vector register may be stored beyond the last number it adds.
constexpr int slack = 16;
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

#ifdef __AVX512F__
using Words = std::uint32_t __attribute__((vector_size(64)));
using HalfWords = std::uint32_t __attribute__((vector_size(32)));
using Keys = std::uint64_t __attribute__((vector_size(64)));

// make_key() for eight items.
template <int half>
inline Keys join(Words ordered, Words not_items) {
  constexpr int h = 8 * half;
  const HalfWords high = __builtin_shufflevector(ordered, ordered, h, h + 1, h + 2, h + 3, h + 4, h + 5, h + 6, h + 7);
  const HalfWords low =
      __builtin_shufflevector(not_items, not_items, h, h + 1, h + 2, h + 3, h + 4, h + 5, h + 6, h + 7);
  return (__builtin_convertvector(high, Keys) << 32) | __builtin_convertvector(low, Keys);
}

// Appends the keys of the lanes in `mask`; lane k is item first_item + k.
inline void append(Lanes scores, std::uint32_t first_item, __mmask16 mask, TopList& list) {
  constexpr Words ascending = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const auto bits = std::bit_cast<Words>(scores + Lanes{});
  const auto negative = std::bit_cast<Words>(std::bit_cast<IntLanes>(bits) >> 31);
  const Words ordered = bits ^ (negative | 0x80000000U);
  const auto passed = std::bit_cast<Words>(_mm512_maskz_compress_epi32(mask, std::bit_cast<__m512i>(ordered)));
  const auto items =
      std::bit_cast<Words>(_mm512_maskz_compress_epi32(mask, std::bit_cast<__m512i>(~(ascending + first_item))));
  _mm512_storeu_si512(list.keys + list.count, std::bit_cast<__m512i>(join<0>(passed, items)));
  _mm512_storeu_si512(list.keys + list.count + 8, std::bit_cast<__m512i>(join<1>(passed, items)));
  list.count += std::popcount(static_cast<unsigned>(mask));
}
#endif

}  // namespace

TopSelector::TopSelector(int top)
    : top_(top), greater_(static_cast<std::size_t>(top_capacity(top) + slack)), others_(greater_.size()) {}

void TopSelector::keep_greatest(std::span<Key> keys, int keep) {
  std::size_t kept = 0;
  auto need = static_cast<std::size_t>(keep);
  const Key* region = keys.data();
  std::size_t count = keys.size();
  if (greater_.size() < count + slack) {
    greater_.resize(count + slack);
    others_.resize(count + slack);
  }
  while (need > 0 && need < count) {
    // Never the greatest key, so that each round leaves less.
    const Key pivot =
        count == 2 ? std::min(region[0], region[1]) : median(region[0], region[count / 2], region[count - 1]);
    const std::size_t above = partition(region, count, pivot, greater_.data(), others_.data());
    if (above > need) {
      region = greater_.data();
      count = above;
      continue;
    }
    std::copy_n(greater_.data(), above, keys.data() + kept);
    kept += above;
    need -= above;
    region = others_.data();
    count -= above;
  }
  if (need > 0) std::copy_n(region, need, keys.data() + kept);
}

void TopSelector::compact(TopList& list) {
  if (list.count <= top_) return;
  keep_greatest({list.keys, static_cast<std::size_t>(list.count)}, top_);
  list.count = top_;
  const Key worst = *std::min_element(list.keys, list.keys + top_);
  list.threshold = key_score(worst);
}

void TopSelector::offer(const float* scores, Index count, Index first_item, TopList& list) {
  const int full = top_capacity(top_) - joined * lanes;
#ifdef __AVX512F__
  const Index vectors = (count + lanes - 1) / lanes;
  for (Index v = 0; v < vectors; v += joined) {
    const int together = static_cast<int>(std::min<Index>(joined, vectors - v));
    const float* const from = scores + v * lanes;
    const __m512 threshold = _mm512_set1_ps(list.threshold);
    __mmask16 masks[joined] = {};
    unsigned some = 0;
    for (int j = 0; j < together; ++j) {
      masks[j] = _mm512_cmp_ps_mask(load(from + j * lanes), threshold, _CMP_GE_OQ);
      some |= masks[j];
    }
    if (some == 0) continue;
    const auto first = static_cast<std::uint32_t>(first_item + v * lanes);
    for (int j = 0; j < together; ++j) {
      append(load(from + j * lanes), first + static_cast<std::uint32_t>(j * lanes), masks[j], list);
    }
    if (list.count > full) compact(list);
  }
#else
  for (Index k = 0; k < count; ++k) {
    if (!(scores[k] >= list.threshold)) continue;
    list.keys[list.count++] = make_key(scores[k], static_cast<ItemId>(first_item + k));
    if (list.count > full) compact(list);
  }
#endif
}

void TopSelector::finish(TopList& list) {
  compact(list);
  std::sort(list.keys, list.keys + list.count, std::greater<>());
}

}  // namespace spar::catalogue
