#include <algorithm>

#include "neural_parts.hpp"

/// Perturbations at the taps of a neural model, from the gradients of one shard's micro-batch (scope shard).
namespace spar::game {

namespace {

bool is_wanted(const Adversary& adversary, const std::string& tap, std::span<table::Table* const> tables) {
  if (!adversary.taps.empty()) return std::ranges::find(adversary.taps, tap) != adversary.taps.end();
  return std::ranges::any_of(tables, [&](const table::Table* table) { return table->name() == tap; });
}

std::uint32_t noise_table(std::size_t tap) {
  constexpr std::uint32_t behind_factor_models = 16;
  return behind_factor_models + static_cast<std::uint32_t>(tap);
}

}  // namespace

// Random rows follow the row of the table or the sample, never where it stands in a micro-batch.
Index NeuralEngine::noise_row(int shard, const std::string& tap, int row) const {
  const NeuralBatch& batch = batch_of(shard, set_of(step_));
  for (std::size_t t = 0; t < setup_.tables.size(); ++t) {
    if (setup_.tables[t]->name() == tap) return batch.rows[t][static_cast<std::size_t>(row)];
  }
  const auto at = static_cast<std::size_t>(row);
  return at < batch.samples.size() ? batch.samples[at] : row;
}

void NeuralEngine::perturb(int shard, Worker& worker) {
  tape::Tape<float>& tape = worker.tape;
  const auto& settings = adversary_->perturbation;
  std::size_t floats = 0;
  for (const auto& tap : tape.taps()) {
    if (!is_wanted(*adversary_, tap.name, setup_.tables)) continue;
    const tape::Matrix<float>& value = tape.value(tap.value);
    worker.perturbed.push_back({tap.name, {nullptr, value.rows, value.columns, padded(value.columns), nullptr}});
    floats += static_cast<std::size_t>(value.rows) * static_cast<std::size_t>(padded(value.columns));
  }
  worker.deltas.require(floats);
  float* room = worker.deltas.data();
  double squares = 0.0;
  std::size_t number = 0;
  for (std::size_t t = 0; t < tape.taps().size(); ++t) {
    if (!is_wanted(*adversary_, tape.taps()[t].name, setup_.tables)) continue;
    tape::Matrix<float>& delta = worker.perturbed[number++].delta;
    delta.data = room;
    const tape::Matrix<float> gradient = tape.gradient(tape.taps()[t].value);
    for (int r = 0; r < delta.rows; ++r) {
      std::copy_n(gradient.row(r), delta.columns, delta.row(r));
      std::fill(delta.row(r) + delta.columns, delta.row(r) + delta.stride, 0.0F);
      const adversary::NoiseKey key{setup_.seed, noise_table(t), noise_row(shard, tape.taps()[t].name, r),
                                    static_cast<std::uint32_t>(step_), static_cast<std::uint32_t>(epoch_)};
      adversary::direction(settings, delta.row(r), key, delta.columns, delta.stride, delta.row(r));
      squares += adversary::squared_norm(delta.row(r), delta.stride);
    }
    room += static_cast<std::ptrdiff_t>(delta.rows) * delta.stride;
  }
  for (Perturbed& perturbed : worker.perturbed) {
    for (int r = 0; r < perturbed.delta.rows; ++r)
      adversary::scale_to_ball(settings, squares, perturbed.delta.stride, perturbed.delta.row(r));
  }
}

}  // namespace spar::game
