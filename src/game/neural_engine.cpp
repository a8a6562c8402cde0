#include "spar/game/neural_engine.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "neural_parts.hpp"
#include "untouched_rows.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"
#include "spar/optim/rules.hpp"
#include "spar/table/contributions.hpp"

namespace spar::game {

namespace {

constexpr int first_tag = 16;
constexpr int tags_per_table = 8;

// sum += x x', columns x padded(columns).
void add_outer_square(const float* x, int columns, float* sum) {
  for (int c = 0; c < columns; ++c) table::add_scaled_row(sum + c * padded(columns), x[c], x, padded(columns));
}

}  // namespace

NeuralEngine::NeuralEngine(const NeuralSetup& setup) : setup_(setup) {
  const int rank = setup.communicator->rank();
  const int first = setup.layout.first_shard(rank);
  const int end = setup.layout.end_shard(rank);
  const table::Table& users = *setup.users;
  shard_entries_.resize(static_cast<std::size_t>(setup.layout.shards));
  for (int shard = first; shard < end; ++shard) {
    sources_.push_back(setup.model->source(*setup.train, users.partition().begin(shard) - users.first_row(),
                                           users.partition().size(shard), shard, setup.items->total_rows(),
                                           setup.seed));
    if (setup.law) sources_.back()->use_law(setup.law.get());
    shard_entries_[static_cast<std::size_t>(shard)] = sources_.back()->entries();
  }
  setup.communicator->sum(shard_entries_);
  const std::int64_t entries = std::accumulate(shard_entries_.begin(), shard_entries_.end(), std::int64_t{0});
  steps_ = std::max<std::int64_t>(1, (entries + setup.batch_size - 1) / setup.batch_size);
  const std::int64_t most = *std::max_element(shard_entries_.begin(), shard_entries_.end());
  const auto most_entries = static_cast<std::size_t>((most + steps_ - 1) / steps_);
  const auto rows_per_entry =
      static_cast<std::size_t>(setup.communicator->max(sources_.empty() ? 1 : sources_.front()->most_rows_per_entry()));
  frozen_ = setup.model->frozen();
  SPAR_ASSERT(frozen_.size() == setup.frozen.size());
  const std::size_t all_tables = setup.tables.size() + frozen_.size();
  for (std::size_t t = 0; t < all_tables; ++t) {
    const auto all_rows = static_cast<std::size_t>(table(t).total_rows());
    exchanges_.push_back(std::make_unique<table::RowExchange>(
        *setup.communicator, setup.layout, table(t),
        table::ExchangeOptions{
            .most_rows_per_shard = setup.complete ? all_rows : std::min(most_entries * rows_per_entry, all_rows),
            .tag = first_tag + tags_per_table * static_cast<int>(t),
            .deadline_seconds = setup.deadline_seconds,
            .keep_own_rows = false,
            .node_memory = setup.node_memory}));
  }
  batches_.resize(sources_.size());
  for (int w = 0; w < threads(); ++w) workers_.push_back(std::make_unique<Worker>());
  losses_.resize(sources_.size());
  perturbed_losses_.resize(sources_.size());
  for (std::size_t k = 0; k < sources_.size(); ++k) perturbations_.push_back(std::make_unique<Perturbations>());
  row_gradients_.resize(all_tables);
  pushed_.resize(all_tables);
  dense_by_shard_ = Buffer<float>(sources_.size() * setup.dense->gradient_floats());
  dense_total_ = Buffer<float>(setup.dense->gradient_floats());
  grams_ = setup.model->grams();
  for (const Gram& gram : grams_) {
    const auto floats = static_cast<std::size_t>(gram.columns) * static_cast<std::size_t>(padded(gram.columns));
    gram_by_shard_.emplace_back(sources_.size() * floats);
    gram_totals_.emplace_back(floats);
    gram_views_.push_back({gram_totals_.back().data(), gram.columns, gram.columns, padded(gram.columns), nullptr});
  }
}

NeuralEngine::~NeuralEngine() = default;

void NeuralEngine::begin_stage(const Stage& stage) {
  const bool present = stage.adversary && stage.adversary->weight != 0.0;
  adversary_ = present ? std::make_unique<Adversary>(*stage.adversary) : nullptr;
}

void NeuralEngine::use_optimizer(const optim::OptimizerSettings& settings, std::int64_t step_count) {
  updaters_.clear();
  const auto add = [&](float rate) {
    optim::OptimizerSettings own = settings;
    if (rate > 0.0F) own.learning_rate = rate;
    updaters_.emplace_back(own);
  };
  for (std::size_t t = 0; t < setup_.tables.size(); ++t) add(t < setup_.table_rates.size() ? setup_.table_rates[t] : 0);
  add(setup_.dense_rate);
  step_count_ = step_count;
  moved_.clear();
  if (!updaters_.back().moves_all_rows()) return;
  for (const table::Table* table : setup_.tables) moved_.emplace_back(static_cast<std::size_t>(table->rows()));
}

std::int64_t NeuralEngine::skipped() const {
  std::int64_t total = 0;
  for (const auto& source : sources_) total += source->skipped();
  return total;
}

std::int64_t NeuralEngine::bytes_sent() const {
  std::int64_t bytes = dense_bytes_sent_;
  for (const auto& exchange : exchanges_) bytes += exchange->bytes_sent();
  return bytes;
}

// Of all shards, so that a mean does not depend on who is asked; as if none were left out, where their number is known
// beforehand.
std::int64_t NeuralEngine::examples_of_step() const {
  if (sources_.front()->examples_vary())
    return std::max<std::int64_t>(1, examples_drawn_[static_cast<std::size_t>(set_of(step_))]);
  std::int64_t entries = 0;
  for (const std::int64_t n : shard_entries_) entries += (step_ + 1) * n / steps_ - step_ * n / steps_;
  return std::max<std::int64_t>(1, entries * sources_.front()->examples_per_entry());
}

void NeuralEngine::begin_epoch(std::int64_t epoch, std::int64_t first_step, const std::vector<store::PendingRows>&) {
  epoch_ = epoch;
  step_ = first_step;
  examples_ = 0;
  seconds_ = {};
  std::fill(losses_.begin(), losses_.end(), 0.0);
  std::fill(perturbed_losses_.begin(), perturbed_losses_.end(), 0.0);
  {
    Stopwatch watch(seconds_.input);
    parallel_for(static_cast<int>(sources_.size()),
                 [&](int k) { sources_[static_cast<std::size_t>(k)]->begin_epoch(epoch); });
  }
  if (step_ >= steps_) return;
  draw(step_);
  posted_flags_ = 0;
  request(step_);
  serve(step_);
  send_rows(step_);
}

void NeuralEngine::draw(std::int64_t step) {
  Stopwatch watch(seconds_.input);
  parallel_for(static_cast<int>(sources_.size()), [&](int k) {
    NeuralBatch& batch = batch_of(k, set_of(step));
    sources_[static_cast<std::size_t>(k)]->draw(step, steps_, batch);
    batch.rows.resize(exchanges_.size());
    for (std::size_t f = 0; f < frozen_.size(); ++f)
      batch.rows[setup_.tables.size() + f] = batch.rows[frozen_[f].follows];
  });
  if (setup_.complete) {
    std::vector<NeuralBatch*> batches;
    for (std::size_t k = 0; k < sources_.size(); ++k) batches.push_back(&batch_of(static_cast<int>(k), set_of(step)));
    setup_.complete(batches);
  }
  if (!sources_.front()->examples_vary()) return;
  std::int64_t examples = 0;
  for (std::size_t k = 0; k < sources_.size(); ++k) examples += batch_of(static_cast<int>(k), set_of(step)).examples;
  examples_drawn_[static_cast<std::size_t>(set_of(step))] = setup_.communicator->sum(examples);
}

void NeuralEngine::request(std::int64_t step) {
  Stopwatch watch(seconds_.communication);
  std::vector<std::span<const Index>> wanted;
  for (std::size_t t = 0; t < exchanges_.size(); ++t) {
    wanted.clear();
    for (std::size_t k = 0; k < sources_.size(); ++k)
      wanted.emplace_back(batch_of(static_cast<int>(k), set_of(step)).rows[t]);
    exchanges_[t]->request(set_of(step), wanted, posted_flags_, step);
  }
}

void NeuralEngine::serve(std::int64_t step) {
  Stopwatch watch(seconds_.communication);
  for (auto& exchange : exchanges_) agreed_flags_ |= exchange->serve(set_of(step), step);
}

void NeuralEngine::send_rows(std::int64_t step) {
  Stopwatch watch(seconds_.communication);
  for (auto& exchange : exchanges_) exchange->send_rows(set_of(step), step);
}

void NeuralEngine::make_room() {
  for (std::size_t t = 0; t < exchanges_.size(); ++t)
    row_gradients_[t] = exchanges_[t]->gradient_room(set_of(step_), 0);
  std::fill(pushed_.begin(), pushed_.end(), std::uint8_t{0});
}

// Of the rows as the step meets them: columns^2 products for each row of the table, shard by shard, and the tree.
void NeuralEngine::sum_grams() {
  const int first = setup_.layout.first_shard(setup_.communicator->rank());
  for (std::size_t g = 0; g < grams_.size(); ++g) {
    const table::Table& of = table(grams_[g].table);
    const int columns = grams_[g].columns;
    const std::size_t floats = gram_totals_[g].size();
    {
      Stopwatch watch(seconds_.compute);
      parallel_for(static_cast<int>(sources_.size()), [&](int k) {
        float* const sum = gram_by_shard_[g].data() + static_cast<std::size_t>(k) * floats;
        std::fill_n(sum, floats, 0.0F);
        for (Index row = of.partition().begin(first + k); row < of.partition().end(first + k); ++row)
          add_outer_square(of.record(row - of.first_row()), columns, sum);
      });
    }
    Stopwatch watch(seconds_.communication);
    dense_bytes_sent_ +=
        table::sum_dense(*setup_.communicator, setup_.layout, gram_by_shard_[g].data(), floats, gram_totals_[g].data());
  }
}

void NeuralEngine::for_shards(const std::function<void(int shard, Worker& worker)>& pass) {
  Stopwatch watch(seconds_.compute);
  parallel_for_worker(static_cast<int>(sources_.size()),
                      [&](int k, int worker) { pass(k, *workers_[static_cast<std::size_t>(worker)]); });
}

NeuralEngine::Flags NeuralEngine::step(Flags flags) {
  const int set = set_of(step_);
  const bool more = step_ + 1 < steps_;
  posted_flags_ = flags | (divergence_.empty() ? 0 : diverged_flag);
  agreed_flags_ = 0;
  if (more) {
    draw(step_ + 1);
    request(step_ + 1);
  }
  {
    Stopwatch watch(seconds_.communication);
    for (auto& exchange : exchanges_) exchange->receive_rows(set, step_);
  }
  make_room();
  sum_grams();
  const bool by_owner = owners_perturb();
  for_shards([&](int k, Worker& worker) {
    clean_pass(k, worker);
    if (adversary_) perturb_shard(k, worker);
    if (adversary_ && !by_owner) second_pass(k, worker);
  });
  if (by_owner) {
    perturb_tables();
    for_shards([&](int k, Worker& worker) {
      take_returned(k);
      second_pass(k, worker);
    });
  }
  {
    Stopwatch watch(seconds_.compute);
    for (std::size_t t = 0; t < setup_.tables.size(); ++t) exchanges_[t]->push(set, pushed_[t], step_);
  }
  ++step_count_;
  for (optim::Updater& updater : updaters_) updater.begin_step(step_count_);
  if (more) serve(step_ + 1);
  update_dense();
  apply();
  if (more) send_rows(step_ + 1);
  for (std::size_t k = 0; k < sources_.size(); ++k) examples_ += batch_of(static_cast<int>(k), set).examples;
  ++step_;
  return agreed_flags_;
}

void NeuralEngine::check_finite(int shard) {
  const auto at = static_cast<std::size_t>(shard);
  if (std::isfinite(losses_[at]) && std::isfinite(perturbed_losses_[at])) return;
  const std::lock_guard lock(divergence_mutex_);
  if (divergence_.empty())
    divergence_ = fmt::format("training diverged: the loss of player model is not finite at epoch {}, step {}",
                              epoch_ + 1, step_);
}

void NeuralEngine::update_dense() {
  if (setup_.dense->count() == 0) return;
  {
    Stopwatch watch(seconds_.communication);
    dense_bytes_sent_ += table::sum_dense(*setup_.communicator, setup_.layout, dense_by_shard_.data(),
                                          dense_total_.size(), dense_total_.data());
  }
  Stopwatch watch(seconds_.compute);
  setup_.dense->update(updaters_.back(), dense_total_.data());
}

void NeuralEngine::apply() {
  const int set = set_of(step_);
  for (std::size_t t = 0; t < setup_.tables.size(); ++t) {
    table::RowExchange& exchange = *exchanges_[t];
    table::Table& table = *setup_.tables[t];
    const optim::Updater& updater = updaters_[t];
    {
      Stopwatch watch(seconds_.communication);
      exchange.finish_push(set, pushed_[t], step_);
    }
    Stopwatch watch(seconds_.compute);
    const int width = table.shape().width();
    const auto record = [&](int k) { return table.record(exchange.row_of(set, k)); };
    if (pushed_[t] != 0) {
      updater.update_rows(exchange.touched(set), width, width, record, [&](int k) {
        return [clean = exchange.total(set, 0, k), second = exchange.total(set, 1, k)](int c) {
          return load_lanes(clean + c) + load_lanes(second + c);
        };
      });
    } else {
      updater.update_rows(exchange.touched(set), width, width, record, [&](int k) {
        return [row = exchange.total(set, 0, k)](int c) { return load_lanes(row + c); };
      });
    }
    if (!updater.moves_all_rows()) continue;
    for (int k = 0; k < exchange.touched(set); ++k) moved_[t][static_cast<std::size_t>(exchange.row_of(set, k))] = 1;
    move_untouched_rows(table, updater, moved_[t]);
  }
}

}  // namespace spar::game
