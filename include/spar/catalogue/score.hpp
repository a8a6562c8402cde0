#pragma once
#include <cstddef>
#include <span>

#include "spar/base/memory.hpp"
#include "spar/base/types.hpp"
#include "spar/catalogue/lanes.hpp"
#include "spar/table/row_block.hpp"

/// The scores of many users and many items (docs/evaluation.md). score(u, i) = fma(u_k, i_k, ...) over the
/// depth in ascending order, starting from 0, then + bias of the item where there is one. A lane holds one pair and
/// walks the depth in order, so a score is a pure function of the two rows: where they stand, what else is scored, how
/// many users are scored together and which processor runs it change no bit.
namespace spar::catalogue {

/// Items beside each other in a panel: three vectors.
inline constexpr int panel_items = 3 * lanes;
/// Users scored together at full speed: 8 x 48 products in 24 of 32 registers with AVX-512, 4 x 24 in 12 of 16 without.
inline constexpr int kernel_users = lanes == 16 ? 8 : 4;

/// Item biases beside the rows: the bias of local row k is data[k * stride].
struct BiasColumn {
  const float* data = nullptr;  ///< nullptr: the scores have no bias
  Index stride = 1;
};

/// Consecutive items, laid out for the kernel: panels of panel_items items, each with `dim` lines of one value an item,
/// then a line of biases. Missing items at the end are zeros. Value type; reuses its memory when packed again.
class ItemPanels {
 public:
  /// Rows [first, first + count) of `items` (local positions). `dim` may be 0.
  void pack(const table::RowBlock& items, Index first, Index count, const BiasColumn& bias);

  /// Takes over panels that were packed elsewhere: values() of the packing object.
  void assign(Index first_item, Index items, int dim, bool has_bias, const float* values);
  /// All panels, packed.
  std::span<const float> values() const { return {values_.data(), static_cast<std::size_t>(panels()) * panel_size()}; }

  Index first_item() const { return first_item_; }  ///< global row
  Index items() const { return items_; }
  int dim() const { return dim_; }
  bool has_bias() const { return has_bias_; }
  int panels() const { return static_cast<int>((items_ + panel_items - 1) / panel_items); }
  const float* panel(int p) const { return values_.data() + static_cast<std::size_t>(p) * panel_size(); }
  std::size_t panel_size() const { return panel_floats(dim_); }

  /// Floats of one panel of items with `dim` values.
  static std::size_t panel_floats(int dim) { return static_cast<std::size_t>(dim + 1) * panel_items; }

 private:
  Buffer<float> values_;
  Index first_item_ = 0;
  Index items_ = 0;
  int dim_ = 0;
  bool has_bias_ = false;
};

/// The score of one pair, the same bits as the kernel's; without the bias.
float score_pair(const float* user, const float* item, int dim);

/// Scores `users` (any number of rows of items.dim() floats) against panels [first_panel, first_panel + panels) of
/// `items`. Item j of the first panel of user u lands in scores[u * stride + j]; `scores` is aligned to a vector,
/// stride >= panels * panel_items and a multiple of `lanes`. Items that pad the last panel get the score of a zero row.
/// Returns false where a score of a user and an item is not finite.
bool score_panels(const float* const* user_rows, int users, const ItemPanels& items, int first_panel, int panels,
                  float* scores, Index stride);

}  // namespace spar::catalogue
