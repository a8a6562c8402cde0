#pragma once
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "support/gradient_check.hpp"

#include "spar/game/neural_model.hpp"
#include "spar/systems/system.hpp"

/// A feature model on numbers that a test gives it, in double or float.
namespace spar::test {

inline std::unique_ptr<game::NeuralModel> feature_model(const std::vector<std::string>& overrides) {
  return systems::find_system("vbpr")->network(systems::load_recipe("vbpr", overrides));
}

/// Distinct rows of users, items, features (and marks of seen items where the model has them), then the projection;
/// triples by slots.
struct FeatureCase {
  std::vector<Grid<double>> inputs;  ///< users, items, features, projection
  std::vector<std::int32_t> users, positives, negatives;
  std::vector<float> seen{};  ///< by distinct item; empty: no such table

  game::NeuralBatch batch() const {
    game::NeuralBatch batch;
    batch.slots = {users, positives, negatives};
    batch.examples = static_cast<int>(users.size());
    return batch;
  }
};

template <class T>
struct FeaturePass {
  double loss = 0.0;
  double penalty = 0.0;
  std::vector<Grid<T>> gradients;  ///< of the loss (or with `penalised`, of the penalty), one for each input
};

/// The loss at the inputs plus `delta` on the features, its penalty, and the gradients of one of the two.
template <class T>
FeaturePass<T> feature_pass(const game::NeuralModel& model, const FeatureCase& example, Grid<double>* delta = nullptr,
                            bool penalised = false) {
  tape::Tape<T> tape;
  FeaturePass<T> result;
  std::vector<Grid<T>> inputs;
  for (const auto& input : example.inputs) {
    inputs.push_back(input.as<T>());
    result.gradients.emplace_back(input.rows(), input.columns());
  }
  std::vector<tape::Var> vars;
  for (std::size_t k = 0; k < inputs.size(); ++k)
    vars.push_back(tape.parameter(inputs[k].view(), result.gradients[k].view()));
  Grid<T> moved = delta != nullptr ? delta->as<T>() : Grid<T>(1, 1);
  if (delta != nullptr) tape.perturb("item_features", moved.view());
  std::vector<tape::Var> tables{vars[0], vars[1], tape.tap("item_features", vars[2])};
  Grid<T> seen(static_cast<int>(example.seen.size()), 1);
  for (std::size_t k = 0; k < example.seen.size(); ++k)
    seen.at(static_cast<int>(k), 0) = static_cast<T>(example.seen[k]);
  if (!example.seen.empty()) tables.push_back(tape.constant(seen.view()));
  const std::vector<tape::Var> dense{vars[3]};
  const game::NeuralBatch batch = example.batch();
  tape::Var penalty;
  const game::Pass<T> pass{
      .context = {tape, dense}, .batch = batch, .tables = tables, .share = 1.0, .penalty = &penalty};
  const tape::Var loss = model.loss(pass);
  result.loss = static_cast<double>(tape.value(loss).at(0, 0));
  if (penalty.id >= 0) result.penalty = static_cast<double>(tape.value(penalty).at(0, 0));
  tape.backward(penalised ? penalty : loss);
  return result;
}

/// epsilon times each row over its norm.
inline Grid<double> row_steps(const Grid<double>& gradient, double epsilon) {
  Grid<double> delta(gradient.rows(), gradient.columns());
  for (int r = 0; r < gradient.rows(); ++r) {
    double squares = 0.0;
    for (int c = 0; c < gradient.columns(); ++c) squares += gradient.at(r, c) * gradient.at(r, c);
    const double factor = epsilon / std::max(std::sqrt(squares), 1e-6);
    for (int c = 0; c < gradient.columns(); ++c) delta.at(r, c) = factor * gradient.at(r, c);
  }
  return delta;
}

}  // namespace spar::test
