#include <algorithm>

#include "neural_parts.hpp"

#include "spar/base/threads.hpp"
#include "spar/table/contributions.hpp"

/// What a step needs of whole tables (table/statistics.hpp): Gram matrices for the passes, and the penalty that keeps
/// vectors decorrelated, whose gradient goes to every row.
namespace spar::game {

namespace {

constexpr int rows_per_range = 256;

}  // namespace

void NeuralEngine::make_statistics(const std::function<table::DenseSumsOptions()>& next_options) {
  grams_ = setup_.model->grams();
  for (const Gram& gram : grams_) {
    gram_sums_.push_back(std::make_unique<table::GramSums<float>>(
        *setup_.communicator, setup_.layout, table::RowStack{{&table(gram.table)}, 0, gram.columns}, next_options()));
    gram_views_.push_back({nullptr, gram.columns, gram.columns, gram_sums_.back()->stride(), nullptr});
  }
  if (!setup_.decorrelation.is_present()) return;
  for (const Vectors& vectors : setup_.model->vectors()) {
    const table::RowStack stack{{&table(vectors.table)}, vectors.first, vectors.columns};
    auto sums = std::make_unique<table::GramSums<double>>(*setup_.communicator, setup_.layout, stack, next_options());
    decorrelated_.push_back(std::make_unique<Decorrelated>(Decorrelated{vectors.table, std::move(sums), {}}));
  }
}

// Of the rows as the step meets them.
void NeuralEngine::sum_grams() {
  for (std::size_t g = 0; g < grams_.size(); ++g) {
    {
      Stopwatch watch(seconds_.compute);
      gram_sums_[g]->add_up();
    }
    Stopwatch watch(seconds_.communication);
    // Passes read it only; a tape's matrix has no constant form.
    gram_views_[g].data = const_cast<float*>(gram_sums_[g]->receive(step_));
  }
}

table::Moments NeuralEngine::moments_of(Decorrelated& part) {
  {
    Stopwatch watch(seconds_.compute);
    part.sums->add_up();
  }
  Stopwatch watch(seconds_.communication);
  const table::RowStack& stack = part.sums->stack();
  return table::Moments::of(stack.rows(), stack.columns, part.sums->receive(step_));
}

// Of the rows as the step met them: none has moved yet. Rows that the batch has get it here, the others in apply().
void NeuralEngine::add_decorrelation() {
  const double weight = decorrelated_.empty() ? 0.0 : setup_.decorrelation.at(moment());
  decorrelates_now_ = weight != 0.0;
  if (!decorrelates_now_) return;
  const int set = set_of(step_);
  for (const auto& part : decorrelated_) {
    const table::Moments moments = moments_of(*part);
    Stopwatch watch(seconds_.compute);
    part->gradient =
        table::RowGradient<float>(moments, part->sums->stack().first, decorrelation_gradients(moments), weight);
    table::RowExchange& exchange = *exchanges_[part->table];
    const std::vector<int>& moving = moving_[part->table];
    const auto count = static_cast<int>(moving.size());
    parallel_for((count + rows_per_range - 1) / rows_per_range, [&](int range) {
      for (int at = range * rows_per_range; at < std::min(count, (range + 1) * rows_per_range); ++at) {
        const int k = moving[static_cast<std::size_t>(at)];
        part->gradient.add(table(part->table).record(exchange.row_of(set, k)), exchange.total(set, 0, k));
      }
    });
  }
}

// Penalties of whole tables move rows that no triple of the step has.
bool NeuralEngine::moves_resting_rows() const {
  return (penalty_.of == RowPenalty::Of::tables && penalty_.weight != 0.0) || decorrelates_now_;
}

void NeuralEngine::resting_gradient(std::size_t t, const float* row, float factor, float* gradient) const {
  const bool decays = penalty_.of == RowPenalty::Of::tables;
  const float decay = decays ? factor * static_cast<float>(penalty_.weight) : 0.0F;
  for (int c = 0; c < table(t).shape().width(); ++c) gradient[c] = decay * row[c];
  if (!decorrelates_now_) return;
  for (const auto& part : decorrelated_) {
    if (part->table == t) part->gradient.add(row, gradient, factor);
  }
}

// Measured anew, so that the log of a run that was stopped tells the same.
std::vector<std::pair<std::string, double>> NeuralEngine::terms() {
  if (decorrelated_.empty()) return {};
  double penalty = 0.0;
  for (const auto& part : decorrelated_) penalty += decorrelation_penalty(moments_of(*part));
  return {{"decorrelation", penalty}};
}

}  // namespace spar::game
