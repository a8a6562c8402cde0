#include <algorithm>

#include "neural_parts.hpp"

#include "spar/base/threads.hpp"

/// Perturbations at the taps of a neural model: of the rows of tables by their owners, from the whole batch's gradients
/// (scope batch), or by the shard from its micro-batch's (scope shard, and what belongs to examples: hidden layers).
namespace spar::game {

namespace {

constexpr int rows_per_range = 256;

std::uint32_t noise_table(std::size_t tap) {
  constexpr std::uint32_t behind_factor_models = 16;
  return behind_factor_models + static_cast<std::uint32_t>(tap);
}

}  // namespace

bool NeuralEngine::is_tapped(const std::string& tap) const {
  if (!adversary_) return false;
  if (!adversary_->taps.empty()) return std::ranges::find(adversary_->taps, tap) != adversary_->taps.end();
  return std::ranges::any_of(setup_.tables, [&](const table::Table* table) { return table->name() == tap; });
}

// Noise needs no gradient, so it is the same wherever it is drawn.
bool NeuralEngine::owners_perturb() const {
  if (!adversary_ || adversary_->scope != adversary::Scope::batch) return false;
  if (adversary_->perturbation.method == adversary::Method::random) return false;
  for (std::size_t t = 0; t < exchanges_.size(); ++t) {
    if (is_tapped(table(t).name())) return true;
  }
  return false;
}

// Random rows follow the row of the table or the sample, never where it stands in a micro-batch.
Index NeuralEngine::noise_row(int shard, const std::string& tap, int row) const {
  const NeuralBatch& batch = batch_of(shard, set_of(step_));
  for (std::size_t t = 0; t < exchanges_.size(); ++t) {
    if (table(t).name() == tap) return batch.rows[t][static_cast<std::size_t>(row)];
  }
  const auto at = static_cast<std::size_t>(row);
  return at < batch.samples.size() ? batch.samples[at] : row;
}

// From the gradients that the clean pass has left on the worker's tape: all taps, or those that are not the rows of
// tables, where the owners of rows perturb these.
void NeuralEngine::perturb_shard(int shard, Worker& worker) {
  tape::Tape<float>& tape = worker.tape;
  const auto& settings = adversary_->perturbation;
  Perturbations& perturbations = *perturbations_[static_cast<std::size_t>(shard)];
  const bool by_owner = owners_perturb();
  const auto is_mine = [&](std::size_t k) {
    return is_tapped(tape.taps()[k].name) && !(by_owner && k < exchanges_.size());
  };
  std::size_t floats = 0;
  for (std::size_t k = 0; k < tape.taps().size(); ++k) {
    if (!is_mine(k)) continue;
    const tape::Matrix<float>& value = tape.value(tape.taps()[k].value);
    perturbations.all.push_back(
        {tape.taps()[k].name, {nullptr, value.rows, value.columns, padded(value.columns), nullptr}});
    floats += static_cast<std::size_t>(value.rows) * static_cast<std::size_t>(padded(value.columns));
  }
  perturbations.deltas.require(floats);
  float* room = perturbations.deltas.data();
  double squares = 0.0;
  std::size_t number = 0;
  for (std::size_t k = 0; k < tape.taps().size(); ++k) {
    if (!is_mine(k)) continue;
    tape::Matrix<float>& delta = perturbations.all[number++].delta;
    delta.data = room;
    const tape::Matrix<float> gradient = tape.gradient(tape.taps()[k].value);
    for (int r = 0; r < delta.rows; ++r) {
      std::copy_n(gradient.row(r), delta.columns, delta.row(r));
      std::fill(delta.row(r) + delta.columns, delta.row(r) + delta.stride, 0.0F);
      const adversary::NoiseKey key{setup_.seed, noise_table(k), noise_row(shard, tape.taps()[k].name, r),
                                    static_cast<std::uint32_t>(step_), static_cast<std::uint32_t>(epoch_)};
      adversary::direction(settings, delta.row(r), key, delta.columns, delta.stride, delta.row(r));
      squares += adversary::squared_norm(delta.row(r), delta.stride);
    }
    room += static_cast<std::ptrdiff_t>(delta.rows) * delta.stride;
  }
  for (Perturbed& perturbed : perturbations.all) {
    for (int r = 0; r < perturbed.delta.rows; ++r)
      adversary::scale_to_ball(settings, squares, perturbed.delta.stride, perturbed.delta.row(r));
  }
}

// One perturbation for a row, whatever the shards it occurs in: clean gradients go to the owners, perturbations come
// back. The gradients of the second pass are pushed apart.
void NeuralEngine::perturb_tables() {
  const int set = set_of(step_);
  for (std::size_t t = 0; t < exchanges_.size(); ++t) {
    if (!is_tapped(table(t).name())) continue;
    Stopwatch watch(seconds_.communication);
    exchanges_[t]->push(set, 0, step_);
  }
  for (std::size_t t = 0; t < exchanges_.size(); ++t) {
    if (!is_tapped(table(t).name())) continue;
    {
      Stopwatch watch(seconds_.communication);
      exchanges_[t]->finish_push(set, 0, step_);
    }
    perturb_touched(t);
    Stopwatch watch(seconds_.communication);
    exchanges_[t]->return_rows(set, step_);
    pushed_[t] = 1;
    if (!is_frozen(t)) row_gradients_[t] = exchanges_[t]->gradient_room(set, 1);
  }
}

void NeuralEngine::perturb_touched(std::size_t t) {
  Stopwatch watch(seconds_.compute);
  const int set = set_of(step_);
  table::RowExchange& exchange = *exchanges_[t];
  const table::RowShape& shape = table(t).shape();
  float* answers = exchange.return_room(set);
  const int touched = exchange.touched(set);
  parallel_for((touched + rows_per_range - 1) / rows_per_range, [&](int range) {
    for (int k = range * rows_per_range; k < std::min(touched, (range + 1) * rows_per_range); ++k) {
      const adversary::NoiseKey none{};
      adversary::perturb_row(adversary_->perturbation, exchange.total(set, 0, k), none, shape.dim, shape.width(),
                             answers + static_cast<std::ptrdiff_t>(k) * shape.width());
    }
  });
}

void NeuralEngine::take_returned(int shard) {
  const int set = set_of(step_);
  Perturbations& perturbations = *perturbations_[static_cast<std::size_t>(shard)];
  perturbations.places.resize(exchanges_.size());
  for (std::size_t t = 0; t < exchanges_.size(); ++t) {
    if (!is_tapped(table(t).name())) continue;
    const std::size_t count = batch_of(shard, set).rows[t].size();
    const float* const* rows = exchanges_[t]->returned_rows(set, shard);
    auto& places = perturbations.places[t];
    places.resize(count);
    for (std::size_t j = 0; j < count; ++j) places[j] = const_cast<float*>(rows[j]);
    const table::RowShape& shape = table(t).shape();
    perturbations.all.push_back(
        {table(t).name(), {nullptr, static_cast<int>(count), shape.dim, shape.width(), places.data()}});
  }
}

}  // namespace spar::game
