#include "gather.hpp"
#include "neural_parts.hpp"

#include "spar/tape/operations.hpp"

/// The passes of one shard over its micro-batch.
namespace spar::game {

// Without an adversary the penalty is part of this pass; with one its gradients wait, since the adversary must not see
// them.
void NeuralEngine::clean_pass(int shard, Worker& worker) {
  const auto at = static_cast<std::size_t>(shard);
  perturbations_[at]->all.clear();
  losses_[at] += run_pass(shard, worker, adversary_ ? PassKind::clean : PassKind::whole);
  check_finite(shard);
}

// The gradients at the perturbed point, and those of the penalty, are added to what stands in the rooms.
void NeuralEngine::second_pass(int shard, Worker& worker) {
  const auto at = static_cast<std::size_t>(shard);
  perturbed_losses_[at] += run_pass(shard, worker, PassKind::perturbed);
  perturbations_[at]->all.clear();
  if (worker.has_penalty) run_pass(shard, worker, PassKind::penalty);
  check_finite(shard);
}

// The rows of table t. Trained ones have a gradient; frozen ones only where the adversary asks for it.
tape::Var NeuralEngine::put_rows(int shard, Worker& worker, std::size_t t, PassKind kind) {
  const int set = set_of(step_);
  tape::Tape<float>& tape = worker.tape;
  const table::RowShape& shape = table(t).shape();
  const float* const* rows = exchanges_[t]->rows(set, shard);
  tape::Matrix<float> value =
      scattered(tape, batch_of(shard, set).rows[t].size(), shape.width(), [&](std::size_t j) { return rows[j]; });
  value.columns = shape.dim;
  const std::string& name = table(t).name();
  if (is_frozen(t) && (kind != PassKind::clean || !is_tapped(name))) return tape.tap(name, tape.constant(value));
  float* room = row_gradients_[t] + exchanges_[t]->rows_before(set, shard) * static_cast<std::size_t>(shape.width());
  const tape::Matrix<float> gradient{room, value.rows, shape.dim, shape.width(), nullptr};
  const bool adds = kind == PassKind::penalty || (kind == PassKind::perturbed && pushed_[t] == 0);
  return tape.tap(name, adds ? tape.added_parameter(value, gradient) : tape.parameter(value, gradient));
}

void NeuralEngine::put_dense(int shard, Worker& worker, PassKind kind) {
  worker.dense.clear();
  const bool adds = kind == PassKind::perturbed || kind == PassKind::penalty;
  float* const room = dense_by_shard_.data() + static_cast<std::size_t>(shard) * setup_.dense->gradient_floats();
  for (int k = 0; k < setup_.dense->count(); ++k) {
    const table::DenseShape& shape = setup_.dense->shape(k);
    const tape::Matrix<float> value{setup_.dense->table(k).record(0), shape.rows, shape.columns,
                                    static_cast<int>(setup_.dense->stride(k)), nullptr};
    const tape::Matrix<float> gradient{room + setup_.dense->offset(k), shape.rows, shape.columns, padded(shape.columns),
                                       nullptr};
    worker.dense.push_back(adds ? worker.tape.added_parameter(value, gradient)
                                : worker.tape.parameter(value, gradient));
  }
}

// The loss of the shard's micro-batch; the gradients of what the kind of pass follows go to the rooms of rows and of
// dense parameters, or are added to what stands there.
double NeuralEngine::run_pass(int shard, Worker& worker, PassKind kind) {
  const NeuralBatch& batch = batch_of(shard, set_of(step_));
  tape::Tape<float>& tape = worker.tape;
  tape.reset();
  for (const Perturbed& perturbed : perturbations_[static_cast<std::size_t>(shard)]->all)
    tape.perturb(perturbed.tap, perturbed.delta);
  worker.tables.clear();
  for (std::size_t t = 0; t < exchanges_.size(); ++t) worker.tables.push_back(put_rows(shard, worker, t, kind));
  put_dense(shard, worker, kind);
  tape::Var penalty;
  Pass<float> pass{.context = {tape, worker.dense}, .batch = batch, .tables = worker.tables};
  pass.context.training = true;
  pass.context.noise = {setup_.seed, Purpose::dropout, static_cast<std::uint32_t>(epoch_),
                        static_cast<std::uint32_t>(step_), 0};
  pass.context.samples = batch.samples;
  pass.share = 1.0 / setup_.layout.shards;
  pass.penalty = &penalty;
  pass.epoch = epoch_;
  pass.grams = gram_views_;
  const tape::Var loss = setup_.model->loss(pass);
  const double value = static_cast<double>(tape.value(loss).at(0, 0));
  const bool mean = setup_.model->reduction() == Reduction::mean;
  float seed = mean ? 1.0F / static_cast<float>(examples_of_step()) : 1.0F;
  tape::Var objective = loss;
  worker.has_penalty = penalty.id >= 0;
  if (kind == PassKind::whole && worker.has_penalty) objective = tape::add(tape, loss, penalty);
  if (kind == PassKind::perturbed) seed *= static_cast<float>(adversary_->weight);
  if (kind == PassKind::penalty) objective = penalty;
  tape.backward(objective, seed);
  return value;
}

}  // namespace spar::game
