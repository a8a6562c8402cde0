#pragma once
#include <cstdint>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

/// Sixteen floats at a time through GCC's vector extensions: one register with AVX-512, two with AVX2.
namespace spar::bench {

using F16 = float __attribute__((vector_size(64), may_alias));
using I16 = std::int32_t __attribute__((vector_size(64), may_alias));

inline F16 load16(const float* p) {
  return *reinterpret_cast<const F16*>(p);
}
inline void store16(float* p, F16 v) {
  *reinterpret_cast<F16*>(p) = v;
}
inline F16 all16(float x) {
  return F16{} + x;
}

/// A row of 64 floats in registers.
struct Row64 {
  F16 part[4];
};
inline Row64 load_row(const float* p) {
  return {{load16(p), load16(p + 16), load16(p + 32), load16(p + 48)}};
}
inline void store_row(float* p, const Row64& r) {
  for (int k = 0; k < 4; ++k) store16(p + 16 * k, r.part[k]);
}
inline void add_scaled(Row64& r, float a, const float* x) {
  const F16 wide = all16(a);
  for (int k = 0; k < 4; ++k) r.part[k] += wide * load16(x + 16 * k);
}
/// The row where `mask` is all ones, zeros where it is 0.
inline Row64 masked(Row64 r, std::uint32_t mask) {
  const I16 wide = I16{} + static_cast<std::int32_t>(mask);
  for (auto& part : r.part) part = reinterpret_cast<F16>(reinterpret_cast<I16>(part) & wide);
  return r;
}
/// u * (v - w), summed over the four registers only.
inline F16 dot_partial(const float* u, const float* v, const float* w) {
  F16 s = load16(u) * (load16(v) - load16(w));
  F16 t = load16(u + 16) * (load16(v + 16) - load16(w + 16));
  s += load16(u + 32) * (load16(v + 32) - load16(w + 32));
  t += load16(u + 48) * (load16(v + 48) - load16(w + 48));
  return s + t;
}

/// One level of the joint sum of several registers: the halves of blocks of `2 * half` lanes are added, a's into the
/// lower, b's into the upper.
template <int half>
inline F16 fold(F16 a, F16 b) {
  I16 low{};
  I16 high{};
  for (int k = 0; k < 16; ++k) {
    const int block = k / (2 * half) * (2 * half);
    const int place = k % half;
    const int from_b = (k % (2 * half)) / half * 16;
    low[k] = from_b + block + place;
    high[k] = from_b + block + half + place;
  }
  return __builtin_shuffle(a, b, low) + __builtin_shuffle(a, b, high);
}

/// The sums of sixteen registers, in one register, in order.
inline F16 sums16(const F16* v) {
  F16 a[8];
  F16 b[4];
  for (int k = 0; k < 8; ++k) a[k] = fold<8>(v[k], v[k + 8]);
  for (int k = 0; k < 4; ++k) b[k] = fold<4>(a[k], a[k + 4]);
  return fold<1>(fold<2>(b[0], b[2]), fold<2>(b[1], b[3]));
}

inline float sum16(F16 v) {
  using F8 = float __attribute__((vector_size(32)));
  using F4 = float __attribute__((vector_size(16)));
  const F8 a = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
               __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  const F4 b = __builtin_shufflevector(a, a, 0, 1, 2, 3) + __builtin_shufflevector(a, a, 4, 5, 6, 7);
  return (b[0] + b[2]) + (b[1] + b[3]);
}

/// exp(x) for x clamped to [-87, 87], relative error below 2e-7: 2^n times a polynomial of the rest (Cephes'
/// coefficients).
inline F16 exp16(F16 x) {
  const F16 top = all16(87.0F);
  x = x > top ? top : x;
  x = x < -top ? -top : x;
  const F16 magic = all16(12582912.0F);  // 1.5 * 2^23: adding it rounds to an integer, whose bits are the lowest
  const F16 shifted = x * 1.44269504F + magic;
  const F16 n = shifted - magic;
  const F16 r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  F16 p = r * 1.9875691500e-4F + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  const I16 power = (reinterpret_cast<const I16&>(shifted) << 23) + 0x3f800000;
  return p * reinterpret_cast<const F16&>(power);
}

/// 1 / sqrt(x).
inline F16 inverse_root16(F16 x) {
#if defined(__AVX512F__)
  const F16 y = _mm512_maskz_rsqrt14_ps(0xffff, x);
  return y * (1.5F - 0.5F * x * y * y);
#else
  F16 y;
  for (int k = 0; k < 16; ++k) y[k] = 1.0F / __builtin_sqrtf(x[k]);
  return y;
#endif
}

}  // namespace spar::bench
