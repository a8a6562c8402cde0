#pragma once
#include <cstdint>
#include <cstring>
#include <immintrin.h>

#include "spar/base/random.hpp"

/// Sixteen Philox counters side by side, for loops that need a number each: about a nanosecond a block where one at a
/// time takes ten.
namespace spar {

typedef std::uint32_t WordLanes __attribute__((vector_size(64)));

/// Word w of the block of counter k is word[w][k].
struct BlockLanes {
  WordLanes word[4];
};

namespace detail {

// Both halves of sixteen products of 32-bit words.
inline void wide_products(WordLanes x, std::uint32_t factor, WordLanes& high, WordLanes& low) {
#ifdef __AVX512F__
  // The masked forms, since gcc 12 warns of the undefined lanes in its own header for the others.
  typedef std::uint64_t Wide __attribute__((vector_size(64)));
  constexpr __mmask16 odd_lanes = 0xAAAA;
  const auto f = (__m512i)(factor - WordLanes{});
  const auto even = (Wide)_mm512_maskz_mul_epu32(0xFF, (__m512i)x, f);
  const auto odd = (Wide)_mm512_maskz_mul_epu32(0xFF, (__m512i)((Wide)x >> 32), f);
  high = (WordLanes)_mm512_mask_blend_epi32(odd_lanes, (__m512i)(even >> 32), (__m512i)odd);
  low = (WordLanes)_mm512_mask_blend_epi32(odd_lanes, (__m512i)even, (__m512i)(odd << 32));
#else
  constexpr int odd_lanes = 0xAA;
  __m256i v[2], h[2], l[2];
  std::memcpy(v, &x, sizeof v);
  const __m256i f = _mm256_set1_epi32(static_cast<int>(factor));
  for (int half = 0; half < 2; ++half) {
    const __m256i even = _mm256_mul_epu32(v[half], f);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(v[half], 32), f);
    h[half] = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, odd_lanes);
    l[half] = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), odd_lanes);
  }
  std::memcpy(&high, h, sizeof high);
  std::memcpy(&low, l, sizeof low);
#endif
}

}  // namespace detail

/// stream.block(a + k, b, c, d) for k = 0 .. 15, bit for bit.
inline BlockLanes block_lanes(const RandomStream& stream, std::uint32_t a, std::uint32_t b, std::uint32_t c,
                              std::uint32_t d) {
  const WordLanes step = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  WordLanes x0 = a + step;
  WordLanes x1 = b - WordLanes{};
  WordLanes x2 = c - WordLanes{};
  WordLanes x3 = d - WordLanes{};
  std::uint32_t key0 = stream.key()[0];
  std::uint32_t key1 = stream.key()[1];
  // Philox4x32's multipliers and the increments of its key (Salmon, Moraes, Dror and Shaw, SC 2011).
  for (int round = 0; round < 10; ++round) {
    WordLanes high0, low0, high1, low1;
    detail::wide_products(x0, 0xD2511F53U, high0, low0);
    detail::wide_products(x2, 0xCD9E8D57U, high1, low1);
    x0 = high1 ^ x1 ^ key0;
    x1 = low1;
    x2 = high0 ^ x3 ^ key1;
    x3 = low0;
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
  return {{x0, x1, x2, x3}};
}

}  // namespace spar
