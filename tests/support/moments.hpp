#pragma once
#include <cstddef>
#include <vector>

#include "support/gradient_check.hpp"

#include "spar/table/statistics.hpp"

namespace spar::test {

/// The moments of rows by plain loops.
inline table::Moments moments_of(const Grid<double>& x) {
  const auto d = static_cast<std::size_t>(x.columns());
  table::Moments moments{x.rows(), x.columns(), std::vector<double>(d), std::vector<double>(d * d)};
  for (int r = 0; r < x.rows(); ++r) {
    for (std::size_t a = 0; a < d; ++a) {
      moments.mean[a] += x.at(r, static_cast<int>(a)) / x.rows();
      for (std::size_t b = 0; b < d; ++b)
        moments.gram[a * d + b] += x.at(r, static_cast<int>(a)) * x.at(r, static_cast<int>(b));
    }
  }
  return moments;
}

}  // namespace spar::test
