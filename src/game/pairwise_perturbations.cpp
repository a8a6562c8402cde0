#include <algorithm>
#include <cmath>

#include "engine_parts.hpp"
#include "gather.hpp"

#include "spar/base/lanes.hpp"
#include "spar/base/threads.hpp"

/// Perturbations of the rows of a step: of users by the shard that has them, of items by their owners (scope batch) or
/// by the shard (scope shard).
namespace spar::game {

namespace {

constexpr std::uint32_t user_table = 0;
constexpr std::uint32_t item_table = 1;

}  // namespace

// `count` rows of a shard at the perturbations that follow from their clean gradients; row(j) is where a row lies,
// id(j) its global row. `fused`: an L2 step is added in one operation, without being rounded itself.
template <class Row, class Id>
tape::Matrix<float> PairwiseEngine::perturbed_rows(Worker& worker, std::uint32_t table, std::size_t count, int width,
                                                   bool fused, Row&& row, Id&& id, const float* clean,
                                                   double squares) const {
  if (fused && adversary::is_l2_multiple(adversary_->perturbation))
    return gather_l2_steps(worker.tape, count, width, padded(dim_), row, adversary_->perturbation, clean);
  float* delta = worker.tape.arena().take<float>(static_cast<std::size_t>(width));
  return gather_sums(worker.tape, count, width, row, [&](std::size_t j) {
    perturb(table, id(j), clean + j * static_cast<std::size_t>(width), squares, width, delta);
    return delta;
  });
}

tape::Matrix<float> PairwiseEngine::perturbed_users(int k, Worker& worker, double squares) {
  const int set = set_of(step_);
  const Shard& shard = *shards_[static_cast<std::size_t>(k)];
  const auto& users = shard.batches[static_cast<std::size_t>(set)].users;
  return perturbed_rows(
      worker, user_table, users.size(), user_width_, true, [&](std::size_t j) { return user_row(shard, j); },
      [&](std::size_t j) { return setup_.users->first_row() + users[j]; }, user_gradients(shard, set), squares);
}

// Items at the perturbations that follow from their gradients within the shard; rounded as where their owners return
// them (scope batch), so that one shard alone gives the bits of that scope.
tape::Matrix<float> PairwiseEngine::perturbed_items(int k, Worker& worker, double squares) {
  const int set = set_of(step_);
  const auto& items = shards_[static_cast<std::size_t>(k)]->batches[static_cast<std::size_t>(set)].items;
  const float* const* rows = exchange_->rows(set, k);
  return perturbed_rows(
      worker, item_table, items.size(), item_width_, returns_rows(), [&](std::size_t j) { return rows[j]; },
      [&](std::size_t j) { return items[j]; }, item_gradients(k, 0), squares);
}

// The items at the perturbations that their owners have made of the whole batch's gradients.
tape::Matrix<float> PairwiseEngine::returned_items(int k, Worker& worker) const {
  const int set = set_of(step_);
  const float* const* returned = exchange_->returned_rows(set, k);
  const auto count = shards_[static_cast<std::size_t>(k)]->batches[static_cast<std::size_t>(set)].items.size();
  const auto row = [&](std::size_t j) { return returned[j]; };
  if (returns_rows()) return scattered(worker.tape, count, item_width_, row);
  const float* const* pulled = exchange_->rows(set, k);
  return gather_sums(
      worker.tape, count, item_width_, [&](std::size_t j) { return pulled[j]; }, row);
}

// One perturbation row. Biases are never perturbed.
void PairwiseEngine::perturb(std::uint32_t table, Index row, const float* gradient, double squares, int width,
                             float* delta) const {
  const int vector = padded(dim_);
  if (adversary::is_l2_multiple(adversary_->perturbation)) {
    const auto factors = adversary::l2_factors(
        adversary_->perturbation, [gradient](int) { return gradient; }, 1, vector);
    return step_along(delta, nullptr, gradient, factors[0], vector, width);
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
    total += direction_square(user_table, setup_.users->first_row() + batch.users[j],
                              user_gradients(shard, set_of(step_)) + j * static_cast<std::size_t>(user_width_));
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
      by_shard[k] += direction_square(user_table, setup_.users->first_row() + shard.batches[at].users[j],
                                      user_gradients(shard, set_of(step_)) + j * static_cast<std::size_t>(user_width_));
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

// The perturbations of touched rows [begin, end), or the perturbed rows. Moves, per row: its values, its summed
// gradient and the result once.
void PairwiseEngine::perturb_touched_range(int set, int begin, int end, double squares, float* answers) {
  const auto out = [&](int t) { return answers + static_cast<std::ptrdiff_t>(t) * item_width_; };
  const auto record = [&](int t) { return setup_.items->record(exchange_->row_of(set, t)); };
  const auto gradient = [&](int t) { return exchange_->total(set, 0, t); };
  if (!adversary::is_l2_multiple(adversary_->perturbation)) {
    for (int t = begin; t < end; ++t) {
      const Index row = setup_.items->first_row() + exchange_->row_of(set, t);
      perturb(item_table, row, gradient(t), squares, item_width_, out(t));
      if (returns_rows()) table::add_row(out(t), record(t), item_width_);
    }
    return;
  }
  constexpr int ahead = 16;
  const int vector = padded(dim_);
  with_width(item_width_, [&](auto width) {
    for (int first = begin; first < end; first += lanes) {
      const int count = std::min(lanes, end - first);
      const Lanes<float> factors = adversary::l2_factors(
          adversary_->perturbation, [&](int k) { return gradient(first + k); }, count, vector);
      for (int t = first; t < first + count; ++t) {
        const float* later = record(std::min(t + ahead, end - 1));
        const float* later_gradient = gradient(std::min(t + ahead, end - 1));
        for (int c = 0; c < width; c += lanes) {
          __builtin_prefetch(later + c, 1);
          __builtin_prefetch(later_gradient + c);
        }
        step_along(out(t), returns_rows() ? record(t) : nullptr, gradient(t), factors[t - first], vector, width);
      }
    }
  });
}

// The owners turn the summed clean gradients into perturbations and send them, or the perturbed rows, to whoever asked
// for the rows.
void PairwiseEngine::perturb_touched_items(int set, double squares) {
  constexpr int rows_per_range = 512;
  const int touched = exchange_->touched(set);
  float* answers = exchange_->return_room(set);
  {
    Stopwatch watch(seconds_.compute);
    parallel_for((touched + rows_per_range - 1) / rows_per_range, [&](int r) {
      perturb_touched_range(set, r * rows_per_range, std::min(touched, (r + 1) * rows_per_range), squares, answers);
    });
  }
  Stopwatch watch(seconds_.communication);
  exchange_->return_rows(set, step_);
}

}  // namespace spar::game
