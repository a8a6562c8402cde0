#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "spar/base/settings.hpp"
#include "spar/game/segmented_model.hpp"
#include "spar/tape/layers/dense.hpp"
#include "spar/tape/layers/normed_mlp.hpp"

/// Neural collaborative filtering (He, Liao, Zhang, Nie, Hu and Chua, WWW 2017): pointwise logits of
///   gmf    h . (p_u * q_i)                                                        (eq. 9)
///   mlp    h . relu(... relu([p_u; q_i] W_1 + b_1) ...)                           (eq. 10)
///   neumf  h . [gmf's product; mlp's last layer], with vectors of their own       (eq. 12)
/// plus a bias, under binary cross entropy with sampled negatives (eq. 7). With batch norm every layer of the
/// perceptron is relu(norm(x W)), over the examples of the whole batch; pairs are scored with the running moments,
/// folded into the weights.
namespace spar::systems {

class NcfModel final : public game::NeuralModelOf<NcfModel>, public game::SegmentedModel {
 public:
  /// `product`: width of the vectors of the product, 0 without it. `layers`: of the perceptron, the width of its input
  /// (two vectors side by side, so even) first; empty without it.
  NcfModel(int product, const std::vector<int>& layers, int negatives, bool batch_norm = false);

  int user_columns() const override { return product_ + input_ / 2; }
  int item_columns() const override { return user_columns(); }
  std::unique_ptr<game::BatchSource> source(const data::UserLists& lists, Index first_user, Index users, int shard,
                                            Index total_items, std::uint64_t seed) const override;
  std::vector<std::string> taps() const override;
  /// Those of the product and of the perceptron apart.
  std::vector<game::Vectors> vectors() const override;
  bool scores_pairs() const override { return true; }
  tape::Var pair_scores(const game::Pass<float>& pass) const override { return logits(pass); }
  template <class T>
  tape::Var build(const game::Pass<T>& pass) const;

  const game::SegmentedModel* segmented() const override { return normed_ ? this : nullptr; }
  std::vector<game::CutShape> cuts() const override;
  tape::Var segment(const game::Pass<float>& pass, int segment, std::vector<tape::Var>& kept) const override {
    return build_segment(pass, segment, kept);
  }
  void update_states(const game::Pass<float>& pass, std::span<const tape::Var> kept) const override;
  std::int64_t bytes_per_entry() const override;
  /// Segment k of a pass with batch norm, in either precision.
  template <class T>
  tape::Var build_segment(const game::Pass<T>& pass, int segment, std::vector<tape::Var>& kept) const;

  /// gmf: h * p_u against q_i. With a perceptron: the product's vectors, then each side's share of the first layer, so
  /// that a pair costs the layers above it only.
  int score_columns() const override { return product_ + first_layer(); }
  void represent_user(const table::DenseParameters& dense, const float* row, float* out) const override;
  void represent_item(const table::DenseParameters& dense, const float* row, float* out) const override;
  std::unique_ptr<catalogue::PairFunction> pair_function(const table::DenseParameters& dense) const override;

 private:
  template <class T>
  tape::Var logits(const game::Pass<T>& pass) const;
  int first_layer() const { return widths_.empty() ? 0 : widths_[1]; }
  bool has_perceptron() const { return input_ > 0; }
  struct Parts {
    tape::Var product;
    tape::Var input;
  };
  template <class T>
  Parts parts_of(const game::Pass<T>& pass) const;
  template <class T>
  tape::Var joined(const game::Pass<T>& pass, tape::Var product, tape::Var perceptron) const;
  template <class T>
  tape::Var loss_of(const game::Pass<T>& pass, tape::Var logits) const;
  void add_first_layer(const table::DenseParameters& dense, const float* vector, int first_row, float* out) const;

  int product_;
  int input_;
  std::vector<int> widths_;
  int negatives_;
  std::optional<tape::layers::Mlp> mlp_;
  std::optional<tape::layers::NormedMlp> normed_;  // in its place with batch norm
  std::optional<tape::layers::Dense> output_;
  // Places among the dense parameters, which are those of the declarations.
  int first_weights_ = -1;
  int first_bias_ = -1;
  int output_weights_ = -1;
};

/// The widths of network.layers, checked. UserError naming the setting.
std::vector<int> perceptron_layers(const Recipe& recipe);

}  // namespace spar::systems
