#pragma once
#include <memory>
#include <string>
#include <vector>

#include "spar/game/neural_model.hpp"

/// Matrix factorisation with biases under the logistic loss, pointwise with sampled negatives (Rendle, Krichene, Zhang
/// and Anderson, RecSys 2020):  z = p_u . q_i + b_u + b_i + b.
namespace spar::systems {

struct MfSettings {
  int dim = 64;  ///< of the vectors, without the bias
  double l2 = 0.0;
  game::RowPenalty penalty{};
  int negatives = 8;  ///< for each positive
};

class MfModel final : public game::NeuralModelOf<MfModel> {
 public:
  explicit MfModel(const MfSettings& settings);

  /// The vector, then the bias, which starts at 0.
  int user_columns() const override { return settings_.dim + 1; }
  int item_columns() const override { return settings_.dim + 1; }
  int zero_user_columns() const override { return 1; }
  int zero_item_columns() const override { return 1; }
  std::unique_ptr<game::BatchSource> source(const data::UserLists& lists, Index first_user, Index users, int shard,
                                            Index total_items, std::uint64_t seed) const override;
  game::Reduction reduction() const override { return game::Reduction::sum; }
  std::vector<std::string> taps() const override { return {"user", "item"}; }
  game::RowPenalty row_penalty() const override { return settings_.penalty; }
  bool scores_pairs() const override { return true; }
  /// Without the biases that are the same for all items of a user.
  tape::Var pair_scores(const game::Pass<float>& pass) const override;
  template <class T>
  tape::Var build(const game::Pass<T>& pass) const;

  /// [p_u; 1] against [q_i; b_i]: without the biases that are the same for all items of a user.
  int score_columns() const override { return settings_.dim + 1; }
  void represent_user(const table::DenseParameters& dense, const float* row, float* out) const override;

 private:
  MfSettings settings_;
  int bias_;
};

}  // namespace spar::systems
