#include "gather.hpp"
#include "neural_parts.hpp"
#include "rates.hpp"

#include "spar/base/error.hpp"
#include "spar/tape/operations.hpp"

/// The passes of the shards over their micro-batches.
namespace spar::game {

void NeuralEngine::whole_passes(bool by_owner, bool dense) {
  for_shards([&](int k, Worker& worker) {
    clean_pass(k, worker);
    if (adversary_) perturb_shard(k, worker);
    if (adversary_ && !by_owner) second_pass(k, worker);
    if (dense && !by_owner) dense_sums_->finish(k);
  });
  if (!by_owner) return;
  perturb_tables();
  for_shards([&](int k, Worker& worker) {
    take_returned(k);
    second_pass(k, worker);
    if (dense) dense_sums_->finish(k);
  });
}

// Without an adversary the penalty is part of this pass; with one its gradients wait, since the adversary must not see
// them.
void NeuralEngine::clean_pass(int shard, Worker& worker) {
  const auto at = static_cast<std::size_t>(shard);
  perturbations_[at]->all.clear();
  losses_[at] += run_pass(shard, worker, adversary_ || sink_.row ? PassKind::clean : PassKind::whole);
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

// Trained rows have a gradient, frozen ones only where the adversary asks for it; with a sink, those that it wants.
bool NeuralEngine::has_gradient(std::size_t t, PassKind kind) const {
  if (sink_.row) return is_wanted(table(t));
  return !is_frozen(t) || (kind == PassKind::clean && perturbs_rows(t));
}

// The rows of table t.
tape::Var NeuralEngine::put_rows(int shard, Worker& worker, std::size_t t, PassKind kind) {
  const int set = set_of(step_);
  tape::Tape<float>& tape = worker.tape;
  const table::RowShape& shape = table(t).shape();
  const float* const* rows = exchanges_[t]->rows(set, shard);
  tape::Matrix<float> value =
      scattered(tape, batch_of(shard, set).rows[t].size(), shape.width(), [&](std::size_t j) { return rows[j]; });
  value.columns = shape.has_bias ? shape.bias_offset() + 1 : shape.dim;
  const std::string& name = table(t).name();
  if (kind == PassKind::scores || !has_gradient(t, kind)) return tape.tap(name, tape.constant(value));
  float* room = row_gradients_[t] + exchanges_[t]->rows_before(set, shard) * static_cast<std::size_t>(shape.width());
  const tape::Matrix<float> gradient{room, value.rows, value.columns, shape.width(), nullptr};
  const bool adds = kind == PassKind::penalty || (kind == PassKind::perturbed && pushed_[t] == 0);
  return tape.tap(name, adds ? tape.added_parameter(value, gradient) : tape.parameter(value, gradient));
}

// Rows of the shard's own users, where they lie; the pass only reads them.
tape::Var NeuralEngine::put_own_rows(Worker& worker, const NeuralBatch& batch, const table::Table& table) const {
  const std::vector<Index>& rows = batch.rows.front();
  tape::Matrix<float> value = scattered(worker.tape, rows.size(), table.shape().width(), [&](std::size_t j) {
    const Index local = rows[j] - table.first_row();
    SPAR_ASSERT(local >= 0 && local < table.rows());
    return table.record(local);
  });
  value.columns = table.shape().dim;
  return worker.tape.constant(value);
}

void NeuralEngine::put_dense(int shard, Worker& worker, PassKind kind) {
  worker.dense.clear();
  const bool adds = kind == PassKind::perturbed || kind == PassKind::penalty;
  const bool rows_alone = kind == PassKind::scores || (setup_.model->inner_steps() > 0 && kind != PassKind::inner);
  float* const room = dense_sums_ ? dense_sums_->room(shard) : nullptr;
  for (int k = 0; k < setup_.dense->trained(); ++k) {
    const table::DenseShape& shape = setup_.dense->shape(k);
    const tape::Matrix<float> value{setup_.dense->table(k).record(0), shape.rows, shape.columns,
                                    static_cast<int>(setup_.dense->stride(k)), nullptr};
    const tape::Matrix<float> gradient{room + setup_.dense->offset(k), shape.rows, shape.columns, padded(shape.columns),
                                       nullptr};
    if (rows_alone || (sink_.row && !is_wanted(setup_.dense->table(k)))) {
      worker.dense.push_back(worker.tape.constant(value));
      continue;
    }
    worker.dense.push_back(adds ? worker.tape.added_parameter(value, gradient)
                                : worker.tape.parameter(value, gradient));
  }
}

// Puts the shard's micro-batch on its tape. The gradients of what the kind of pass follows go to the rooms of rows and
// of dense parameters, or are added to what stands there.
void NeuralEngine::begin_pass(int shard, Worker& worker, PassKind kind) {
  const NeuralBatch& batch = batch_of(shard, set_of(step_));
  tape::Tape<float>& tape = worker.tape;
  tape.reset();
  for (const Perturbed& perturbed : perturbations_[static_cast<std::size_t>(shard)]->all)
    tape.perturb(perturbed.tap, perturbed.delta);
  worker.tables.clear();
  for (std::size_t t = 0; t < exchanges_.size(); ++t) worker.tables.push_back(put_rows(shard, worker, t, kind));
  for (const table::Table* table : staying_) worker.tables.push_back(put_own_rows(worker, batch, *table));
  put_dense(shard, worker, kind);
  worker.penalty = {};
  worker.second = {};
  Pass<float> pass{.context = {tape, worker.dense, states_}, .batch = batch, .tables = worker.tables};
  pass.context.training = !sink_.row;
  pass.context.noise = {setup_.seed, Purpose::dropout, static_cast<std::uint32_t>(epoch_),
                        static_cast<std::uint32_t>(step_), 0};
  pass.context.samples = batch.samples;
  pass.moment = moment();
  pass.share = 1.0 / setup_.layout.shards;
  pass.penalty = &worker.penalty;
  if (!sink_.row) pass.second = &worker.second;
  pass.grams = gram_views_;
  worker.pass.emplace(pass);
}

NeuralEngine::Objective NeuralEngine::objective_of(int shard, Worker& worker, PassKind kind, tape::Var loss) {
  tape::Tape<float>& tape = worker.tape;
  const bool mean = setup_.model->reduction() == Reduction::mean && !sink_.row;
  Objective objective{loss, mean ? 1.0F / static_cast<float>(examples_of_step()) : 1.0F,
                      static_cast<double>(tape.value(loss).at(0, 0))};
  if (worker.second.id >= 0) {
    SPAR_ASSERT(!adversary_);
    perturbed_losses_[static_cast<std::size_t>(shard)] += static_cast<double>(tape.value(worker.second).at(0, 0));
    objective.value = tape::add(tape, objective.value, worker.second);
  }
  worker.has_penalty = worker.penalty.id >= 0;
  if (kind == PassKind::whole && worker.has_penalty) objective.value = tape::add(tape, objective.value, worker.penalty);
  if (kind == PassKind::perturbed) objective.seed *= static_cast<float>(adversary_->weight);
  if (kind == PassKind::penalty) {
    objective.value = worker.penalty;
    objective.seed *= static_cast<float>(setup_.model->adversarial_penalty());
  }
  return objective;
}

// The loss of the shard's micro-batch.
double NeuralEngine::run_pass(int shard, Worker& worker, PassKind kind) {
  begin_pass(shard, worker, kind);
  const Objective objective = objective_of(shard, worker, kind, setup_.model->loss(*worker.pass));
  worker.tape.backward(objective.value, objective.seed);
  return objective.loss;
}

// The rows of users stand still and are those of now, so they are read where their owner has them.
void NeuralEngine::inner_steps() {
  const int count = sink_.row ? 0 : setup_.model->inner_steps();
  for (int inner = 0; inner < count; ++inner) {
    for_shards([&](int shard, Worker& worker) {
      inner_pass(shard, worker, inner);
      dense_sums_->finish(shard);
    });
    dense_sums_->send();
    sum_dense_gradients();
    follow_rate(rates_.back(), moment(), updaters_.back());
    updaters_.back().begin_step(step_count_ * count + inner + 1);
    update_dense(clip_factor(true));
  }
}

void NeuralEngine::inner_pass(int shard, Worker& worker, int inner) {
  NeuralBatch& batch = worker.inner;
  sources_[static_cast<std::size_t>(shard)]->draw_inner(step_, steps_, inner, batch);
  tape::Tape<float>& tape = worker.tape;
  tape.reset();
  worker.tables.clear();
  worker.tables.push_back(put_own_rows(worker, batch, *setup_.users));
  for (const table::Table* table : staying_) worker.tables.push_back(put_own_rows(worker, batch, *table));
  put_dense(shard, worker, PassKind::inner);
  Pass<float> pass{.context = {tape, worker.dense}, .batch = batch, .tables = worker.tables, .moment = moment()};
  pass.context.training = true;
  const bool mean = setup_.model->reduction() == Reduction::mean;
  tape.backward(setup_.model->inner_loss(pass), mean ? 1.0F / static_cast<float>(examples_of_step()) : 1.0F);
}

}  // namespace spar::game
