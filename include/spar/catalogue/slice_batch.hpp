#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "spar/base/random.hpp"
#include "spar/catalogue/item_slices.hpp"
#include "spar/table/table.hpp"
#include "spar/tape/noise.hpp"

/// The users of a batch as one shard of the items sees them.
namespace spar::catalogue {

/// The rows of one shard's items: row k is item first + k, `stride` floats behind the one before. A row is a vector of
/// `dim` floats, padded to whole lines, and the bias at `bias_offset` (-1: none), `width` floats in all.
struct SliceRows {
  const float* data = nullptr;
  Index first = 0;
  int rows = 0;
  int dim = 0;
  int width = 0;
  int bias_offset = -1;
  Index stride = 0;

  const float* row(int k) const { return data + k * stride; }
  float bias(int k) const { return bias_offset < 0 ? 0.0F : row(k)[bias_offset]; }
};

/// The values of a shard of a table; the shard is one of the rank's.
SliceRows slice_rows(const table::Table& table, int shard);

/// Cells of a users x items matrix in rows: user u has the entries offsets[u] to offsets[u + 1], by ascending item.
struct SliceBatch {
  std::vector<std::int32_t> offsets{0};
  std::vector<std::int32_t> items;  ///< rows of the slice
  std::vector<float> values;        ///< x_ui
  std::vector<float> inputs;        ///< what is left of x_ui in the corrupted input

  int users() const { return static_cast<int>(offsets.size()) - 1; }
  std::span<const std::int32_t> items_of(int user) const {
    const auto begin = static_cast<std::size_t>(offsets[static_cast<std::size_t>(user)]);
    return {items.data() + begin, static_cast<std::size_t>(offsets[static_cast<std::size_t>(user) + 1]) - begin};
  }
};

/// Which inputs are dropped: x~ = x / keep with probability keep, else 0, a function of the key, the user and the item.
struct Corruption {
  double keep = 1.0;
  tape::NoiseKey key;
};

/// Lists the cells of `users` in a slice.
void list_batch(const ItemSlices& slices, const SliceRows& rows, std::span<const Index> users,
                const Corruption& corruption, SliceBatch& batch);

/// The cells of `batch` with, for each user, round(per_positive * positives[u]) draws from all `items` of the catalogue
/// as cells of value 0: those that fall into the slice and are none of its cells. So the draws are the same whatever
/// the number of shards; one that meets a positive, or an item drawn already, is left out, not drawn again. Costs the
/// draws of all users on every rank and shard.
void add_negatives(const SliceBatch& batch, const SliceRows& rows, Index items, std::span<const Index> users,
                   std::span<const float> positives, double per_positive, const tape::NoiseKey& key, SliceBatch& cells);

/// Takes the gradient of one row of a slice, `width` floats.
using RowSink = std::function<void(int row, const float* gradient)>;

/// Gradients of the rows that a batch touches: one row of memory each. Memory of its own: 4 bytes an item of the slice.
class TouchedRows {
 public:
  /// Forgets all rows; those of a slice of `rows` rows may come.
  void reset(int rows, int width);
  /// The gradient of a row, of zeros when it is new.
  float* add(int row);
  int count() const { return static_cast<int>(rows_.size()); }
  int row(int k) const { return rows_[static_cast<std::size_t>(k)]; }
  float* gradient(int k) { return gradients_.data() + static_cast<std::size_t>(k) * width_; }
  /// Where a row stands, -1 where it was not touched.
  int place(int row) const { return place_[static_cast<std::size_t>(row)]; }

 private:
  std::size_t width_ = 0;
  std::vector<std::int32_t> place_;  // of all rows of the slice; -1: none
  std::vector<std::int32_t> rows_;
  std::vector<float> gradients_;
};

}  // namespace spar::catalogue
