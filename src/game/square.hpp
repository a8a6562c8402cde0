#pragma once
#include <cstddef>

namespace spar::game {

/// The sum of squares in float64, in ascending order.
inline double square_of(const float* values, std::size_t count) {
  double sum = 0.0;
  for (std::size_t k = 0; k < count; ++k) sum += static_cast<double>(values[k]) * static_cast<double>(values[k]);
  return sum;
}

}  // namespace spar::game
