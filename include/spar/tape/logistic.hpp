#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "spar/base/lanes.hpp"

/// The logistic loss of margins, sixteen at a time in float (own polynomials: the bits depend on no mathematical
/// library), one at a time in double.
namespace spar::tape {

namespace detail {

typedef std::int32_t IntLanes __attribute__((vector_size(64)));

// exp(-y) for y >= 0: n = round(-y / ln 2), then a polynomial on the rest; 0 below the smallest normal number.
inline Lanes<float> exp_of_minus(Lanes<float> y) {
  constexpr float log2e = 1.44269504F;
  constexpr float ln2_high = 0.693359375F;
  constexpr float ln2_low = -2.12194440e-4F;
  constexpr float magic = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits
  const Lanes<float> x = y > 87.0F ? all_lanes(-87.0F) : -y;
  const Lanes<float> shifted = x * log2e + magic;
  const Lanes<float> n = shifted - magic;
  const Lanes<float> r = (x - n * ln2_high) - n * ln2_low;
  Lanes<float> p = all_lanes(1.9875691500e-4F);
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  IntLanes bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  IntLanes scaled;
  std::memcpy(&scaled, &p, sizeof scaled);
  scaled += bits << 23;
  std::memcpy(&p, &scaled, sizeof p);
  return y > 87.0F ? Lanes<float>{} : p;
}

// log(1 + x) for 0 <= x <= 1 = 2 artanh(x / (2 + x)).
inline Lanes<float> log_of_one_plus(Lanes<float> x) {
  const Lanes<float> z = x / (2.0F + x);
  const Lanes<float> q = z * z;
  Lanes<float> p = all_lanes(2.0F / 15.0F);
  p = p * q + 2.0F / 13.0F;
  p = p * q + 2.0F / 11.0F;
  p = p * q + 2.0F / 9.0F;
  p = p * q + 2.0F / 7.0F;
  p = p * q + 2.0F / 5.0F;
  p = p * q + 2.0F / 3.0F;
  p = p * q + 2.0F;
  return p * z;
}

}  // namespace detail

/// For margins s (logits): loss = softplus(-s) = log(1 + exp(-s)) and weight = -d loss / d s = sigmoid(-s). Margins
/// below `floor` count as `floor` and have weight 0, as in the APR code's clip to [-80, 1e8].
inline void logistic_terms(Lanes<float> s, float floor, Lanes<float>& loss, Lanes<float>& weight) {
  const Lanes<float> clipped = s < floor ? all_lanes(floor) : s;
  const Lanes<float> size = clipped < 0.0F ? -clipped : clipped;
  const Lanes<float> e = detail::exp_of_minus(size);
  const Lanes<float> inverse = 1.0F / (1.0F + e);
  loss = (clipped < 0.0F ? size : Lanes<float>{}) + detail::log_of_one_plus(e);
  weight = clipped < 0.0F ? inverse : e * inverse;
  weight = s < floor ? Lanes<float>{} : weight;
}

inline void logistic_terms(Lanes<double> s, double floor, Lanes<double>& loss, Lanes<double>& weight) {
  for (int k = 0; k < lanes; ++k) {
    const double clipped = s[k] < floor ? floor : s[k];
    const double e = std::exp(-std::abs(clipped));
    loss[k] = (clipped < 0.0 ? -clipped : 0.0) + std::log1p(e);
    weight[k] = s[k] < floor ? 0.0 : (clipped < 0.0 ? 1.0 : e) / (1.0 + e);
  }
}

}  // namespace spar::tape
