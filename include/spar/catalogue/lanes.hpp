#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#if defined(__AVX512F__) || defined(__FMA__)
#include <immintrin.h>
#endif

/// The widest vector of floats that the processor multiplies and adds in one instruction, as a GCC vector type. Every
/// operation here works lane by lane, so a lane's result never depends on its neighbours, on the vector's width or on
/// the level of optimisation.
namespace spar::catalogue {

#ifdef __AVX512F__
inline constexpr int lanes = 16;
#else
inline constexpr int lanes = 8;
#endif

using Lanes = float __attribute__((vector_size(lanes * sizeof(float))));
using IntLanes = std::int32_t __attribute__((vector_size(lanes * sizeof(float))));

/// All lanes = x.
inline Lanes broadcast(float x) {
#if defined(__AVX512F__)
  return _mm512_set1_ps(x);
#else
  return Lanes{x, x, x, x, x, x, x, x};
#endif
}

/// Aligned to the vector / not.
inline Lanes load(const float* from) {
  return *reinterpret_cast<const Lanes*>(from);
}
inline void store(float* to, Lanes x) {
  *reinterpret_cast<Lanes*>(to) = x;
}

/// a * b + c, rounded once, in every lane and every build: contraction by the compiler needs optimisation, which debug
/// builds lack.
inline Lanes fused(Lanes a, Lanes b, Lanes c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  Lanes r;
  for (int k = 0; k < lanes; ++k) r[k] = std::fma(a[k], b[k], c[k]);
  return r;
#endif
}

/// counts + 1 in the lanes where x > y.
inline IntLanes count_greater(IntLanes counts, Lanes x, Lanes y) {
#if defined(__AVX512F__)
  const auto before = std::bit_cast<__m512i>(counts);
  return std::bit_cast<IntLanes>(
      _mm512_mask_add_epi32(before, _mm512_cmp_ps_mask(x, y, _CMP_GT_OQ), before, _mm512_set1_epi32(1)));
#else
  return counts - (x > y);
#endif
}

/// Bit k is set where lane k of x is at least that of y.
inline std::uint32_t mask_at_least(Lanes x, Lanes y) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(x, y, _CMP_GE_OQ);
#elif defined(__AVX__)
  return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(x, y, _CMP_GE_OQ)));
#else
  std::uint32_t mask = 0;
  for (int k = 0; k < lanes; ++k) mask |= x[k] >= y[k] ? 1U << k : 0U;
  return mask;
#endif
}

}  // namespace spar::catalogue
