#include "factor_network.hpp"

#include "row_penalty.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/tape/losses.hpp"
#include "spar/tape/operations.hpp"
#include "spar/tape/shape.hpp"

namespace spar::systems {

using tape::Var;

namespace {

// Of the items in `role`. Of ordinary operations, since rows that an adversary has moved have no zeros behind them.
template <class T>
Var scores_of(const game::Pass<T>& pass, std::size_t role, int dim, bool item_bias) {
  tape::Tape<T>& tape = pass.tape();
  const Var items = pass.rows(1, role);
  if (!item_bias) return tape::row_dot(tape, pass.rows(0, 0), items);
  const Var products = tape::row_dot(tape, pass.rows(0, 0), tape::slice_columns(tape, items, 0, dim));
  return tape::add(tape, products, tape::slice_columns(tape, items, padded(dim), 1));
}

}  // namespace

Var factor_scores(const game::Pass<float>& pass, int dim, bool item_bias) {
  return scores_of(pass, 1, dim, item_bias);
}

Var FactorNetwork::pair_scores(const game::Pass<float>& pass) const {
  return factor_scores(pass, settings_.dim, settings_.item_bias);
}

template <class T>
Var FactorNetwork::build(const game::Pass<T>& pass) const {
  tape::Tape<T>& tape = pass.tape();
  if (settings_.l2 != 0.0 && pass.penalty != nullptr) {
    Var squares = tape::squared_norm(tape, pass.rows(0, 0));
    for (const std::size_t role : {1, 2})
      squares = tape::add(tape, squares, tape::squared_norm(tape, pass.rows(1, role)));
    *pass.penalty = tape::scale(tape, squares, static_cast<T>(0.5 * settings_.l2));
  }
  return tape::sum(tape, tape::pairwise_log_sigmoid(tape, scores_of(pass, 1, settings_.dim, settings_.item_bias),
                                                    scores_of(pass, 2, settings_.dim, settings_.item_bias)));
}

template Var FactorNetwork::build(const game::Pass<float>&) const;
template Var FactorNetwork::build(const game::Pass<double>&) const;

std::string beyond_pairwise(const Recipe& recipe) {
  const auto told = [&](const char* key) { return fmt::format("{} = {}", key, setting_text(recipe.value(key))); };
  if (recipe.has("sampling.candidates") && recipe.integer("sampling.candidates") > 1)
    return told("sampling.candidates");
  if (recipe.real("optimizer.clip_norm") > 0.0) return told("optimizer.clip_norm");
  if (decorrelation_of(recipe).is_present()) return told("objective.decorrelation");
  const std::string& form = recipe.text("objective.l2_form");
  return form == "distinct" || form == "table" ? told("objective.l2_form") : "";
}

void check_beyond_pairwise(const Recipe& recipe) {
  const std::string asked = beyond_pairwise(recipe);
  if (asked.empty()) return;
  const auto refuse = [&](const std::string& right) {
    throw UserError(fmt::format("{} of {} goes with {} only", asked, recipe.system(), right));
  };
  if (recipe.integer("parallel.pipeline") != 0) refuse("parallel.pipeline = 0");
  if (recipe.text("objective.l2_form") == "batch_mean")
    refuse("objective.l2_form = \"occurrence\", \"distinct\" or \"table\"");
  if (!recipe.has("adversary.scope")) return;
  const std::string& scope = recipe.text("adversary.scope");
  if (scope == "sample") refuse("adversary.scope = \"shard\" or \"batch\"");
  if (scope == "batch" && recipe.text("adversary.ball") == "global_l2")
    refuse("adversary.ball = \"row_l2\" or \"linf\" in scope batch");
}

game::NeuralSetup factor_network_setup(const comm::Communicator& communicator, const ShardLayout& layout,
                                       const Recipe& recipe, FactorModel& model, const data::UserLists& train) {
  model.stand_in = std::make_shared<StandIn>(
      StandIn{std::make_unique<FactorNetwork>(FactorNetworkSettings{.dim = model.items->shape().dim,
                                                                    .item_bias = model.items->shape().has_bias,
                                                                    .l2 = loss_penalty_of(recipe),
                                                                    .penalty = row_penalty_of(recipe, 1.0)}),
              table::DenseParameters({}, layout, communicator.rank(), {.rule = optim::Rule::sgd})});
  game::NeuralSetup setup;
  setup.communicator = &communicator;
  setup.layout = layout;
  setup.model = model.stand_in->network.get();
  setup.users = model.users.get();
  setup.items = model.items.get();
  setup.tables = model.tables();
  setup.dense = &model.stand_in->dense;
  setup.train = &train;
  return setup;
}

}  // namespace spar::systems
