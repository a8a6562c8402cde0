#include "spar/game/neural_engine.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "neural_parts.hpp"
#include "rates.hpp"
#include "untouched_rows.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"
#include "spar/optim/rules.hpp"

namespace spar::game {

namespace {

constexpr int first_tag = 16;
constexpr int tags_per_table = 8;
constexpr int rows_per_range = 256;

}  // namespace

NeuralEngine::NeuralEngine(const NeuralSetup& setup) : setup_(setup) {
  const int rank = setup.communicator->rank();
  const int first = setup.layout.first_shard(rank);
  const int end = setup.layout.end_shard(rank);
  shard_entries_.resize(static_cast<std::size_t>(setup.layout.shards));
  for (int shard = first; shard < end; ++shard) {
    sources_.push_back(make_source(shard));
    if (setup.law) sources_.back()->use_law(setup.law.get());
    shard_entries_[static_cast<std::size_t>(shard)] = sources_.back()->entries();
  }
  if (setup.law && setup.law->needs_service()) {
    std::vector<data::TripleSampler*> samplers;
    for (const auto& source : sources_) samplers.push_back(source->sampler());
    negatives_ = std::make_unique<data::NegativeService>(*setup.communicator, *setup.law->popularity(), samplers);
  }
  setup.communicator->sum(shard_entries_);
  const std::int64_t entries = std::accumulate(shard_entries_.begin(), shard_entries_.end(), std::int64_t{0});
  steps_ = std::max<std::int64_t>(1, (entries + setup.batch_size - 1) / setup.batch_size);
  const std::int64_t most = *std::max_element(shard_entries_.begin(), shard_entries_.end());
  const auto most_entries = static_cast<std::size_t>((most + steps_ - 1) / steps_);
  const auto rows_per_entry =
      static_cast<std::size_t>(setup.communicator->max(sources_.empty() ? 1 : sources_.front()->most_rows_per_entry()));
  frozen_ = setup.model->frozen();
  // Attacks follow the loss of ranking alone, which reads no row that stays with its owner.
  const bool reads_staying = setup.frozen.size() == frozen_.size();
  while (!frozen_.empty() && frozen_.back().stays_with_owner) {
    SPAR_ASSERT(frozen_.back().follows == 0 && setup.tables.front() == setup.users);
    if (reads_staying) staying_.insert(staying_.begin(), setup.frozen[frozen_.size() - 1]);
    frozen_.pop_back();
  }
  SPAR_ASSERT(frozen_.size() + staying_.size() == setup.frozen.size());
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
  // Sums over shards beside those of rows: of the dense gradients, then the statistics of tables.
  int tag = first_tag + tags_per_table * static_cast<int>(all_tables);
  const auto next_options = [&] {
    const table::DenseSumsOptions options{
        .tag = tag, .deadline_seconds = setup.deadline_seconds, .node_memory = setup.node_memory};
    tag += tags_per_table;
    return options;
  };
  const auto sums_of = [&](std::size_t floats) {
    return std::make_unique<table::DenseSums>(*setup.communicator, setup.layout, floats, next_options());
  };
  if (setup.dense->trained() > 0) dense_sums_ = sums_of(setup.dense->gradient_floats());
  penalty_ = setup.model->row_penalty();
  make_statistics(next_options);
  for (int k = setup.dense->trained(); k < setup.dense->count(); ++k) {
    const table::DenseShape& shape = setup.dense->shape(k);
    states_.push_back({setup.dense->table(k).record(0), shape.rows, shape.columns,
                       static_cast<int>(setup.dense->stride(k)), nullptr});
  }
  make_segments();
  if (segments_) segments_->sums = sums_of(segments_->most_floats());
}

NeuralEngine::~NeuralEngine() = default;

std::unique_ptr<BatchSource> NeuralEngine::make_source(int shard) const {
  const Partition& users = setup_.users->partition();
  const Index first = users.begin(shard) - setup_.users->first_row();
  if (!setup_.model->learns_from_posts())
    return setup_.model->source(*setup_.train, first, users.size(shard), shard, setup_.items->total_rows(),
                                setup_.seed);
  const auto further = setup_.model->further();
  const auto tags = std::ranges::find(further, data::IdSpace::tags, &FurtherTable::space);
  SPAR_ASSERT(setup_.posts != nullptr && tags != further.end());
  const auto table = std::ranges::find(setup_.tables, tags->name, [](const table::Table* t) { return t->name(); });
  return setup_.model->post_source(*setup_.posts, first, users.size(shard), shard, (*table)->total_rows(), setup_.seed);
}

void NeuralEngine::begin_stage(const Stage& stage) {
  adversary_.begin(stage.adversary);
  find_perturbed_columns();
}

void NeuralEngine::use_optimizer(const optim::OptimizerSettings& settings, std::int64_t step_count) {
  updaters_.clear();
  rates_.clear();
  const auto add = [&](const Schedule& rate) {
    rates_.push_back(!rate.is_zero() ? rate : !setup_.rate.is_zero() ? setup_.rate : Schedule(settings.learning_rate));
    optim::OptimizerSettings own = settings;
    own.learning_rate = static_cast<float>(rates_.back().first());
    updaters_.emplace_back(own);
  };
  for (std::size_t t = 0; t < setup_.tables.size(); ++t)
    add(t < setup_.table_rates.size() ? setup_.table_rates[t] : Schedule());
  add(setup_.dense_rate);
  step_count_ = step_count;
  moved_.clear();
  const bool whole_tables = penalty_.of == RowPenalty::Of::tables || !decorrelated_.empty();
  if (!updaters_.back().moves_all_rows() && !whole_tables) return;
  for (const table::Table* table : setup_.tables) moved_.emplace_back(static_cast<std::size_t>(table->rows()));
}

std::int64_t NeuralEngine::skipped() const {
  std::int64_t total = 0;
  for (const auto& source : sources_) total += source->skipped();
  return total;
}

std::int64_t NeuralEngine::bytes_sent() const {
  std::int64_t bytes = dense_sums_ ? dense_sums_->bytes_sent() : 0;
  for (const auto& sums : gram_sums_) bytes += sums->bytes_sent();
  for (const auto& part : decorrelated_) bytes += part->sums->bytes_sent();
  if (segments_) bytes += segments_->sums->bytes_sent();
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
  if (negatives_) negatives_->begin_epoch();
  if (step_ >= steps_) return;
  draw(step_);
  posted_flags_ = 0;
  request(step_);
  serve(step_);
  send_rows(step_);
}

void NeuralEngine::draw(std::int64_t step) {
  if (negatives_) {
    Stopwatch watch(seconds_.communication);
    negatives_->prepare(step, steps_);
  }
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
  adversary_.move_to(moment());
  choose_negatives();
  inner_steps();
  make_room();
  sum_grams();
  const bool by_owner = owners_perturb();
  const bool dense = follows_dense();
  // Attacks meet running states, so their passes are whole.
  if (segments_ && !sink_.row) {
    passes_in_segments(by_owner);
  } else {
    whole_passes(by_owner, dense);
  }
  // Sums of dense gradients travel while rows are pushed and the next ones are looked up.
  if (dense) dense_sums_->send();
  {
    Stopwatch watch(seconds_.compute);
    for (std::size_t t = 0; t < exchanges_.size(); ++t) {
      if (sink_.row ? is_wanted(table(t)) : !is_frozen(t)) exchanges_[t]->push(set, pushed_[t], step_);
    }
  }
  ++step_count_;
  begin_updates();
  if (more) serve(step_ + 1);
  if (sink_.row) {
    hand_over();
  } else {
    sum_gradients();
    list_moving_rows();
    add_row_penalty();
    add_decorrelation();
    const float factor = clip_factor(false);
    if (moves_dense()) update_dense(factor);
    apply(factor);
  }
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

void NeuralEngine::begin_updates() {
  for (std::size_t k = 0; k < updaters_.size(); ++k) {
    follow_rate(rates_[k], moment(), updaters_[k]);
    updaters_[k].begin_step(step_count_);
  }
}

// Whether the passes of a step leave gradients of dense parameters that somebody wants.
bool NeuralEngine::follows_dense() const {
  if (!sink_.row || dense_sums_ == nullptr) return moves_dense();
  for (int k = 0; k < setup_.dense->trained(); ++k)
    if (is_wanted(setup_.dense->table(k))) return true;
  return false;
}

void NeuralEngine::sum_dense_gradients() {
  Stopwatch watch(seconds_.communication);
  dense_total_ = dense_sums_->receive(step_);
}

void NeuralEngine::sum_gradients() {
  if (moves_dense()) sum_dense_gradients();
  Stopwatch watch(seconds_.communication);
  for (std::size_t t = 0; t < setup_.tables.size(); ++t) exchanges_[t]->finish_push(set_of(step_), pushed_[t], step_);
}

double NeuralEngine::dense_square() const {
  return std::inner_product(dense_total_, dense_total_ + setup_.dense->gradient_floats(), dense_total_, 0.0,
                            std::plus<>(),
                            [](float a, float b) { return static_cast<double>(a) * static_cast<double>(b); });
}

// What the gradient of a step, or of the dense parameters alone, is multiplied by (Pascanu, Mikolov and Bengio, ICML
// 2013). Squares of rows are summed by the shard that owns them, in ascending order, then along the tree; all ranks
// have the dense ones.
float NeuralEngine::clip_factor(bool dense_alone) const {
  if (setup_.clip_norm <= 0.0) return 1.0F;
  const int set = set_of(step_);
  std::vector<double> by_shard(sources_.size());
  const int first_shard = setup_.layout.first_shard(setup_.communicator->rank());
  for (std::size_t t = 0; t < setup_.tables.size() && !dense_alone; ++t) {
    table::RowExchange& exchange = *exchanges_[t];
    const table::Table& table = *setup_.tables[t];
    std::vector<std::pair<Index, int>> order;
    for (const int k : moving_[t]) order.emplace_back(exchange.row_of(set, k), k);
    std::sort(order.begin(), order.end());
    for (const auto& [row, k] : order) {
      double square = 0.0;
      for (int c = 0; c < table.shape().width(); ++c) {
        const float x = exchange.total(set, 0, k)[c] + (pushed_[t] != 0 ? exchange.total(set, 1, k)[c] : 0.0F);
        square += static_cast<double>(x) * static_cast<double>(x);
      }
      by_shard[static_cast<std::size_t>(table.partition().part_of(table.first_row() + row) - first_shard)] += square;
    }
    if (moves_resting_rows()) add_resting_squares(t, order, by_shard);
  }
  double square = dense_alone || moves_dense() ? dense_square() : 0.0;
  if (!dense_alone) square += comm::tree_sum(*setup_.communicator, setup_.layout.shards, by_shard, 1).front();
  const double norm = std::sqrt(square);
  return norm > setup_.clip_norm ? static_cast<float>(setup_.clip_norm / norm) : 1.0F;
}

void NeuralEngine::update_dense(float factor) {
  Stopwatch watch(seconds_.compute);
  if (factor != 1.0F) {
    for (std::size_t k = 0; k < setup_.dense->gradient_floats(); ++k) dense_total_[k] *= factor;
  }
  setup_.dense->update(updaters_.back(), dense_total_);
}

void NeuralEngine::apply(float factor) {
  Stopwatch watch(seconds_.compute);
  const int set = set_of(step_);
  for (std::size_t t = 0; t < setup_.tables.size(); ++t) {
    table::RowExchange& exchange = *exchanges_[t];
    table::Table& table = *setup_.tables[t];
    const optim::Updater& updater = updaters_[t];
    const int width = table.shape().width();
    const std::vector<int>& moving = moving_[t];
    const auto count = static_cast<int>(moving.size());
    const auto at = [&](int k) { return moving[static_cast<std::size_t>(k)]; };
    const auto record = [&](int k) { return table.record(exchange.row_of(set, at(k))); };
    // A factor of 1 changes no bit.
    if (pushed_[t] != 0) {
      updater.update_rows(count, width, width, record, [&](int k) {
        return [factor, clean = exchange.total(set, 0, at(k)), second = exchange.total(set, 1, at(k))](int c) {
          return factor * (load_lanes(clean + c) + load_lanes(second + c));
        };
      });
    } else {
      updater.update_rows(count, width, width, record, [&](int k) {
        return [factor, row = exchange.total(set, 0, at(k))](int c) { return factor * load_lanes(row + c); };
      });
    }
    if (!updater.moves_all_rows() && !moves_resting_rows()) continue;
    for (const int k : moving) moved_[t][static_cast<std::size_t>(exchange.row_of(set, k))] = 1;
    if (moves_resting_rows()) {
      move_untouched_rows(table, updater, moved_[t],
                          [&](const float* row, float* gradient) { resting_gradient(t, row, factor, gradient); });
    } else {
      move_untouched_rows(table, updater, moved_[t]);
    }
  }
}

// What the sink wants: the owners' sums of rows, and on every rank those of dense parameters.
void NeuralEngine::hand_over() {
  const int set = set_of(step_);
  for (std::size_t t = 0; t < exchanges_.size(); ++t) {
    if (!is_wanted(table(t))) continue;
    table::RowExchange& exchange = *exchanges_[t];
    {
      Stopwatch watch(seconds_.communication);
      exchange.finish_push(set, 0, step_);
    }
    Stopwatch watch(seconds_.compute);
    const int touched = exchange.touched(set);
    parallel_for((touched + rows_per_range - 1) / rows_per_range, [&](int range) {
      for (int k = range * rows_per_range; k < std::min(touched, (range + 1) * rows_per_range); ++k)
        sink_.row(table(t), exchange.row_of(set, k), exchange.total(set, 0, k));
    });
  }
  if (!follows_dense()) return;
  sum_dense_gradients();
  setup_.dense->for_rows(dense_total_, [&](table::Table& matrix, Index row, const float* gradient) {
    if (is_wanted(matrix)) sink_.row(matrix, row, gradient);
  });
}

}  // namespace spar::game
