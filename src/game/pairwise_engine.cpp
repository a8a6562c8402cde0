#include "spar/game/pairwise_engine.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine_parts.hpp"
#include "rates.hpp"
#include "untouched_rows.hpp"

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/base/threads.hpp"
#include "spar/optim/rules.hpp"

namespace spar::game {

namespace {

constexpr int item_exchange_tag = 16;
constexpr int shards_per_progress = 8;  // some ten microseconds

std::vector<std::int64_t> gather_positives(const PairwiseSetup& s) {
  std::vector<std::int64_t> positives(static_cast<std::size_t>(s.layout.shards));
  const int rank = s.communicator->rank();
  for (int shard = s.layout.first_shard(rank); shard < s.layout.end_shard(rank); ++shard) {
    const Partition& users = s.users->partition();
    const auto begin = static_cast<std::size_t>(users.begin(shard) - s.users->first_row());
    const auto end = static_cast<std::size_t>(users.end(shard) - s.users->first_row());
    positives[static_cast<std::size_t>(shard)] = s.train->offsets[end] - s.train->offsets[begin];
  }
  s.communicator->sum(positives);
  return positives;
}

}  // namespace

PairwiseEngine::PairwiseEngine(const PairwiseSetup& setup)
    : setup_(setup),
      dim_(setup.items->shape().dim),
      user_width_(setup.users->shape().width()),
      item_width_(setup.items->shape().width()),
      bias_column_(setup.items->shape().has_bias ? setup.items->shape().bias_offset() : -1),
      shard_positives_(gather_positives(setup)) {
  steps_ = std::max<std::int64_t>(1, (setup.total_positives + setup.batch_size - 1) / setup.batch_size);
  const std::int64_t most = *std::max_element(shard_positives_.begin(), shard_positives_.end());
  most_triples_ = (most + steps_ - 1) / steps_;
  const int rank = setup.communicator->rank();
  for (int shard = setup.layout.first_shard(rank); shard < setup.layout.end_shard(rank); ++shard) {
    const Partition& users = setup.users->partition();
    shards_.push_back(std::make_unique<Shard>(
        data::TripleSampler(*setup.train, users.begin(shard) - setup.users->first_row(), users.size(shard), shard,
                            setup.items->total_rows(), setup.seed, setup.order_purpose, setup.negative_purpose)));
    shards_.back()->sampler.use_law(setup_.law.get());
  }
  if (setup_.law && setup_.law->needs_service()) {
    std::vector<data::TripleSampler*> samplers;
    for (const auto& shard : shards_) samplers.push_back(&shard->sampler);
    negatives_ = std::make_unique<data::NegativeService>(*setup.communicator, *setup_.law->popularity(), samplers);
  }
  for (int w = 0; w < threads(); ++w) workers_.push_back(std::make_unique<Worker>());
  exchange_ = std::make_unique<table::RowExchange>(
      *setup.communicator, setup.layout, *setup.items,
      table::ExchangeOptions{.most_rows_per_shard = static_cast<std::size_t>(2 * most_triples_),
                             .tag = item_exchange_tag,
                             .deadline_seconds = setup.deadline_seconds,
                             .keep_own_rows = setup.pipeline,
                             .node_memory = setup.node_memory});
  losses_.resize(shards_.size());
  perturbed_losses_.resize(shards_.size());
}

PairwiseEngine::~PairwiseEngine() = default;

void PairwiseEngine::set_adversary(const Adversary* adversary) {
  adversary_.begin(adversary == nullptr ? std::nullopt : std::optional(*adversary));
}

void PairwiseEngine::use_optimizer(const optim::OptimizerSettings& settings, std::int64_t step_count) {
  updater_ = std::make_unique<optim::Updater>(settings);
  step_count_ = step_count;
  if (!updater_->moves_all_rows()) return;
  moved_users_.assign(static_cast<std::size_t>(setup_.users->rows()), 0);
  moved_items_.assign(static_cast<std::size_t>(setup_.items->rows()), 0);
}

std::int64_t PairwiseEngine::skipped() const {
  std::int64_t total = 0;
  for (const auto& shard : shards_) total += shard->sampler.skipped();
  return total;
}

std::int64_t PairwiseEngine::bytes_sent() const {
  return exchange_->bytes_sent();
}

std::int64_t PairwiseEngine::batch_count(std::int64_t step) const {
  std::int64_t count = 0;
  for (const std::int64_t n : shard_positives_) count += (step + 1) * n / steps_ - step * n / steps_;
  return count;
}

// The penalty of pairwise_ranking is l2/2 a squared entry and occurrence; APR's is reg / (batch x d).
double PairwiseEngine::occurrence_l2() const {
  if (setup_.l2 == 0.0 || !setup_.l2_batch_mean) return setup_.l2;
  return 2.0 * setup_.l2 / (static_cast<double>(std::max<std::int64_t>(1, batch_count(step_))) * dim_);
}

void PairwiseEngine::begin_epoch(std::int64_t epoch, std::int64_t first_step,
                                 const std::vector<store::PendingRows>& pending) {
  epoch_ = epoch;
  step_ = first_step;
  examples_ = 0;
  seconds_ = {};
  restored_pending_ = pending;
  // Even where none of this rank's rows waits: dense Adam moves the others by the same step.
  unapplied_ = restored_ = setup_.pipeline && first_step > 0;
  unapplied_summed_ = false;
  std::fill(losses_.begin(), losses_.end(), 0.0);
  std::fill(perturbed_losses_.begin(), perturbed_losses_.end(), 0.0);
  {
    Stopwatch watch(seconds_.input);
    parallel_for(static_cast<int>(shards_.size()),
                 [&](int k) { shards_[static_cast<std::size_t>(k)]->sampler.begin_epoch(epoch); });
  }
  if (negatives_) negatives_->begin_epoch();
  if (step_ >= steps_) return;
  sample(step_);
  posted_flags_ = 0;
  request(step_);
  serve(step_);
  send_rows(step_);
}

void PairwiseEngine::sample(std::int64_t step) {
  if (negatives_) {
    Stopwatch watch(seconds_.communication);
    negatives_->prepare(step, steps_);
  }
  Stopwatch watch(seconds_.input);
  const auto set = static_cast<std::size_t>(set_of(step));
  parallel_for(static_cast<int>(shards_.size()), [&](int k) {
    Shard& shard = *shards_[static_cast<std::size_t>(k)];
    const auto after = static_cast<std::size_t>(k) + 1;
    shard.sampler.sample(step, steps_, shard.batches[set], after < shards_.size() ? &shards_[after]->sampler : nullptr);
    if (threads() == 1 && k % shards_per_progress == 0) exchange_->progress();
  });
}

void PairwiseEngine::request(std::int64_t step) {
  Stopwatch watch(seconds_.communication);
  wanted_.clear();
  for (const auto& shard : shards_) wanted_.emplace_back(shard->batches[static_cast<std::size_t>(set_of(step))].items);
  exchange_->request(set_of(step), wanted_, posted_flags_, step);
}

void PairwiseEngine::serve(std::int64_t step) {
  Stopwatch watch(seconds_.communication);
  agreed_flags_ = exchange_->serve(set_of(step), step);
}

void PairwiseEngine::send_rows(std::int64_t step) {
  Stopwatch watch(seconds_.communication);
  exchange_->send_rows(set_of(step), step);
}

// Updates are made while the step computes; it must see its users as they were before them.
void PairwiseEngine::copy_users(std::int64_t step) {
  const auto set = static_cast<std::size_t>(set_of(step));
  const auto width = static_cast<std::size_t>(user_width_);
  parallel_for(static_cast<int>(shards_.size()), [&](int k) {
    Shard& shard = *shards_[static_cast<std::size_t>(k)];
    const auto& users = shard.batches[set].users;
    shard.user_rows[set].require(static_cast<std::size_t>(most_triples_) * width);
    for (std::size_t j = 0; j < users.size(); ++j) {
      std::memcpy(shard.user_rows[set].data() + j * width, setup_.users->record(users[j]), width * sizeof(float));
    }
  });
}

void PairwiseEngine::for_shards(const std::function<void(int shard, Worker& worker)>& pass) {
  const int count = static_cast<int>(shards_.size());
  const auto run = [&](int begin, int end) {
    Stopwatch watch(seconds_.compute);
    if (threads() == 1) {
      for (int k = begin; k < end; ++k) {
        pass(k, *workers_[0]);
        if (k % shards_per_progress == 0) exchange_->progress();
      }
    } else {
      parallel_for_worker(end - begin,
                          [&](int k, int worker) { pass(begin + k, *workers_[static_cast<std::size_t>(worker)]); });
    }
  };
  const int half = middle_done_ ? 0 : count / 2;
  run(0, half);
  middle();
  run(half, count);
}

// With pipeline, the updates of the step before and the rows of the next travel and are made while this step computes.
void PairwiseEngine::middle() {
  if (middle_done_) return;
  middle_done_ = true;
  if (!setup_.pipeline) return;
  finish_previous();
  if (step_ + 1 >= steps_) return;
  serve(step_ + 1);
  send_rows(step_ + 1);
}

void PairwiseEngine::make_room(int set) {
  const auto at = static_cast<std::size_t>(set);
  for (int channel = 0; channel < (two_pushes_[at] ? 2 : 1); ++channel)
    item_gradients_[static_cast<std::size_t>(channel)] = exchange_->gradient_room(set, channel);
  std::size_t users = 0;
  for (const auto& shard : shards_) {
    shard->users_before[at] = users;
    users += shard->batches[at].users.size();
  }
  if (setup_.pipeline || adversary_)
    user_gradients_[gradient_set(at)].require(users * static_cast<std::size_t>(user_width_));
}

PairwiseEngine::Flags PairwiseEngine::step(Flags flags) {
  const int set = set_of(step_);
  const bool more = step_ + 1 < steps_;
  posted_flags_ = flags | (divergence_.empty() ? 0 : diverged_flag);
  agreed_flags_ = 0;
  middle_done_ = false;
  // Rows travel while the next step is drawn.
  if (more) {
    sample(step_ + 1);
    request(step_ + 1);
  }
  {
    Stopwatch watch(seconds_.communication);
    exchange_->receive_rows(set, step_);
  }
  if (setup_.pipeline) copy_users(step_);
  // With pipeline the updater is still at the step whose gradients wait.
  if (!setup_.pipeline && updater_) begin_updates(step_count_ + 1, step_);
  adversary_.move_to({epoch_, step_, steps_});
  const bool batch_scope = adversary_ && adversary_->scope == adversary::Scope::batch &&
                           adversary_->perturbation.method != adversary::Method::random;
  two_pushes_[static_cast<std::size_t>(set)] = batch_scope;
  make_room(set);
  batch_scope ? batch_scope_step() : one_push_step();
  ++step_count_;
  if (setup_.pipeline) {
    unapplied_ = true;
    unapplied_summed_ = false;
  } else {
    if (more) serve(step_ + 1);
    apply(set);
    if (more) send_rows(step_ + 1);
  }
  for (const auto& shard : shards_) examples_ += shard->batches[static_cast<std::size_t>(set)].triples();
  ++step_;
  return agreed_flags_;
}

// `count`: updates since the optimiser's state was reset, this one included; `step`: whose gradients are applied.
void PairwiseEngine::begin_updates(std::int64_t count, std::int64_t step) {
  follow_rate(setup_.rate, {epoch_, step, steps_}, *updater_);
  updater_->begin_step(count);
}

void PairwiseEngine::finish_previous() {
  if (!unapplied_) return;
  if (updater_) begin_updates(step_count_, step_ - 1);
  if (restored_) {
    apply_restored();
  } else {
    apply(set_of(step_ - 1));
  }
  unapplied_ = false;
  unapplied_summed_ = false;
}

void PairwiseEngine::end_epoch() {
  finish_previous();
}

void PairwiseEngine::accept(table::Table& table, Index local_row, const float* gradient) {
  if (sink_.row) {
    if (sink_.wants(table)) sink_.row(table, local_row, gradient);
  } else {
    if (updater_->moves_all_rows())
      (&table == setup_.users ? moved_users_ : moved_items_)[static_cast<std::size_t>(local_row)] = 1;
    updater_->update(table.record(local_row), gradient, table.shape().width(), table.shape().width());
  }
}

void PairwiseEngine::apply(int set) {
  if (!unapplied_summed_) {
    Stopwatch watch(seconds_.communication);
    exchange_->finish_push(set, two_pushes_[static_cast<std::size_t>(set)] ? 1 : 0, step_);
  }
  Stopwatch watch(seconds_.compute);
  if (setup_.pipeline) {
    parallel_for(static_cast<int>(shards_.size()), [&](int k) {
      const Shard& shard = *shards_[static_cast<std::size_t>(k)];
      const float* gradient = user_gradients(shard, set);
      for (const Index user : shard.batches[static_cast<std::size_t>(set)].users) {
        accept(*setup_.users, user, gradient);
        gradient += user_width_;
      }
    });
  }
  apply_items(set);
  move_other_rows();
}

// Moves, per touched row: its values and state (asked for early), its summed gradients once.
void PairwiseEngine::apply_items(int set) {
  constexpr int rows_per_range = 512;
  constexpr int ahead = 16;
  const int touched = exchange_->touched(set);
  const auto floats = static_cast<int>(setup_.items->shape().record());
  const bool combine = two_pushes_[static_cast<std::size_t>(set)] && !unapplied_summed_;
  const auto range = [&](int begin, int end) {
    if (sink_.row || updater_->moves_all_rows()) {
      for (int t = begin; t < end; ++t) {
        if (combine) table::add_row(exchange_->total(set, 0, t), exchange_->total(set, 1, t), item_width_);
        accept(*setup_.items, exchange_->row_of(set, t), exchange_->total(set, 0, t));
      }
      return;
    }
    const auto record = [&](int k) {
      if (begin + k + ahead < end) {
        const float* later = setup_.items->record(exchange_->row_of(set, begin + k + ahead));
        for (int c = 0; c < floats; c += lanes) __builtin_prefetch(later + c, 1);
      }
      return setup_.items->record(exchange_->row_of(set, begin + k));
    };
    if (combine) {
      updater_->update_rows(end - begin, item_width_, item_width_, record, [&](int k) {
        return [first = exchange_->total(set, 0, begin + k), second = exchange_->total(set, 1, begin + k)](int c) {
          return load_lanes(first + c) + load_lanes(second + c);
        };
      });
    } else {
      updater_->update_rows(end - begin, item_width_, item_width_, record,
                            [&](int k) { return lanes_at(exchange_->total(set, 0, begin + k)); });
    }
  };
  if (threads() == 1) return range(0, touched);
  parallel_for((touched + rows_per_range - 1) / rows_per_range,
               [&](int r) { range(r * rows_per_range, std::min(touched, (r + 1) * rows_per_range)); });
}

void PairwiseEngine::move_other_rows() {
  if (!updater_ || !updater_->moves_all_rows()) return;
  move_untouched_rows(*setup_.users, *updater_, moved_users_);
  move_untouched_rows(*setup_.items, *updater_, moved_items_);
}

std::vector<store::PendingRows> PairwiseEngine::pending() {
  std::vector<store::PendingRows> pending;
  if (!unapplied_) return pending;
  if (restored_) return restored_pending_;
  const auto set = static_cast<std::size_t>(set_of(step_ - 1));
  if (!unapplied_summed_) {
    exchange_->finish_push(static_cast<int>(set), two_pushes_[set] ? 1 : 0, step_);
    for (int t = 0; two_pushes_[set] && t < exchange_->touched(static_cast<int>(set)); ++t) {
      table::add_row(exchange_->total(static_cast<int>(set), 0, t), exchange_->total(static_cast<int>(set), 1, t),
                     item_width_);
    }
    unapplied_summed_ = true;
  }
  std::vector<std::pair<Index, const float*>> rows;
  const auto put = [&](const table::Table& table) {
    std::sort(rows.begin(), rows.end());
    store::PendingRows out{table.name(), table.shape().width(), {}, {}};
    for (const auto& [row, values] : rows) {
      out.rows.push_back(table.first_row() + row);
      out.values.insert(out.values.end(), values, values + table.shape().width());
    }
    rows.clear();
    pending.push_back(std::move(out));
  };
  for (const auto& shard : shards_) {
    const float* gradient = user_gradients(*shard, static_cast<int>(set));
    for (const Index user : shard->batches[set].users) {
      rows.emplace_back(user, gradient);
      gradient += user_width_;
    }
  }
  put(*setup_.users);
  for (int t = 0; t < exchange_->touched(static_cast<int>(set)); ++t) {
    rows.emplace_back(exchange_->row_of(static_cast<int>(set), t), exchange_->total(static_cast<int>(set), 0, t));
  }
  put(*setup_.items);
  return pending;
}

void PairwiseEngine::apply_restored() {
  for (const store::PendingRows& pending : restored_pending_) {
    table::Table& table = pending.table == setup_.users->name() ? *setup_.users : *setup_.items;
    for (std::size_t k = 0; k < pending.rows.size(); ++k) {
      accept(table, pending.rows[k] - table.first_row(),
             pending.values.data() + k * static_cast<std::size_t>(pending.columns));
    }
  }
  restored_pending_.clear();
  restored_ = false;
  move_other_rows();
}

}  // namespace spar::game
