#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/base/types.hpp"

namespace spar::data {

/// Weighted entries of consecutive rows [first_row, first_row + rows()), by row; columns ascend within a row and are
/// distinct. Bags (columns: rows of the vocabulary) and graphs (columns: rows of users) are read as this.
struct SparseRows {
  Index first_row = 0;
  LargeVector<std::int64_t> offsets{0};  ///< rows() + 1, starting at 0
  LargeVector<std::uint32_t> columns;
  LargeVector<float> weights;  ///< as columns; empty where there are none (graphs)

  Index rows() const { return static_cast<Index>(offsets.size()) - 1; }
  std::int64_t count() const { return offsets.back(); }
  /// Columns / weights of local row k (global row first_row + k).
  std::span<const std::uint32_t> columns_of(Index k) const { return {columns.data() + begin(k), size(k)}; }
  std::span<const float> weights_of(Index k) const {
    return weights.empty() ? std::span<const float>() : std::span<const float>(weights.data() + begin(k), size(k));
  }

 private:
  std::size_t begin(Index k) const { return static_cast<std::size_t>(offsets[static_cast<std::size_t>(k)]); }
  std::size_t size(Index k) const { return begin(k + 1) - begin(k); }
};

}  // namespace spar::data
