#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/base/types.hpp"
#include "spar/data/side_data.hpp"
#include "spar/store/array_file.hpp"

/// Dense features of users or items: one vector of fixed width a row, such as the pooled output of an image network.
namespace spar::data {

/// Features of consecutive rows [first_row, first_row + rows()).
struct FeatureRows {
  Index first_row = 0;
  Index width = 0;
  LargeVector<float> values;           ///< rows() x width, packed; zero where a row has none
  std::vector<std::uint32_t> present;  ///< by row: 1, or 0 where it has none; empty where all rows have some

  Index rows() const { return width == 0 ? 0 : static_cast<Index>(values.size()) / width; }
  /// The features of local row k (global row first_row + k).
  std::span<const float> of(Index k) const {
    return {values.data() + static_cast<std::size_t>(k * width), static_cast<std::size_t>(width)};
  }
  bool has(Index k) const { return present.empty() || present[static_cast<std::size_t>(k)] != 0; }
};

/// Reads the features `name` of rows [first_row, end_row) of users or items and verifies their checksums; both bounds
/// are boundaries of row groups (any shard's bounds are). Any rank may call it alone; it holds what it returns.
/// UserError with one sentence for features that the file lacks and for damage.
FeatureRows read_features(const store::ArrayFile& file, Side side, const std::string& name, Index first_row,
                          Index end_row);

}  // namespace spar::data
