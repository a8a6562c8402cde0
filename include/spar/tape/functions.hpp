#pragma once
#include <cmath>
#include <limits>

#include "spar/base/lanes.hpp"
#include "spar/tape/logistic.hpp"

/// exp, log, log1p, tanh, sigmoid and softplus of sixteen numbers: own polynomials in float, so the bits depend on no
/// mathematical library and on no place in a row; the library's functions in double. The largest error of the float
/// forms, in units in the last place of the exact result, stands with each and is tested. NaN gives NaN.
namespace spar::tape {

namespace detail {

template <class T, class F>
inline Lanes<T> each_lane(Lanes<T> v, F&& f) {
  for (int k = 0; k < lanes; ++k) v[k] = f(v[k]);
  return v;
}

// log(m) of m in [sqrt(1/2), sqrt(2)) = 2 artanh((m - 1) / (m + 1)), with the rest that is added to it: the two parts
// of exponent * log 2.
inline Lanes<float> log_of_mantissa(Lanes<float> m, Lanes<float> exponent) {
  const Lanes<float> z = (m - 1.0F) / (m + 1.0F);
  const Lanes<float> q = z * z;
  Lanes<float> p = all_lanes(2.0F / 11.0F);
  p = lane_fma(p, q, all_lanes(2.0F / 9.0F));
  p = lane_fma(p, q, all_lanes(2.0F / 7.0F));
  p = lane_fma(p, q, all_lanes(2.0F / 5.0F));
  p = lane_fma(p, q, all_lanes(2.0F / 3.0F));
  const Lanes<float> small = lane_fma(exponent, all_lanes(-2.12194440e-4F), p * q * z);
  return lane_fma(exponent, all_lanes(0.693359375F), small + (z + z));
}

}  // namespace detail

inline Lanes<double> lane_fma(Lanes<double> a, Lanes<double> b, Lanes<double> c) {
  for (int k = 0; k < lanes; ++k) c[k] = std::fma(a[k], b[k], c[k]);
  return c;
}
using spar::lane_fma;

inline Lanes<float> lane_root(Lanes<float> v) {
  return lane_sqrt(v);
}
inline Lanes<double> lane_root(Lanes<double> v) {
  return detail::each_lane<double>(v, [](double x) { return std::sqrt(x); });
}

/// exp(x), 1.5 ulp; 0 below -87, infinity above 88.37 (half of the largest float).
inline Lanes<float> lane_exp(Lanes<float> x) {
  constexpr float magic = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits
  constexpr float lowest = -87.0F;
  constexpr float highest = 88.37F;
  const Lanes<float> clipped = x < lowest ? all_lanes(lowest) : (x > highest ? all_lanes(highest) : x);
  const Lanes<float> shifted = lane_fma(clipped, all_lanes(1.44269504F), all_lanes(magic));
  const Lanes<float> n = shifted - magic;
  const Lanes<float> r = lane_fma(n, all_lanes(2.12194440e-4F), lane_fma(n, all_lanes(-0.693359375F), clipped));
  Lanes<float> p = all_lanes(1.9875691500e-4F);
  p = lane_fma(p, r, all_lanes(1.3981999507e-3F));
  p = lane_fma(p, r, all_lanes(8.3334519073e-3F));
  p = lane_fma(p, r, all_lanes(4.1665795894e-2F));
  p = lane_fma(p, r, all_lanes(1.6666665459e-1F));
  p = lane_fma(p, r, all_lanes(5.0000001201e-1F));
  p = lane_fma(p, r * r, r) + 1.0F;
  const auto scaled = (Lanes<float>)((detail::IntLanes)p + ((detail::IntLanes)shifted << 23));
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const Lanes<float> above = x > highest ? all_lanes(infinity) : scaled;
  const Lanes<float> result = x < lowest ? Lanes<float>{} : above;
  return x <= infinity ? result : x;
}
inline Lanes<double> lane_exp(Lanes<double> v) {
  return detail::each_lane<double>(v, [](double x) { return std::exp(x); });
}

/// log(x), 2 ulp; -infinity at 0, NaN below. Numbers below the smallest normal one count as 0.
inline Lanes<float> lane_log(Lanes<float> x) {
  constexpr std::int32_t root_half = 0x3f3504f3;  // the bits of sqrt(1/2): the mantissa is taken from there on
  const auto bits = (detail::IntLanes)x;
  const detail::IntLanes exponent = (bits - root_half) >> 23;
  const auto m = (Lanes<float>)(bits - (exponent << 23));
  const Lanes<float> result = detail::log_of_mantissa(m, __builtin_convertvector(exponent, Lanes<float>));
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const Lanes<float> low = x < std::numeric_limits<float>::min()
                               ? (x < 0.0F ? all_lanes(std::numeric_limits<float>::quiet_NaN()) : all_lanes(-infinity))
                               : result;
  return x < infinity ? low : x;
}
inline Lanes<double> lane_log(Lanes<double> v) {
  return detail::each_lane<double>(v, [](double x) { return std::log(x); });
}

/// log(1 + x) for x > -1, 4 ulp: the logarithm of the rounded sum, corrected by the rounding (Kahan).
inline Lanes<float> lane_log1p(Lanes<float> x) {
  const Lanes<float> sum = 1.0F + x;
  const Lanes<float> moved = sum - 1.0F;
  const Lanes<float> corrected = lane_log(sum) * (x / moved);
  const Lanes<float> result = moved == 0.0F ? x : corrected;
  return sum < std::numeric_limits<float>::infinity() ? result : lane_log(sum);
}
inline Lanes<double> lane_log1p(Lanes<double> v) {
  return detail::each_lane<double>(v, [](double x) { return std::log1p(x); });
}

/// tanh(x), 3 ulp.
inline Lanes<float> lane_tanh(Lanes<float> x) {
  const Lanes<float> size = x < 0.0F ? -x : x;
  const Lanes<float> q = x * x;
  Lanes<float> p = all_lanes(-5.70498872745e-3F);
  p = lane_fma(p, q, all_lanes(2.06390887954e-2F));
  p = lane_fma(p, q, all_lanes(-5.37397155531e-2F));
  p = lane_fma(p, q, all_lanes(1.33314422036e-1F));
  p = lane_fma(p, q, all_lanes(-3.33332819422e-1F));
  const Lanes<float> near = lane_fma(p * q, x, x);
  const Lanes<float> far = 1.0F - 2.0F / (lane_exp(size + size) + 1.0F);
  return size < 0.625F ? near : (x < 0.0F ? -far : far);
}
inline Lanes<double> lane_tanh(Lanes<double> v) {
  return detail::each_lane<double>(v, [](double x) { return std::tanh(x); });
}

/// 1 / (1 + exp(-x)), 3 ulp, without overflow on either side; 0 below -87.
inline Lanes<float> lane_sigmoid(Lanes<float> x) {
  const Lanes<float> e = lane_exp(x < 0.0F ? x : -x);
  const Lanes<float> inverse = 1.0F / (1.0F + e);
  return x < 0.0F ? e * inverse : inverse;
}
inline Lanes<double> lane_sigmoid(Lanes<double> v) {
  return detail::each_lane<double>(v, [](double x) {
    const double e = std::exp(-std::abs(x));
    return (x < 0.0 ? e : 1.0) / (1.0 + e);
  });
}

/// log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), 4 ulp.
inline Lanes<float> lane_softplus(Lanes<float> x) {
  const Lanes<float> e = lane_exp(x < 0.0F ? x : -x);
  return (x < 0.0F ? Lanes<float>{} : x) + detail::log_of_one_plus(e);
}
inline Lanes<double> lane_softplus(Lanes<double> v) {
  return detail::each_lane<double>(v,
                                   [](double x) { return (x < 0.0 ? 0.0 : x) + std::log1p(std::exp(-std::abs(x))); });
}

}  // namespace spar::tape
