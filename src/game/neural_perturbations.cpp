#include <algorithm>

#include "neural_parts.hpp"

#include "spar/base/threads.hpp"

/// Perturbations at the taps of a neural model: of the rows of tables by their owners, from the whole batch's gradients
/// (scope batch), or by the shard from its micro-batch's (scope shard, and what belongs to examples: hidden layers).
namespace spar::game {

namespace {

constexpr int rows_per_range = 256;

std::uint32_t noise_table(std::size_t tap, std::size_t part) {
  constexpr std::uint32_t behind_factor_models = 16;
  constexpr std::uint32_t taps_of_parts = 64;
  return behind_factor_models + taps_of_parts * static_cast<std::uint32_t>(part) + static_cast<std::uint32_t>(tap);
}

// Calls body(values, columns, width, part) on each part of a row of `width` floats, so that it stands on whole lanes
// with zeros behind it: in place where it is the only one and in front (the others' columns are 0 then), else on a
// copy.
template <class Body>
void each_part(const std::vector<RowPart>& parts, float* row, int width, Body&& body) {
  if (parts.size() == 1 && parts.front().first == 0) return body(row, parts.front().columns, width, std::size_t{0});
  thread_local Buffer<float> copy;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    const int first = parts[p].first;
    const int columns = parts[p].columns;
    copy.require(static_cast<std::size_t>(padded(columns)));
    std::copy_n(row + first, columns, copy.data());
    std::fill(copy.data() + columns, copy.data() + padded(columns), 0.0F);
    body(copy.data(), columns, padded(columns), p);
    std::copy_n(copy.data(), columns, row + first);
  }
}

// row = gradient in the parts' columns, 0 elsewhere.
void take_parts(const std::vector<RowPart>& parts, const float* gradient, int width, float* row) {
  std::fill_n(row, width, 0.0F);
  for (const RowPart& part : parts) std::copy_n(gradient + part.first, part.columns, row + part.first);
}

}  // namespace

bool NeuralEngine::is_tapped(const std::string& tap) const {
  if (!adversary_) return false;
  if (!adversary_->taps.empty()) return std::ranges::find(adversary_->taps, tap) != adversary_->taps.end();
  return std::ranges::any_of(setup_.tables, [&](const table::Table* table) { return table->name() == tap; });
}

// A row is one ball, or several where the adversary enters at parts of it.
void NeuralEngine::find_perturbed_columns() {
  perturbed_columns_.assign(exchanges_.size(), {});
  const auto further = setup_.model->further();
  for (std::size_t t = 0; t < exchanges_.size(); ++t) {
    const std::string& name = table(t).name();
    if (is_tapped(name)) perturbed_columns_[t] = {{name, 0, table(t).shape().dim}};
    for (const FurtherTable& form : further) {
      if (form.name != name) continue;
      for (const RowPart& part : form.parts) {
        if (is_tapped(part.tap)) perturbed_columns_[t].push_back(part);
      }
    }
  }
}

// Noise needs no gradient, so it is the same wherever it is drawn.
bool NeuralEngine::owners_perturb() const {
  if (!adversary_ || adversary_->scope != adversary::Scope::batch) return false;
  if (adversary_->perturbation.method == adversary::Method::random) return false;
  for (std::size_t t = 0; t < exchanges_.size(); ++t) {
    if (perturbs_rows(t)) return true;
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
    return k < exchanges_.size() ? perturbs_rows(k) && !by_owner : is_tapped(tape.taps()[k].name);
  };
  std::size_t floats = 0;
  for (std::size_t k = 0; k < tape.taps().size(); ++k) {
    if (!is_mine(k)) continue;
    const tape::Matrix<float>& value = tape.value(tape.taps()[k].value);
    perturbations.all.push_back(
        {tape.taps()[k].name, {nullptr, value.rows, value.columns, padded(value.columns), nullptr}, {}});
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
    const std::vector<RowPart> whole{{tape.taps()[k].name, 0, delta.columns}};
    const std::vector<RowPart>& parts = k < exchanges_.size() ? perturbed_columns_[k] : whole;
    for (int r = 0; r < delta.rows; ++r) {
      take_parts(parts, gradient.row(r), delta.stride, delta.row(r));
      each_part(parts, delta.row(r), delta.stride, [&](float* row, int columns, int width, std::size_t part) {
        const adversary::NoiseKey key{setup_.seed, noise_table(k, part), noise_row(shard, tape.taps()[k].name, r),
                                      static_cast<std::uint32_t>(step_), static_cast<std::uint32_t>(epoch_)};
        adversary::direction(settings, row, key, columns, width, row);
      });
      squares += adversary::squared_norm(delta.row(r), delta.stride);
    }
    perturbations.all[number - 1].parts = parts;
    room += static_cast<std::ptrdiff_t>(delta.rows) * delta.stride;
  }
  for (Perturbed& perturbed : perturbations.all) {
    for (int r = 0; r < perturbed.delta.rows; ++r) {
      each_part(
          perturbed.parts, perturbed.delta.row(r), perturbed.delta.stride,
          [&](float* row, int, int width, std::size_t) { adversary::scale_to_ball(settings, squares, width, row); });
    }
  }
}

// One perturbation for a row, whatever the shards it occurs in: clean gradients go to the owners, perturbations come
// back. The gradients of the second pass are pushed apart.
void NeuralEngine::perturb_tables() {
  const int set = set_of(step_);
  for (std::size_t t = 0; t < exchanges_.size(); ++t) {
    if (!perturbs_rows(t)) continue;
    Stopwatch watch(seconds_.communication);
    exchanges_[t]->push(set, 0, step_);
  }
  for (std::size_t t = 0; t < exchanges_.size(); ++t) {
    if (!perturbs_rows(t)) continue;
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
  const adversary::NoiseKey none{};
  parallel_for((touched + rows_per_range - 1) / rows_per_range, [&](int range) {
    for (int k = range * rows_per_range; k < std::min(touched, (range + 1) * rows_per_range); ++k) {
      float* const answer = answers + static_cast<std::ptrdiff_t>(k) * shape.width();
      take_parts(perturbed_columns_[t], exchange.total(set, 0, k), shape.width(), answer);
      each_part(perturbed_columns_[t], answer, shape.width(), [&](float* row, int columns, int width, std::size_t) {
        adversary::perturb_row(adversary_->perturbation, row, none, columns, width, row);
      });
    }
  });
}

void NeuralEngine::take_returned(int shard) {
  const int set = set_of(step_);
  Perturbations& perturbations = *perturbations_[static_cast<std::size_t>(shard)];
  perturbations.places.resize(exchanges_.size());
  for (std::size_t t = 0; t < exchanges_.size(); ++t) {
    if (!perturbs_rows(t)) continue;
    const std::size_t count = batch_of(shard, set).rows[t].size();
    const float* const* rows = exchanges_[t]->returned_rows(set, shard);
    auto& places = perturbations.places[t];
    places.resize(count);
    for (std::size_t j = 0; j < count; ++j) places[j] = const_cast<float*>(rows[j]);
    const table::RowShape& shape = table(t).shape();
    const int columns = shape.has_bias ? shape.bias_offset() + 1 : shape.dim;  // no step at the bias
    perturbations.all.push_back(
        {table(t).name(), {nullptr, static_cast<int>(count), columns, shape.width(), places.data()}, {}});
  }
}

}  // namespace spar::game
