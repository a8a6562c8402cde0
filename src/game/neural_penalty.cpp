#include <algorithm>

#include "square.hpp"

#include "spar/game/neural_engine.hpp"
#include "spar/table/contributions.hpp"

/// Which rows a step moves, and the penalty that their owners add.
namespace spar::game {

// Candidates that were not chosen were pulled, and pushed with a gradient of zero: they are no part of the step.
void NeuralEngine::list_moving_rows() {
  const int set = set_of(step_);
  moving_.resize(setup_.tables.size());
  for (std::size_t t = 0; t < setup_.tables.size(); ++t) {
    table::RowExchange& exchange = *exchanges_[t];
    const int width = table(t).shape().width();
    const auto is_zero = [&](int channel, int k) {
      const float* total = exchange.total(set, channel, k);
      return std::all_of(total, total + width, [](float x) { return x == 0.0F; });
    };
    moving_[t].clear();
    for (int k = 0; k < exchange.touched(set); ++k) {
      if (has_candidates() && is_zero(0, k) && (pushed_[t] == 0 || is_zero(1, k))) continue;
      moving_[t].push_back(k);
    }
  }
}

void NeuralEngine::add_row_penalty() {
  if (penalty_.of == RowPenalty::Of::occurrences || penalty_.weight == 0.0) return;
  const int set = set_of(step_);
  for (std::size_t t = 0; t < setup_.tables.size(); ++t) {
    for (const int k : moving_[t])
      table::add_scaled_row(exchanges_[t]->total(set, 0, k), static_cast<float>(penalty_.weight),
                            table(t).record(exchanges_[t]->row_of(set, k)), table(t).shape().width());
  }
}

// The squared gradients of rows that only penalties move; `moving`: the others, in ascending order.
void NeuralEngine::add_resting_squares(std::size_t t, const std::vector<std::pair<Index, int>>& moving,
                                       std::vector<double>& by_shard) const {
  const table::Table& of = table(t);
  auto next = moving.begin();
  std::vector<float> gradient(static_cast<std::size_t>(of.shape().width()));
  const int first_shard = setup_.layout.first_shard(setup_.communicator->rank());
  for (std::size_t shard = 0; shard < by_shard.size(); ++shard) {
    const int global_shard = first_shard + static_cast<int>(shard);
    for (Index row = of.partition().begin(global_shard); row < of.partition().end(global_shard); ++row) {
      if (next != moving.end() && next->first == row - of.first_row()) {
        ++next;
        continue;
      }
      resting_gradient(t, of.record(row - of.first_row()), 1.0F, gradient.data());
      by_shard[shard] += square_of(gradient.data(), gradient.size());
    }
  }
}

}  // namespace spar::game
