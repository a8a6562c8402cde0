#pragma once
#include <span>
#include <string>

#include "spar/catalogue/shard_sums.hpp"
#include "spar/catalogue/slice_batch.hpp"
#include "spar/tape/tape.hpp"

/// The output layer as wide as the catalogue, l_ui = v_i . h_u + c_i, and its losses, on one shard's items. Items are
/// walked in tiles of fixed size that start anew in each shard, so no users x items matrix exists and no bit depends on
/// the launch. Working memory of a thread: 4 B (2 T + 2 H') bytes for B users and tiles of T items, beside the
/// gradients of T rows.
namespace spar::catalogue {

/// What the loss of a user is; the target of every cell that is not listed is 0.
enum class OutputLoss {
  multinomial,  ///< -sum_i x_ui log softmax(l_u)_i over all items (Liang et al., WWW 2018)
  bce,          ///< sum_i softplus(l) - x l, the cross entropy of sigmoid(l)
  square,       ///< sum_i (x - l)^2
};

/// Numbers of the loss for each user of the batch.
struct LossTerms {
  OutputLoss loss = OutputLoss::multinomial;
  float scale = 1.0F;                ///< of every gradient: 1 / users of the batch for a mean
  std::span<const float> totals;     ///< multinomial: n_u = sum_i x_ui
  std::span<const double> log_sums;  ///< multinomial: log sum_i exp(l_ui) over the whole catalogue
};

/// Scratch memory of one thread.
class WideOutput {
 public:
  static constexpr int tile_items = 512;  ///< part of the meaning of the sums over items

  /// Floats that keep the logits of a slice for backward(), so that they are not computed twice.
  static std::size_t kept_floats(int users, int items);

  /// Multinomial: the log-sum-exp of each user's logits over the slice, and -sum x_ui l_ui over all cells of the batch.
  /// `hidden`: users x dim. `kept`: nullptr, or room of kept_floats(). The logits of `left_out`'s cells are -infinity,
  /// here and in backward(): those cells have no part in the sums and no gradient.
  double forward(const SliceRows& rows, const tape::Matrix<float>& hidden, const SliceBatch& batch, float* kept,
                 std::span<LogSum> sums, const SliceBatch* left_out = nullptr);

  /// All cells of the slice: hands the gradient of each row, c included, to `sink`, in order of the rows, and writes
  /// the slice's part of dL/dh to `hidden_gradient` (users x padded(dim)). A row is not read again once it was handed
  /// out. `kept`: as forward() left it, or nullptr. Returns the loss of the slice's cells; 0 for multinomial, whose
  /// parts are forward()'s and n_u * log_sum of each user.
  double backward(const SliceRows& rows, const tape::Matrix<float>& hidden, const SliceBatch& batch,
                  const LossTerms& terms, float* kept, const tape::Matrix<float>& hidden_gradient, const RowSink& sink,
                  const SliceBatch* left_out = nullptr);

  /// The listed cells alone (bce, square); the gradients of their rows are added to `gradients`. Costs follow the
  /// cells.
  double backward_cells(const SliceRows& rows, const tape::Matrix<float>& hidden, const SliceBatch& cells,
                        const LossTerms& terms, const tape::Matrix<float>& hidden_gradient, TouchedRows& gradients);

 private:
  tape::Matrix<float> logits(const SliceRows& rows, int first, const tape::Matrix<float>& hidden,
                             const SliceBatch* left_out, float* room);

  tape::Arena arena_;
  Buffer<float> tile_;
  Buffer<float> gradients_;
  std::vector<float> biases_;
  std::vector<float> changes_;
};

OutputLoss output_loss_of(const std::string& name);

}  // namespace spar::catalogue
