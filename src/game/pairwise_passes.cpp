#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine_parts.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/base/threads.hpp"
#include "spar/optim/rules.hpp"
#include "spar/tape/sample_scope.hpp"

namespace spar::game {

namespace {

constexpr std::uint32_t user_table = 0;
constexpr std::uint32_t item_table = 1;

// `count` rows where they lie, row(j), as a matrix that nobody may write to. They are read three times in a pass: not
// often enough to pay for a copy.
template <class Row>
tape::Matrix<float> scattered(tape::Tape<float>& tape, std::size_t count, int width, Row&& row) {
  float** places = tape.arena().take<float*>(count);
  for (std::size_t j = 0; j < count; ++j) places[j] = const_cast<float*>(row(j));
  return {nullptr, static_cast<int>(count), width, width, places};
}

// The same rows copied side by side into the tape's memory.
template <class Row>
tape::Matrix<float> gather_rows(tape::Tape<float>& tape, std::size_t count, int width, Row&& row) {
  float* out = tape.arena().take<float>(count * static_cast<std::size_t>(width));
  PacedPrefetch early = tape.early();
  with_width(width, [&](auto w) {
    float* to = out;
    for (std::size_t j = 0; j < count; ++j, to += w) {
      early.ask();
      const float* from = row(j);
      for (int c = 0; c < w; c += lanes) store_lanes(to + c, load_lanes(from + c));
    }
  });
  tape.early() = early;
  return {out, static_cast<int>(count), width, width};
}

// The same rows, each plus delta(j).
template <class Row, class Delta>
tape::Matrix<float> gather_sums(tape::Tape<float>& tape, std::size_t count, int width, Row&& row, Delta&& delta) {
  float* out = tape.arena().take<float>(count * static_cast<std::size_t>(width));
  PacedPrefetch early = tape.early();
  with_width(width, [&](auto w) {
    float* to = out;
    for (std::size_t j = 0; j < count; ++j, to += w) {
      early.ask();
      const float* a = row(j);
      const float* b = delta(j);
      for (int c = 0; c < w; c += lanes) store_lanes(to + c, load_lanes(a + c) + load_lanes(b + c));
    }
  });
  tape.early() = early;
  return {out, static_cast<int>(count), width, width};
}

// The same rows, each plus its L2 step along gradients (count x width); `vector` columns are perturbed.
template <class Row>
tape::Matrix<float> gather_l2_steps(tape::Tape<float>& tape, std::size_t count, int width, int vector, Row&& row,
                                    const adversary::PerturbationSettings& settings, const float* gradients) {
  float* out = tape.arena().take<float>(count * static_cast<std::size_t>(width));
  PacedPrefetch early = tape.early();
  const auto fill = [&](auto w, auto v) {
    float* to = out;
    const float* g = gradients;
    for (std::size_t j = 0; j < count; ++j, to += w, g += w) {
      early.ask();
      const float* from = row(j);
      const float factor = adversary::l2_factor(settings, g, v);
      for (int c = 0; c < v; c += lanes) store_lanes(to + c, load_lanes(from + c) + factor * load_lanes(g + c));
      for (int c = v; c < w; c += lanes) store_lanes(to + c, load_lanes(from + c));
    }
  };
  if (width == vector) {
    with_width(width, [&](auto w) { fill(w, w); });
  } else {
    fill(width, vector);
  }
  tape.early() = early;
  return {out, static_cast<int>(count), width, width};
}

// Adds `factor` times the clean row to its gradient for each occurrence: the penalty, which the adversary does not see.
void add_penalty(const tape::Matrix<float>& rows, std::span<const std::int32_t> slots, float factor, float* gradients) {
  for (const std::int32_t slot : slots)
    table::add_scaled_row(gradients + static_cast<std::ptrdiff_t>(slot) * rows.stride, factor, rows.row(slot),
                          rows.stride);
}

tape::Matrix<float> matrix(float* data, std::size_t rows, int width) {
  return {data, static_cast<int>(rows), width, width};
}

}  // namespace

const float* PairwiseEngine::user_row(const Shard& shard, std::size_t j) const {
  const auto set = static_cast<std::size_t>(set_of(step_));
  if (setup_.pipeline) return shard.user_rows[set].data() + j * static_cast<std::size_t>(user_width_);
  return setup_.users->record(shard.batches[set].users[j]);
}

// Users belong to one shard only, so their gradients are whole as soon as the shard is through; with pipeline they wait
// for the other updates of the step.
void PairwiseEngine::hand_over_users(const Shard& shard, tape::Tape<float>& tape, const float* gradients) {
  if (setup_.pipeline) return;
  const auto& users = shard.batches[static_cast<std::size_t>(set_of(step_))].users;
  if (sink_ || updater_->moves_all_rows()) {
    for (const Index user : users) {
      accept(*setup_.users, user, gradients);
      gradients += user_width_;
    }
    return;
  }
  PacedPrefetch early = tape.early();
  updater_->update_rows(
      static_cast<int>(users.size()), user_width_, user_width_,
      [&](int j) {
        early.ask();
        early.ask();
        return setup_.users->record(users[static_cast<std::size_t>(j)]);
      },
      [&](int j) { return lanes_at(gradients + static_cast<std::ptrdiff_t>(j) * user_width_); });
  tape.early() = early;
}

float* PairwiseEngine::item_gradients(int k, int channel) {
  const int set = set_of(step_);
  auto& buffer = item_gradients_[gradient_set(static_cast<std::size_t>(set))][static_cast<std::size_t>(channel)];
  return buffer.data() + exchange_->rows_before(set, k) * static_cast<std::size_t>(item_width_);
}

// The rows of the shard after k travel from memory while k computes: users with their optimiser's state where they are
// about to be updated, items with their values only.
void PairwiseEngine::ask_for_next_shard(int k, Worker& worker, bool with_state) {
  PacedPrefetch& early = worker.tape.early();
  early.clear();
  const auto next = static_cast<std::size_t>(k) + 1;
  if (next >= shards_.size()) return;
  const int set = set_of(step_);
  const data::MicroBatch& batch = shards_[next]->batches[static_cast<std::size_t>(set)];
  worker.early_users.resize(batch.users.size());
  for (std::size_t j = 0; j < batch.users.size(); ++j) worker.early_users[j] = setup_.users->record(batch.users[j]);
  const auto state = static_cast<int>(setup_.users->shape().record()) - user_width_;
  early.add(worker.early_users.data(), worker.early_users.size(), 0, user_width_);
  early.add(exchange_->rows(set, k + 1), batch.items.size(), 0, item_width_);
  if (with_state) early.add(worker.early_users.data(), worker.early_users.size(), user_width_, state);
}

void PairwiseEngine::check_finite(int k) {
  const auto at = static_cast<std::size_t>(k);
  if (std::isfinite(losses_[at]) && std::isfinite(perturbed_losses_[at])) return;
  const auto& users = shards_[at]->batches[static_cast<std::size_t>(set_of(step_))].users;
  const bool user_broken = std::any_of(users.begin(), users.end(), [&](Index user) {
    const float* row = setup_.users->record(user);
    return std::any_of(row, row + dim_, [](float x) { return !std::isfinite(x); });
  });
  // Other ranks are in the middle of the step: the flag rides in the next exchange, and all leave together.
  const std::lock_guard lock(divergence_mutex_);
  if (divergence_.empty()) {
    divergence_ =
        fmt::format("training diverged: the loss of player model is not finite at epoch {}, step {} (table {})",
                    epoch_ + 1, step_, user_broken ? "user" : "item");
  }
}

// The users of a shard at their perturbations, which follow from their clean gradients.
template <class Record>
tape::Matrix<float> PairwiseEngine::perturbed_users(int k, Worker& worker, double squares, Record&& record) {
  const auto at = static_cast<std::size_t>(set_of(step_));
  const Shard& shard = *shards_[static_cast<std::size_t>(k)];
  const auto& users = shard.batches[at].users;
  const float* clean = shard.user_gradients[gradient_set(at)].data();
  if (adversary::is_l2_multiple(adversary_->perturbation))
    return gather_l2_steps(worker.tape, users.size(), user_width_, padded(dim_), record, adversary_->perturbation,
                           clean);
  float* delta = worker.tape.arena().take<float>(static_cast<std::size_t>(user_width_));
  return gather_sums(worker.tape, users.size(), user_width_, record, [&](std::size_t j) {
    perturb(user_table, setup_.users->first_row() + users[j], clean + j * static_cast<std::size_t>(user_width_),
            squares, user_width_, delta);
    return delta;
  });
}

// The second pass, at rows plus perturbations: completes the users' gradients (clean + weight * perturbed + penalty)
// and adds weight times the items' to `channel`: to the clean ones in channel 0, to nothing in channel 1.
template <class ItemDelta>
void PairwiseEngine::perturbed_pass(int k, Worker& worker, double squares, int channel, ItemDelta&& item_delta) {
  const int set = set_of(step_);
  const auto at = static_cast<std::size_t>(set);
  Shard& shard = *shards_[static_cast<std::size_t>(k)];
  const data::MicroBatch& batch = shard.batches[at];
  tape::Tape<float>& tape = worker.tape;
  tape.reset();
  ask_for_next_shard(k, worker, true);
  float* clean = shard.user_gradients[gradient_set(at)].data();
  const auto user = [&](std::size_t j) { return user_row(shard, j); };
  const auto users = perturbed_users(k, worker, squares, user);
  const float* const* rows = exchange_->rows(set, k);
  const auto item = [&](std::size_t j) { return rows[j]; };
  const auto items = gather_sums(tape, batch.items.size(), item_width_, item, item_delta);
  float* gradients = item_gradients(k, channel);
  const auto item_gradient = matrix(gradients, batch.items.size(), item_width_);
  const auto user_var = tape.added_parameter(users, matrix(clean, batch.users.size(), user_width_));
  const auto item_var =
      channel == 0 ? tape.added_parameter(items, item_gradient) : tape.parameter(items, item_gradient);
  double loss = 0.0;
  tape.backward(tape::pairwise_ranking(tape, user_var, item_var, triples_of(batch), {}, bias_column_, &loss),
                static_cast<float>(adversary_->weight));
  perturbed_losses_[static_cast<std::size_t>(k)] += loss;
  check_finite(k);
  if (setup_.l2 != 0.0) {
    // Once for the clean and once for the perturbed term.
    const auto penalty = static_cast<float>(2.0 * occurrence_l2());
    const auto clean_users = gather_rows(tape, batch.users.size(), user_width_, user);
    const auto clean_items = gather_rows(tape, batch.items.size(), item_width_, item);
    add_penalty(clean_users, batch.user, penalty, clean);
    add_penalty(clean_items, batch.positive, penalty, gradients);
    add_penalty(clean_items, batch.negative, penalty, gradients);
  }
  hand_over_users(shard, tape, clean);
}

void PairwiseEngine::one_push_step() {
  const int set = set_of(step_);
  for_shards([&](int k, Worker& worker) {
    if (!adversary_) return clean_pass(k, worker);
    if (adversary_->scope == adversary::Scope::sample && adversary_->perturbation.method != adversary::Method::random)
      return sample_scope_pass(k, worker);
    shard_scope_pass(k, worker);
  });
  push_items(set, 0);
}

void PairwiseEngine::batch_scope_step() {
  const int set = set_of(step_);
  for_shards([&](int k, Worker& worker) { clean_pass(k, worker); });
  push_items(set, 0);
  {
    Stopwatch watch(seconds_.communication);
    exchange_->finish_push(set, 0, step_);
  }
  const double squares = adversary_->perturbation.ball == adversary::Ball::global_l2 ? global_squares(set) : 0.0;
  perturb_touched_items(set, squares);
  for_shards([&](int k, Worker& worker) {
    perturbed_pass(k, worker, squares, 1,
                   [&](std::size_t j) { return exchange_->returned(set, k, static_cast<int>(j)); });
  });
  push_items(set, 1);
}

void PairwiseEngine::push_items(int set, int channel) {
  Stopwatch watch(seconds_.compute);
  const auto at = gradient_set(static_cast<std::size_t>(set));
  exchange_->push(set, channel, item_gradients_[at][static_cast<std::size_t>(channel)].data(), step_);
}

// The gradients of the clean loss. Without an adversary they are the step; with one they are kept, without penalty, for
// the perturbation and the final sum.
void PairwiseEngine::clean_pass(int k, Worker& worker) {
  const int set = set_of(step_);
  const auto at = static_cast<std::size_t>(set);
  Shard& shard = *shards_[static_cast<std::size_t>(k)];
  const data::MicroBatch& batch = shard.batches[at];
  tape::Tape<float>& tape = worker.tape;
  tape.reset();
  ask_for_next_shard(k, worker, !adversary_);
  const auto users =
      scattered(tape, batch.users.size(), user_width_, [&](std::size_t j) { return user_row(shard, j); });
  const float* const* rows = exchange_->rows(set, k);
  const auto items = scattered(tape, batch.items.size(), item_width_, [&](std::size_t j) { return rows[j]; });
  const bool keep_users = setup_.pipeline || adversary_;
  if (keep_users) shard.user_gradients[gradient_set(at)].require(static_cast<std::size_t>(most_triples_ * user_width_));
  float* user_gradients = keep_users
                              ? shard.user_gradients[gradient_set(at)].data()
                              : tape.arena().take<float>(batch.users.size() * static_cast<std::size_t>(user_width_));
  double loss = 0.0;
  tape.backward(
      tape::pairwise_ranking(tape, tape.parameter(users, matrix(user_gradients, batch.users.size(), user_width_)),
                             tape.parameter(items, matrix(item_gradients(k, 0), batch.items.size(), item_width_)),
                             triples_of(batch), {.l2 = adversary_ ? 0.0 : occurrence_l2()}, bias_column_, &loss));
  losses_[static_cast<std::size_t>(k)] += loss;
  check_finite(k);
  if (!adversary_) hand_over_users(shard, tape, user_gradients);
}

// Both passes and the perturbation between them within one shard: scope shard, and random noise, which needs no
// gradient.
void PairwiseEngine::shard_scope_pass(int k, Worker& worker) {
  clean_pass(k, worker);
  const Shard& shard = *shards_[static_cast<std::size_t>(k)];
  const data::MicroBatch& batch = shard.batches[static_cast<std::size_t>(set_of(step_))];
  const float* clean = item_gradients(k, 0);
  const double squares = adversary_->perturbation.ball == adversary::Ball::global_l2 ? shard_squares(k) : 0.0;
  worker.delta.require(static_cast<std::size_t>(item_width_));
  perturbed_pass(k, worker, squares, 0, [&](std::size_t j) {
    perturb(item_table, batch.items[j], clean + j * static_cast<std::size_t>(item_width_), squares, item_width_,
            worker.delta.data());
    return worker.delta.data();
  });
}

void PairwiseEngine::sample_scope_pass(int k, Worker& worker) {
  const int set = set_of(step_);
  const auto at = static_cast<std::size_t>(set);
  Shard& shard = *shards_[static_cast<std::size_t>(k)];
  const data::MicroBatch& batch = shard.batches[at];
  tape::Tape<float>& tape = worker.tape;
  tape.reset();
  const auto users =
      gather_rows(tape, batch.users.size(), user_width_, [&](std::size_t j) { return user_row(shard, j); });
  const auto items = gather_rows(tape, batch.items.size(), item_width_,
                                 [&](std::size_t j) { return exchange_->row(set, k, static_cast<int>(j)); });
  shard.user_gradients[gradient_set(at)].require(static_cast<std::size_t>(most_triples_ * user_width_));
  double clean = 0.0;
  double perturbed = 0.0;
  tape.backward(tape::pairwise_sample_scope(
      tape,
      tape.parameter(users, matrix(shard.user_gradients[gradient_set(at)].data(), batch.users.size(), user_width_)),
      tape.parameter(items, matrix(item_gradients(k, 0), batch.items.size(), item_width_)), triples_of(batch),
      {.l2 = occurrence_l2()},
      {adversary_->perturbation.epsilon, adversary_->weight, adversary_->perturbation.norm_floor}, bias_column_, &clean,
      &perturbed));
  losses_[static_cast<std::size_t>(k)] += clean;
  perturbed_losses_[static_cast<std::size_t>(k)] += perturbed;
  check_finite(k);
  hand_over_users(shard, tape, shard.user_gradients[gradient_set(at)].data());
}

// One perturbation row. Biases are never perturbed.
void PairwiseEngine::perturb(std::uint32_t table, Index row, const float* gradient, double squares, int width,
                             float* delta) const {
  const int vector = padded(dim_);
  if (adversary::is_l2_multiple(adversary_->perturbation)) {
    const float factor = adversary::l2_factor(adversary_->perturbation, gradient, vector);
    for (int c = 0; c < vector; c += lanes) store_lanes(delta + c, factor * load_lanes(gradient + c));
    std::fill(delta + vector, delta + width, 0.0F);
    return;
  }
  const adversary::NoiseKey key{setup_.seed, table, row, static_cast<std::uint32_t>(step_),
                                static_cast<std::uint32_t>(epoch_)};
  adversary::direction(adversary_->perturbation, gradient, key, dim_, vector, delta);
  adversary::scale_to_ball(adversary_->perturbation, squares, vector, delta);
  std::fill(delta + vector, delta + width, 0.0F);
}

double PairwiseEngine::direction_square(std::uint32_t table, Index row, const float* gradient) const {
  Buffer<float> delta(static_cast<std::size_t>(padded(dim_)));
  const adversary::NoiseKey key{setup_.seed, table, row, static_cast<std::uint32_t>(step_),
                                static_cast<std::uint32_t>(epoch_)};
  adversary::direction(adversary_->perturbation, gradient, key, dim_, padded(dim_), delta.data());
  return adversary::squared_norm(delta.data(), padded(dim_));
}

// The squared norm of all directions of one shard's micro-batch.
double PairwiseEngine::shard_squares(int k) {
  const auto at = static_cast<std::size_t>(set_of(step_));
  const Shard& shard = *shards_[static_cast<std::size_t>(k)];
  const data::MicroBatch& batch = shard.batches[at];
  double total = 0.0;
  for (std::size_t j = 0; j < batch.users.size(); ++j) {
    total +=
        direction_square(user_table, setup_.users->first_row() + batch.users[j],
                         shard.user_gradients[gradient_set(at)].data() + j * static_cast<std::size_t>(user_width_));
  }
  for (std::size_t j = 0; j < batch.items.size(); ++j) {
    total +=
        direction_square(item_table, batch.items[j], item_gradients(k, 0) + j * static_cast<std::size_t>(item_width_));
  }
  return total;
}

// The squared norm of all directions of the batch: by shard the shard's users in the order of the micro-batch, then its
// items in ascending order; then along the tree.
double PairwiseEngine::global_squares(int set) {
  const auto at = static_cast<std::size_t>(set);
  std::vector<double> by_shard(shards_.size());
  for (std::size_t k = 0; k < shards_.size(); ++k) {
    const Shard& shard = *shards_[k];
    for (std::size_t j = 0; j < shard.batches[at].users.size(); ++j) {
      by_shard[k] +=
          direction_square(user_table, setup_.users->first_row() + shard.batches[at].users[j],
                           shard.user_gradients[gradient_set(at)].data() + j * static_cast<std::size_t>(user_width_));
    }
  }
  std::vector<int> order(static_cast<std::size_t>(exchange_->touched(set)));
  for (std::size_t t = 0; t < order.size(); ++t) order[t] = static_cast<int>(t);
  std::sort(order.begin(), order.end(),
            [&](int a, int b) { return exchange_->row_of(set, a) < exchange_->row_of(set, b); });
  const int first_shard = setup_.layout.first_shard(setup_.communicator->rank());
  for (const int t : order) {
    const Index row = setup_.items->first_row() + exchange_->row_of(set, t);
    by_shard[static_cast<std::size_t>(setup_.items->partition().part_of(row) - first_shard)] +=
        direction_square(item_table, row, exchange_->total(set, 0, t));
  }
  return comm::tree_sum(*setup_.communicator, setup_.layout.shards, by_shard, 1).front();
}

// The owners turn the summed clean gradients into perturbations and send them to whoever asked for the rows.
void PairwiseEngine::perturb_touched_items(int set, double squares) {
  constexpr int rows_per_range = 512;
  const int touched = exchange_->touched(set);
  item_deltas_.require(static_cast<std::size_t>(touched) * static_cast<std::size_t>(item_width_));
  {
    Stopwatch watch(seconds_.compute);
    parallel_for((touched + rows_per_range - 1) / rows_per_range, [&](int range) {
      for (int t = range * rows_per_range; t < std::min(touched, (range + 1) * rows_per_range); ++t) {
        perturb(item_table, setup_.items->first_row() + exchange_->row_of(set, t), exchange_->total(set, 0, t), squares,
                item_width_, item_deltas_.data() + static_cast<std::ptrdiff_t>(t) * item_width_);
      }
    });
  }
  Stopwatch watch(seconds_.communication);
  exchange_->return_rows(set, item_deltas_.data(), step_);
}

}  // namespace spar::game
