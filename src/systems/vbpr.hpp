#pragma once
#include <memory>
#include <string>
#include <vector>

#include "spar/base/settings.hpp"
#include "spar/game/neural_model.hpp"
#include "spar/systems/system.hpp"

/// Visual Bayesian personalized ranking: BPR (Rendle et al., UAI 2009) over items that are described by a frozen row
/// f_i of `features` numbers, with a dense projection E. Two forms of the score:
///   shared   p_u . (q_i + f_i E)                                    (Tang, Du, He, Yuan, Tian and Chua, TKDE 2019)
///   full     g_u . g_i + t_u . (f_i E) + b_i + f_i . b'             (He and McAuley, AAAI 2016, eq. 4, without the
///   terms
///                                                                   that are the same for all items)
/// The loss is the sum of softplus(y_uj - y_ui) over the batch. Adversaries do not see the penalty
///   user sum |u|^2 + item sum (|i|^2 + |j|^2) + dense |E|^2
/// over the examples, where i is q_i + f_i E in the shared form and the row of item i in the full one.
namespace spar::systems {

struct VbprSettings {
  int dim = 64;
  int visual_dim = 0;  ///< 0: the shared form
  int features = 1;
  double start_deviation = 0.01;  ///< of E, truncated at two deviations
  double user_penalty = 0.0;
  double item_penalty = 0.0;
  double dense_penalty = 0.0;
  bool cold_negatives = true;  ///< false: triples whose negative occurs in no training interaction count nothing
};

class VbprModel final : public game::NeuralModelOf<VbprModel>, public game::DescribedModel {
 public:
  explicit VbprModel(const VbprSettings& settings);

  /// shared: p_u and q_i. full: g_u, t_u and g_i, b_i. The last column of the full form's E is b'.
  int user_columns() const override { return settings_.dim + settings_.visual_dim; }
  int item_columns() const override { return is_full() ? settings_.dim + 1 : settings_.dim; }
  int zero_item_columns() const override { return is_full() ? 1 : 0; }
  std::vector<game::FrozenTable> frozen() const override;
  std::unique_ptr<game::BatchSource> source(const data::UserLists& lists, Index first_user, Index users, int shard,
                                            Index total_items, std::uint64_t seed) const override;
  game::Reduction reduction() const override { return game::Reduction::sum; }
  std::vector<std::string> taps() const override { return {"user", "item", "item_features"}; }
  const game::DescribedModel* described() const override { return this; }
  std::vector<std::string> inputs() const override { return {"item_features"}; }
  bool scores_pairs() const override { return true; }
  tape::Var pair_scores(const game::Pass<float>& pass) const override;
  template <class T>
  tape::Var build(const game::Pass<T>& pass) const;

  /// What stands against each other in the scores, whose inner product they are; the full form puts 1 against biases.
  int score_columns() const override { return is_full() ? user_columns() + 1 : settings_.dim; }
  void represent_user(const table::DenseParameters& dense, const float* row, float* out) const override;
  /// Of an item without features: as if they were 0.
  void represent_item(const table::DenseParameters& dense, const float* row, float* out) const override;
  void represent_described_item(const table::DenseParameters& dense, const float* row,
                                std::span<const float* const> frozen, float* out) const override;

 private:
  bool is_full() const { return settings_.visual_dim > 0; }
  template <class T>
  tape::Var items(const game::Pass<T>& pass) const;
  template <class T>
  tape::Var scores(const game::Pass<T>& pass, tape::Var users, tape::Var items) const;
  template <class T>
  tape::Var penalty(const game::Pass<T>& pass, tape::Var users, tape::Var positives, tape::Var negatives,
                    tape::Var counts) const;

  VbprSettings settings_;
  int projection_;
};

/// The model of a recipe whose features.columns is resolved (else of one column, which is good for its plan only).
std::unique_ptr<game::NeuralModel> vbpr_of(const Recipe& recipe);
/// The settings of vbpr, which are also those of amr's first stage, with their defaults.
SystemSettings vbpr_settings(const std::string& system);

}  // namespace spar::systems
