#pragma once
#include <limits>

#include "support.hpp"

#include "spar/tape/functions.hpp"

namespace spar::tape::detail {

/// The largest of a row's cells and the sum of exp(x - largest); 0 and 0 where there is none.
template <class T>
struct ExpSum {
  T largest;
  T sum;

  T log() const { return sum > T{} ? largest + lane_log(all_lanes(sum))[0] : T{}; }
};

// x where the mask (if any) is not 0 and the column exists, -infinity elsewhere.
template <class T>
inline Lanes<T> unmasked(const T* x, const T* mask, int c, int columns) {
  constexpr T none = -std::numeric_limits<T>::infinity();
  Lanes<T> v = load_lanes(x + c);
  if (mask != nullptr) v = load_lanes(mask + c) != T{} ? v : all_lanes(none);
  return first_lanes<T>(v, columns - c, none);
}

template <class T>
inline T largest_lane(Lanes<T> v) {
  T best = v[0];
  for (int k = 1; k < lanes; ++k) best = v[k] > best ? v[k] : best;
  return best;
}

/// Also stores exp(x - largest) to `to`, if given (whole lines).
template <class T>
ExpSum<T> exp_sum(const T* x, const T* mask, int columns, T* to) {
  Lanes<T> best = all_lanes(-std::numeric_limits<T>::infinity());
  Lanes<T> broken{};  // a NaN must not be lost in a comparison
  for (int c = 0; c < columns; c += lanes) {
    const Lanes<T> v = unmasked(x, mask, c, columns);
    best = v > best ? v : best;
    broken = v <= std::numeric_limits<T>::infinity() ? broken : v;
  }
  const T largest = largest_lane<T>(best) + lane_sum<T>(broken);
  if (largest == -std::numeric_limits<T>::infinity()) {
    for (int c = 0; to != nullptr && c < columns; c += lanes) store_lanes<T>(to + c, Lanes<T>{});
    return {T{}, T{}};
  }
  Lanes<T> total{};
  for (int c = 0; c < columns; c += lanes) {
    const Lanes<T> e = lane_exp(unmasked(x, mask, c, columns) - largest);
    total += e;
    if (to != nullptr) store_lanes<T>(to + c, e);
  }
  return {largest, lane_sum<T>(total)};
}

}  // namespace spar::tape::detail
