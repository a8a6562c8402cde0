#pragma once
#include <span>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/catalogue/output_law.hpp"
#include "spar/catalogue/wide_output.hpp"

/// The multinomial loss of one shard's items with a softmax over each user's own items and the step's draws, after
/// Bengio and Senecal (IEEE Trans. Neural Networks 2008) and Jean, Cho, Memisevic and Bengio (ACL 2015):
///
///   -sum_i x_ui l_ui + n_u log Z^_u,   Z^_u = sum_{i in S_u} exp(l_ui) + sum_{j drawn, not in S_u} w_j exp(l_uj),
///
/// where w_j = times drawn / expected times, so that a draw's logit is corrected by log w_j. A user's own items count
/// once, with weight 1, whether drawn or not, and those of the other users not at all, unless drawn. Over the draws the
/// mean of Z^_u is exactly Z_u, the sum over the catalogue; the mean of log Z^_u is lower, by about Var(Z^_u) / (2
/// Z_u^2), and so is the loss. Where all items are drawn once, it is the loss over the catalogue. Gradients are those
/// of this loss.
///
/// Work and memory follow the batch's cells, which are walked one by one, and the draws, whose rows are copied side by
/// side: nothing here is as long as the slice but DrawnItems::taken, a bit an item.
namespace spar::catalogue {

class SampledOutput {
 public:
  DrawnItems drawn;  ///< of the step, by OutputLaw::draw()

  /// The logarithm of each user's part of Z^, and -sum x_ui l_ui over all cells of the batch. `rows`, with biases,
  /// and `hidden` (users x dim) as for WideOutput; `kept`: nullptr, or room of WideOutput::kept_floats(users,
  /// drawn.count()).
  double forward(WideOutput& output, const SliceRows& rows, const tape::Matrix<float>& hidden, const SliceBatch& batch,
                 float* kept, std::span<LogSum> sums);

  /// After forward() with the same arguments: adds the gradients of the rows of cells and draws to `gradients`, and
  /// writes the slice's part of dL/dh to `hidden_gradient` (users x padded(dim)). `terms`: multinomial, with the
  /// logarithms of Z^ over all slices.
  void backward(WideOutput& output, const SliceRows& rows, const tape::Matrix<float>& hidden, const SliceBatch& batch,
                const LossTerms& terms, float* kept, const tape::Matrix<float>& hidden_gradient,
                TouchedRows& gradients);

 private:
  void list_hits(const SliceBatch& batch);
  SliceRows drawn_rows(const SliceRows& rows);

  SliceBatch none_;            // as many users, without cells
  SliceBatch hits_;            // cells that were drawn, too, by place among the draws
  Buffer<float> values_;       // the draws' rows, with corrected biases
  std::vector<float> logits_;  // of the cells
};

}  // namespace spar::catalogue
