#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "spar/base/random.hpp"
#include "spar/base/types.hpp"
#include "spar/table/row_block.hpp"

namespace spar::test {

/// Rows of a table with values that depend on (seed, row, column) only, at any stride.
struct Rows {
  Rows(Index rows, int dim, std::uint64_t seed, int padding = 0)
      : count(rows), width(dim), stride(dim + padding), values(static_cast<std::size_t>(rows * (dim + padding)), 0.0F) {
    const RandomStream stream(seed, Purpose::initial_rows);
    for (Index r = 0; r < rows; ++r) {
      for (int c = 0; c < dim; ++c) {
        const auto block = stream.block(static_cast<std::uint32_t>(r), static_cast<std::uint32_t>(c));
        values[static_cast<std::size_t>(r * stride + c)] = static_cast<float>(normal_pair(block)[0]);
      }
    }
  }
  table::RowBlock block(Index first_row = 0) const { return {values.data(), first_row, count, width, stride}; }
  const float* row(Index r) const { return values.data() + r * stride; }

  Index count;
  int width;
  Index stride;
  std::vector<float> values;
};

/// The definition of a score: in-order fused multiply-adds from 0.
inline float reference_score(const float* user, const float* item, int dim) {
  float sum = 0.0F;
  for (int k = 0; k < dim; ++k) sum = std::fma(user[k], item[k], sum);
  return sum;
}

}  // namespace spar::test
