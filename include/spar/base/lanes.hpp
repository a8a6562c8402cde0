#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <immintrin.h>
#include <type_traits>

/// Sixteen numbers side by side (GCC vector extensions): the unit in which rows are padded, so a loop over a row has no
/// tail and its bits do not depend on the instruction set that carries the sixteen.
namespace spar {

inline constexpr int lanes = 16;

template <class T>
struct LaneTraits;
template <>
struct LaneTraits<float> {
  typedef float Vector __attribute__((vector_size(64)));
  typedef float Loose __attribute__((vector_size(64), aligned(4)));
};
template <>
struct LaneTraits<double> {
  typedef double Vector __attribute__((vector_size(128)));
  typedef double Loose __attribute__((vector_size(128), aligned(8)));
};
template <class T>
using Lanes = typename LaneTraits<T>::Vector;

/// Sixteen numbers from or to memory of any alignment.
template <class T>
inline Lanes<T> load_lanes(const T* p) {
  return *reinterpret_cast<const typename LaneTraits<T>::Loose*>(p);
}
template <class T>
inline void store_lanes(T* p, Lanes<T> v) {
  *reinterpret_cast<typename LaneTraits<T>::Loose*>(p) = v;
}
template <class T>
inline Lanes<T> all_lanes(T value) {
  return value - Lanes<T>{};
}

/// Correctly rounded square roots. gcc does not vectorise std::sqrt over lanes, hence the intrinsics.
inline Lanes<float> lane_sqrt(Lanes<float> v) {
#ifdef __AVX512F__
  return (Lanes<float>)_mm512_maskz_sqrt_ps(static_cast<__mmask16>(0xFFFF), (__m512)v);
#else
  __m256 half[2];
  std::memcpy(half, &v, sizeof v);
  half[0] = _mm256_sqrt_ps(half[0]);
  half[1] = _mm256_sqrt_ps(half[1]);
  std::memcpy(&v, half, sizeof v);
  return v;
#endif
}

/// a * b + c with one rounding, whatever the code around it: left to itself, gcc fuses one product of two as it suits
/// the place, and the bits of a formula would depend on who calls it.
inline Lanes<float> lane_fma(Lanes<float> a, Lanes<float> b, Lanes<float> c) {
#ifdef __AVX512F__
  return (Lanes<float>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#else
  __m256 x[2], y[2], z[2];
  std::memcpy(x, &a, sizeof a);
  std::memcpy(y, &b, sizeof b);
  std::memcpy(z, &c, sizeof c);
  for (int half = 0; half < 2; ++half) z[half] = _mm256_fmadd_ps(x[half], y[half], z[half]);
  std::memcpy(&c, z, sizeof c);
  return c;
#endif
}

/// 1 / sqrt(v) of positive numbers to a relative 2e-7: the well-known guess from the exponent, then Newton's steps by
/// multiplication alone. Three times as fast as exact root and division, and the same bits on every processor, which
/// the instructions for approximate roots do not promise.
inline Lanes<float> lane_inverse_sqrt(Lanes<float> v) {
  typedef std::int32_t Bits __attribute__((vector_size(64)));
  Lanes<float> y = (Lanes<float>)(0x5f3759df - ((Bits)v >> 1));
  const Lanes<float> minus_half = -0.5F * v;
  for (int step = 0; step < 3; ++step) y = y * lane_fma(minus_half, y * y, all_lanes(1.5F));
  return y;
}

/// The sum of the lanes along a fixed tree: neighbours first.
template <class T>
inline T lane_sum(Lanes<T> v) {
  T x[lanes];
  std::memcpy(x, &v, sizeof x);
  for (int count = lanes / 2; count > 0; count /= 2) {
    for (int k = 0; k < count; ++k) x[k] = x[2 * k] + x[2 * k + 1];
  }
  return x[0];
}

namespace detail {

// Sums of neighbours: those of a in the lower half, those of b in the upper.
template <class T>
inline Lanes<T> neighbour_sums(Lanes<T> a, Lanes<T> b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
         __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}

}  // namespace detail

/// lane_sum of sixteen vectors at once: lane k of the result is lane_sum(v[k]), bit for bit. Overwrites v.
template <class T>
inline Lanes<T> lane_sums(Lanes<T>* v) {
  for (int count = lanes / 2; count > 0; count /= 2) {
    for (int k = 0; k < count; ++k) v[k] = detail::neighbour_sums<T>(v[2 * k], v[2 * k + 1]);
  }
  return v[0];
}

/// Calls body(width) with the widths that are common as compile-time constants, so that its loops over columns unroll.
template <class Body>
[[gnu::always_inline]] inline void with_width(int width, Body&& body) {
  if (width == 64) return body(std::integral_constant<int, 64>{});
  body(width);
}

/// The inner product of two padded rows of `width` numbers (a multiple of 16): one chain of fused multiply-adds per
/// lane, then lane_sum.
template <class T>
inline T lane_dot(const T* a, const T* b, int width) {
  Lanes<T> sum{};
  for (int c = 0; c < width; c += lanes) sum += load_lanes(a + c) * load_lanes(b + c);
  return lane_sum<T>(sum);
}

}  // namespace spar
