#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine_parts.hpp"
#include "gather.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/base/threads.hpp"
#include "spar/optim/rules.hpp"
#include "spar/tape/sample_scope.hpp"

namespace spar::game {

namespace {

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
  if (sink_.row || updater_->moves_all_rows()) {
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

float* PairwiseEngine::user_gradients(const Shard& shard, int set) {
  const auto at = static_cast<std::size_t>(set);
  return user_gradients_[gradient_set(at)].data() + shard.users_before[at] * static_cast<std::size_t>(user_width_);
}

float* PairwiseEngine::item_gradients(int k, int channel) {
  const int set = set_of(step_);
  return item_gradients_[static_cast<std::size_t>(channel)] +
         exchange_->rows_before(set, k) * static_cast<std::size_t>(item_width_);
}

// The rows of local shard k travel from memory while the one before computes: users' values, items' values (`items`, or
// as they were pulled), and users' optimiser state where they are about to be updated.
void PairwiseEngine::ask_for_shard(int k, Worker& worker, const float* const* items, bool with_state) const {
  PacedPrefetch& early = worker.tape.early();
  early.clear();
  if (static_cast<std::size_t>(k) >= shards_.size()) return;
  const int set = set_of(step_);
  const data::MicroBatch& batch = shards_[static_cast<std::size_t>(k)]->batches[static_cast<std::size_t>(set)];
  auto& users = worker.early_users;
  users.resize(batch.users.size());
  for (std::size_t j = 0; j < batch.users.size(); ++j) users[j] = setup_.users->record(batch.users[j]);
  early.add(users.data(), users.size(), 0, user_width_);
  early.add(items != nullptr ? items : exchange_->rows(set, k), batch.items.size(), 0, item_width_);
  const auto state = static_cast<int>(setup_.users->shape().record()) - user_width_;
  if (with_state) early.add(users.data(), users.size(), user_width_, state);
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

// The items of a shard as they were pulled.
tape::Matrix<float> PairwiseEngine::item_rows(int k, Worker& worker) const {
  const int set = set_of(step_);
  const float* const* rows = exchange_->rows(set, k);
  const auto count = shards_[static_cast<std::size_t>(k)]->batches[static_cast<std::size_t>(set)].items.size();
  return scattered(worker.tape, count, item_width_, [&](std::size_t j) { return rows[j]; });
}

// The second pass, at rows plus perturbations: completes the users' gradients (clean + weight * perturbed + penalty)
// and adds weight times the items' to `channel`: to the clean ones in channel 0, to nothing in channel 1.
void PairwiseEngine::perturbed_pass(int k, Worker& worker, double squares, int channel,
                                    const tape::Matrix<float>& items) {
  const int set = set_of(step_);
  const auto at = static_cast<std::size_t>(set);
  Shard& shard = *shards_[static_cast<std::size_t>(k)];
  const data::MicroBatch& batch = shard.batches[at];
  tape::Tape<float>& tape = worker.tape;
  float* clean = user_gradients(shard, set);
  const auto user = [&](std::size_t j) { return user_row(shard, j); };
  const auto users = perturbed_users(k, worker, squares);
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
    const auto clean_users = scattered(tape, batch.users.size(), user_width_, user);
    const auto clean_items = item_rows(k, worker);
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
    worker.tape.reset();
    ask_for_shard(k + 1, worker, returns_rows() ? exchange_->returned_rows(set, k + 1) : nullptr, true);
    perturbed_pass(k, worker, squares, 1, returned_items(k, worker));
  });
  push_items(set, 1);
}

void PairwiseEngine::push_items(int set, int channel) {
  Stopwatch watch(seconds_.compute);
  exchange_->push(set, channel, step_);
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
  ask_for_shard(k + 1, worker, nullptr, !adversary_);
  const auto users =
      scattered(tape, batch.users.size(), user_width_, [&](std::size_t j) { return user_row(shard, j); });
  const auto items = item_rows(k, worker);
  const bool keep_users = setup_.pipeline || adversary_;
  float* gradients = keep_users ? user_gradients(shard, set)
                                : tape.arena().take<float>(batch.users.size() * static_cast<std::size_t>(user_width_));
  double loss = 0.0;
  tape.backward(
      tape::pairwise_ranking(tape, tape.parameter(users, matrix(gradients, batch.users.size(), user_width_)),
                             tape.parameter(items, matrix(item_gradients(k, 0), batch.items.size(), item_width_)),
                             triples_of(batch), {.l2 = adversary_ ? 0.0 : occurrence_l2()}, bias_column_, &loss));
  losses_[static_cast<std::size_t>(k)] += loss;
  check_finite(k);
  if (!adversary_) hand_over_users(shard, tape, gradients);
}

// Both passes and the perturbation between them within one shard: scope shard, and random noise, which needs no
// gradient.
void PairwiseEngine::shard_scope_pass(int k, Worker& worker) {
  clean_pass(k, worker);
  const double squares = adversary_->perturbation.ball == adversary::Ball::global_l2 ? shard_squares(k) : 0.0;
  worker.tape.reset();
  ask_for_shard(k + 1, worker, nullptr, false);
  perturbed_pass(k, worker, squares, 0, perturbed_items(k, worker, squares));
}

void PairwiseEngine::sample_scope_pass(int k, Worker& worker) {
  const int set = set_of(step_);
  const auto at = static_cast<std::size_t>(set);
  Shard& shard = *shards_[static_cast<std::size_t>(k)];
  const data::MicroBatch& batch = shard.batches[at];
  tape::Tape<float>& tape = worker.tape;
  tape.reset();
  ask_for_shard(k + 1, worker, nullptr, true);
  const auto users =
      scattered(tape, batch.users.size(), user_width_, [&](std::size_t j) { return user_row(shard, j); });
  const auto items = item_rows(k, worker);
  double clean = 0.0;
  double perturbed = 0.0;
  tape.backward(tape::pairwise_sample_scope(
      tape, tape.parameter(users, matrix(user_gradients(shard, set), batch.users.size(), user_width_)),
      tape.parameter(items, matrix(item_gradients(k, 0), batch.items.size(), item_width_)), triples_of(batch),
      {.l2 = occurrence_l2()},
      {adversary_->perturbation.epsilon, adversary_->weight, adversary_->perturbation.norm_floor}, bias_column_, &clean,
      &perturbed));
  losses_[static_cast<std::size_t>(k)] += clean;
  perturbed_losses_[static_cast<std::size_t>(k)] += perturbed;
  check_finite(k);
  hand_over_users(shard, tape, user_gradients(shard, set));
}

}  // namespace spar::game
