#pragma once
#include <string>

#include "spar/base/settings.hpp"
#include "spar/game/neural_engine.hpp"
#include "spar/systems/factor_model.hpp"

/// bpr-mf and apr on game::NeuralEngine, for what game::PairwiseEngine leaves out to be fast: the hardest of several
/// negatives, clipping, penalties that the owners of rows add. The same tables, so all but the training is that of the
/// factor model; a step costs what networks' steps cost.
namespace spar::systems {

struct FactorNetworkSettings {
  int dim = 64;
  bool item_bias = false;
  double l2 = 0.0;  ///< l2 / 2 |row|^2 for each occurrence
  game::RowPenalty penalty{};
};

/// Pairwise ranking of inner products (Rendle et al., UAI 2009).
class FactorNetwork final : public game::NeuralModelOf<FactorNetwork> {
 public:
  explicit FactorNetwork(const FactorNetworkSettings& settings) : settings_(settings) {}

  int user_columns() const override { return settings_.dim; }
  int item_columns() const override { return settings_.dim; }
  bool item_bias() const override { return settings_.item_bias; }
  game::Reduction reduction() const override { return game::Reduction::sum; }
  std::vector<std::string> taps() const override { return {"user", "item"}; }
  game::RowPenalty row_penalty() const override { return settings_.penalty; }
  /// APR's penalty stands in the clean loss and in the perturbed one.
  double adversarial_penalty() const override { return 2.0; }
  bool scores_pairs() const override { return true; }
  tape::Var pair_scores(const game::Pass<float>& pass) const override;
  template <class T>
  tape::Var build(const game::Pass<T>& pass) const;
  int score_columns() const override { return settings_.dim; }

 private:
  FactorNetworkSettings settings_;
};

/// user . item (+ item bias) of the examples: roles user and item, tables user and item.
tape::Var factor_scores(const game::Pass<float>& pass, int dim, bool item_bias);

/// The first setting of a factor model's recipe that PairwiseEngine does not know, as "key = value"; empty: none.
std::string beyond_pairwise(const Recipe& recipe);
/// UserError where such a setting does not go with another one of the recipe.
void check_beyond_pairwise(const Recipe& recipe);

/// The setup of its engine, which reads `model`'s stand-in and tables.
game::NeuralSetup factor_network_setup(const comm::Communicator& communicator, const ShardLayout& layout,
                                       const Recipe& recipe, FactorModel& model, const data::UserLists& train);

}  // namespace spar::systems
