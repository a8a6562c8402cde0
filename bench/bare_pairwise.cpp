#include "bench/bare_pairwise.hpp"

#include <algorithm>
#include <chrono>

#include "bench/vector16.hpp"
#include "spar/base/error.hpp"

namespace spar::bench {

namespace {

constexpr std::uint16_t last = 0xffff;
constexpr std::size_t stamps_ahead = 32;
constexpr std::uint32_t rows_ahead = 16;

using Clock = std::chrono::steady_clock;

std::uint64_t mixed(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9U;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

std::uint32_t below(std::uint32_t word, std::uint32_t n) {
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(word) * n) >> 32);
}

/// Inlined by force: GCC takes a function that only prefetches for one without effect and drops its calls.
[[gnu::always_inline]] inline void prefetch_row(const float* row) {
  for (int k = 0; k < bare_dim; k += 16) __builtin_prefetch(row + k, 1, 3);
}

void copy_row(float* to, const float* from) { store_row(to, load_row(from)); }

/// Adagrad without epsilon: accumulator += g^2, value -= rate * g / sqrt(accumulator).
void adagrad(float* values, float* accumulators, const Row64& gradient, float rate) {
  for (int k = 0; k < 4; ++k) {
    const F16 g = gradient.part[k];
    const F16 a = load16(accumulators + 16 * k) + g * g;
    store16(accumulators + 16 * k, a);
    store16(values + 16 * k, load16(values + 16 * k) - rate * g * inverse_root16(a));
  }
}

/// epsilon / max(|g|, 1e-6)
float ball_scale(const Row64& g, float epsilon) {
  const F16 squares = (g.part[0] * g.part[0] + g.part[1] * g.part[1]) + (g.part[2] * g.part[2] + g.part[3] * g.part[3]);
  const float norm = __builtin_sqrtf(sum16(squares));
  return epsilon / std::max(norm, 1e-6F);
}

std::size_t size(Index n) { return static_cast<std::size_t>(n); }

}  // namespace

BareTable::BareTable(Index rows, BareLayout layout, std::uint64_t seed)
    : memory_(size(rows * bare_dim * (layout == BareLayout::apart ? 1 : 2))),
      second_(size(layout == BareLayout::apart ? rows * bare_dim : 0)),
      values_(memory_.data()),
      accumulators_(layout == BareLayout::apart ? second_.data() : memory_.data() + bare_dim),
      stride_(layout == BareLayout::apart ? bare_dim : 2 * bare_dim) {
  for (Index row = 0; row < rows; ++row) {
    for (Index k = 0; k < bare_dim; ++k) {
      const std::uint64_t word = mixed(seed + static_cast<std::uint64_t>(row * bare_dim + k) * 0x9e3779b97f4a7c15U);
      values(row)[k] = (static_cast<float>(word >> 40) * 0x1.0p-24F - 0.5F) * 0.03F;
      accumulators(row)[k] = 0.1F;
    }
  }
}

BarePairwise::BarePairwise(const BareShape& shape, std::uint64_t seed, std::vector<ItemId> positives)
    : shape_(shape),
      micro_(shape.batch / shape.shards),
      parts_{shape.users, shape.shards},
      users_(shape.users, shape.layout, mixed(seed + 1)),
      items_(shape.items, shape.layout, mixed(seed + 2)),
      popularity_(std::move(positives)),
      counter_(mixed(seed + 3)),
      user_stamps_(size(shape.users / shape.shards + 1)),
      step_stamps_(size(shape.items)),
      shard_stamps_(size(2 * shape.batch + 1)) {
  SPAR_ASSERT(micro_ % 16 == 0 && micro_ * shape.shards == shape.batch && micro_ < 0x7fff);
  const auto batch = size(shape.batch);
  const auto shards = size(shape.shards);
  const auto triples = size(micro_);
  for (auto* buffer : {&drawn_users_, &drawn_positives_, &drawn_negatives_, &user_rows_}) buffer->require(batch);
  for (auto* buffer : {&user_count_, &item_count_}) buffer->require(shards);
  for (auto* buffer : {&user_slot_, &positive_slot_, &negative_slot_, &user_head_, &user_next_}) buffer->require(batch);
  for (auto* buffer : {&item_head_, &item_next_}) buffer->require(2 * batch);
  for (auto* buffer : {&item_rows_, &item_steps_, &item_fresh_, &step_rows_}) buffer->require(2 * batch + 1);
  user_values_.require(triples * bare_dim);
  item_values_.require(2 * triples * bare_dim);
  item_gradients_.require(2 * batch * bare_dim);
  weights_.require(triples);
  ahead_.require(4 * triples);
  if (shape.adversarial) {
    user_gradients_.require(batch * bare_dim);
    item_perturbed_.require(2 * batch * bare_dim);
  }
}

/// Views of one shard's share of the lists.
struct BarePairwise::Micro {
  std::uint32_t users, items;
  const std::uint32_t *user_rows, *item_rows, *item_steps, *item_fresh;
  const std::uint16_t *user_slot, *positive_slot, *negative_slot, *user_head, *user_next, *item_head, *item_next;
};

BarePairwise::Micro BarePairwise::micro(int shard) {
  const auto s = size(shard);
  const auto k = size(shard) * size(micro_);
  return {user_count_[s],         item_count_[s],           &user_rows_[k],          &item_rows_[2 * k], &item_steps_[2 * k],
          &item_fresh_[2 * k],    &user_slot_[k],           &positive_slot_[k],      &negative_slot_[k], &user_head_[k],
          &user_next_[k],         &item_head_[2 * k],       &item_next_[2 * k]};
}

void BarePairwise::draw() {
  const auto items = static_cast<std::uint32_t>(shape_.items);
  const auto known = static_cast<std::uint32_t>(popularity_.size());
  for (int shard = 0; shard < shape_.shards; ++shard) {
    const auto users = static_cast<std::uint32_t>(parts_.size(shard));
    const auto begin = size(shard) * size(micro_);
    for (auto k = begin; k < begin + size(micro_); ++k) {
      const std::uint64_t a = mixed(counter_ += 0x9e3779b97f4a7c15U);
      const std::uint64_t b = mixed(counter_ += 0x9e3779b97f4a7c15U);
      drawn_users_[k] = below(static_cast<std::uint32_t>(a), users);
      drawn_positives_[k] = known == 0 ? below(static_cast<std::uint32_t>(a >> 32), items) : popularity_[below(static_cast<std::uint32_t>(a >> 32), known)];
      drawn_negatives_[k] = below(static_cast<std::uint32_t>(b), items);
    }
  }
}

/// Rows of the next micro-batch, to be asked for evenly over the loops of this one: a burst of prefetches that the cache cannot answer is dropped.
class BarePairwise::Queue {
 public:
  Queue(const float** rows) : rows_(rows) {}
  void add(const float* row) { rows_[count_++] = row; }
  /// Asks for half a row, two lines.
  [[gnu::always_inline]] void ask() {
    if (next_ >= 2 * count_) return;
    const float* half_row = rows_[next_ / 2] + next_ % 2 * 32;
    __builtin_prefetch(half_row, 1, 3);
    __builtin_prefetch(half_row + 16, 1, 3);
    ++next_;
  }

 private:
  const float** rows_;
  std::uint32_t count_ = 0;
  std::uint32_t next_ = 0;
};

BarePairwise::Queue BarePairwise::ahead(int shard, int pass) {
  Queue queue(ahead_.data());
  if (!shape_.prefetch || shard >= shape_.shards) return queue;
  const Micro m = micro(shard);
  for (std::uint32_t k = 0; k < m.users; ++k) queue.add(users_.values(m.user_rows[k]));
  for (std::uint32_t k = 0; k < m.items; ++k) {
    queue.add(pass == 1 ? items_.values(m.item_rows[k]) : &item_perturbed_[m.item_steps[k] * size(bare_dim)]);
  }
  if (pass == 2 || !shape_.adversarial) {
    for (std::uint32_t k = 0; k < m.users; ++k) queue.add(users_.accumulators(m.user_rows[k]));
  }
  return queue;
}

void BarePairwise::list_shard(int shard, const std::uint32_t* users, const std::uint32_t* positives, const std::uint32_t* negatives,
                              Queue& first) {
  const auto begin = size(shard) * size(micro_);
  const auto first_user = static_cast<std::uint32_t>(parts_.begin(shard));
  user_stamps_.start();
  shard_stamps_.start();
  std::uint32_t* user_rows = &user_rows_[begin];
  std::uint16_t* user_head = &user_head_[begin];
  std::uint16_t* user_next = &user_next_[begin];
  std::uint32_t* item_rows = &item_rows_[2 * begin];
  std::uint32_t* item_steps = &item_steps_[2 * begin];
  std::uint32_t* item_fresh = &item_fresh_[2 * begin];
  std::uint16_t* item_head = &item_head_[2 * begin];
  std::uint16_t* item_next = &item_next_[2 * begin];
  const auto list_item = [&](std::uint32_t item, std::uint16_t occurrence) {
    const std::uint32_t known = step_stamps_.count();
    const std::uint32_t step_slot = step_stamps_.position(item);
    step_rows_[step_slot] = item;
    const std::uint32_t listed = shard_stamps_.count();
    const std::uint32_t slot = shard_stamps_.position(step_slot);
    item_next[occurrence] = slot == listed ? last : item_head[slot];
    item_head[slot] = occurrence;
    item_rows[slot] = item;
    item_steps[slot] = step_slot;
    const std::uint32_t met = step_slot == known ? 0U : ~0U;
    item_fresh[slot] = slot == listed ? met : item_fresh[slot];
    return static_cast<std::uint16_t>(slot);
  };
  for (std::size_t k = 0; k < size(micro_); ++k) {
    const auto triple = static_cast<std::uint16_t>(k);
    first.ask();
    const std::size_t later = std::min(begin + k + stamps_ahead, size(shape_.batch) - 1);
    step_stamps_.prefetch(positives[later]);
    step_stamps_.prefetch(negatives[later]);
    const std::uint32_t user = users[begin + k];
    const std::uint32_t listed = user_stamps_.count();
    const std::uint32_t slot = user_stamps_.position(user);
    user_rows[slot] = first_user + user;
    user_next[k] = slot == listed ? last : user_head[slot];
    user_head[slot] = triple;
    user_slot_[begin + k] = static_cast<std::uint16_t>(slot);
    positive_slot_[begin + k] = list_item(positives[begin + k], static_cast<std::uint16_t>(2 * k));
    negative_slot_[begin + k] = list_item(negatives[begin + k], static_cast<std::uint16_t>(2 * k + 1));
  }
  user_count_[size(shard)] = user_stamps_.count();
  item_count_[size(shard)] = shard_stamps_.count();
}

void BarePairwise::list_rows(const std::uint32_t* users, const std::uint32_t* positives, const std::uint32_t* negatives) {
  step_stamps_.start();
  Queue first(ahead_.data());
  for (int shard = 0; shard < shape_.shards; ++shard) {
    list_shard(shard, users, positives, negatives, first);
    if (shard == 0) first = ahead(0, 1);
  }
}

/// The margins x = u . (v - w) of a shard's triples, as weights -scale * sigmoid(-x).
void BarePairwise::margins(const Micro& m, float scale, Queue& next) {
  const float* user_values = user_values_.data();
  const float* item_values = item_values_.data();
  for (int block = 0; block < micro_; block += 16) {
    F16 partial[16];
    for (int k = 0; k < 16; ++k) {
      const int t = block + k;
      partial[k] = dot_partial(user_values + m.user_slot[t] * bare_dim, item_values + m.positive_slot[t] * bare_dim,
                               item_values + m.negative_slot[t] * bare_dim);
      next.ask();
    }
    store16(&weights_[size(block)], -scale / (1.0F + exp16(sums16(partial))));
  }
}

/// Adds the gradient of a user's triples.
[[gnu::always_inline]] inline void BarePairwise::add_user_gradient(const Micro& m, std::uint32_t slot, Row64& g) {
  const float* item_values = item_values_.data();
  for (std::uint16_t t = m.user_head[slot]; t != last; t = m.user_next[t]) {
    add_scaled(g, weights_[t], item_values + m.positive_slot[t] * bare_dim);
    add_scaled(g, -weights_[t], item_values + m.negative_slot[t] * bare_dim);
  }
}

/// Adds the gradient of an item's occurrences.
[[gnu::always_inline]] inline void BarePairwise::add_item_gradient(const Micro& m, std::uint32_t slot, Row64& g) {
  const float* user_values = user_values_.data();
  for (std::uint16_t o = m.item_head[slot]; o != last; o = m.item_next[o]) {
    const std::uint16_t t = o >> 1;
    add_scaled(g, (o & 1) != 0 ? -weights_[t] : weights_[t], user_values + m.user_slot[t] * bare_dim);
  }
}

void BarePairwise::first_pass(int shard) {
  const Micro m = micro(shard);
  Queue next = ahead(shard + 1, 1);
  float* user_values = user_values_.data();
  float* item_values = item_values_.data();
  for (std::uint32_t k = 0; k < m.users; ++k) {
    next.ask();
    copy_row(user_values + k * bare_dim, users_.values(m.user_rows[k]));
  }
  for (std::uint32_t k = 0; k < m.items; ++k) {
    next.ask();
    copy_row(item_values + k * bare_dim, items_.values(m.item_rows[k]));
  }

  margins(m, 1.0F, next);

  for (std::uint32_t slot = 0; slot < m.users; ++slot) {
    next.ask();
    next.ask();
    Row64 g{};
    add_user_gradient(m, slot, g);
    if (shape_.adversarial) {
      store_row(&user_gradients_[(size(shard) * size(micro_) + slot) * bare_dim], g);
    } else {
      adagrad(users_.values(m.user_rows[slot]), users_.accumulators(m.user_rows[slot]), g, shape_.learning_rate);
    }
  }
  for (std::uint32_t slot = 0; slot < m.items; ++slot) {
    next.ask();
    float* sum = &item_gradients_[m.item_steps[slot] * size(bare_dim)];
    const I16 met = I16{} + static_cast<std::int32_t>(m.item_fresh[slot]);
    Row64 g = load_row(sum);
    for (auto& part : g.part) part = reinterpret_cast<F16>(reinterpret_cast<I16>(part) & met);
    add_item_gradient(m, slot, g);
    store_row(sum, g);
  }
}

void BarePairwise::perturb_items() {
  Queue first(ahead_.data());
  for (std::uint32_t k = 0; shape_.prefetch && k < user_count_[0]; ++k) {
    first.add(users_.values(user_rows_[k]));
    first.add(users_.accumulators(user_rows_[k]));
  }
  for (std::uint32_t slot = 0; slot < step_stamps_.count(); ++slot) {
    first.ask();
    if (slot + rows_ahead < step_stamps_.count()) prefetch_row(items_.values(step_rows_[slot + rows_ahead]));
    const Row64 g = load_row(&item_gradients_[slot * size(bare_dim)]);
    const float scale = ball_scale(g, shape_.epsilon);
    Row64 row = load_row(items_.values(step_rows_[slot]));
    for (int k = 0; k < 4; ++k) row.part[k] += scale * g.part[k];
    store_row(&item_perturbed_[slot * size(bare_dim)], row);
  }
}

void BarePairwise::second_pass(int shard) {
  const Micro m = micro(shard);
  Queue next = ahead(shard + 1, 2);
  float* user_values = user_values_.data();
  float* item_values = item_values_.data();
  const float* clean = &user_gradients_[size(shard) * size(micro_) * bare_dim];
  for (std::uint32_t slot = 0; slot < m.users; ++slot) {
    next.ask();
    const Row64 g = load_row(clean + slot * bare_dim);
    Row64 row = load_row(users_.values(m.user_rows[slot]));
    const float scale = ball_scale(g, shape_.epsilon);
    for (int k = 0; k < 4; ++k) row.part[k] += scale * g.part[k];
    store_row(user_values + slot * bare_dim, row);
  }
  for (std::uint32_t k = 0; k < m.items; ++k) {
    next.ask();
    copy_row(item_values + k * bare_dim, &item_perturbed_[m.item_steps[k] * size(bare_dim)]);
  }

  margins(m, shape_.weight, next);

  for (std::uint32_t slot = 0; slot < m.users; ++slot) {
    next.ask();
    next.ask();
    Row64 g = load_row(clean + slot * bare_dim);
    add_user_gradient(m, slot, g);
    adagrad(users_.values(m.user_rows[slot]), users_.accumulators(m.user_rows[slot]), g, shape_.learning_rate);
  }
  for (std::uint32_t slot = 0; slot < m.items; ++slot) {
    next.ask();
    float* sum = &item_gradients_[m.item_steps[slot] * size(bare_dim)];
    Row64 g = load_row(sum);
    add_item_gradient(m, slot, g);
    store_row(sum, g);
  }
}

void BarePairwise::update_items() {
  const std::uint32_t count = step_stamps_.count();
  for (std::uint32_t slot = 0; slot < count; ++slot) {
    if (slot + rows_ahead < count) {
      prefetch_row(items_.values(step_rows_[slot + rows_ahead]));
      prefetch_row(items_.accumulators(step_rows_[slot + rows_ahead]));
    }
    adagrad(items_.values(step_rows_[slot]), items_.accumulators(step_rows_[slot]), load_row(&item_gradients_[slot * size(bare_dim)]),
            shape_.learning_rate);
  }
}

void BarePairwise::run_step(const std::uint32_t* users, const std::uint32_t* positives, const std::uint32_t* negatives) {
  auto before = Clock::now();
  const auto lap = [&before](double& seconds) {
    const auto now = Clock::now();
    seconds += std::chrono::duration<double>(now - before).count();
    before = now;
  };
  list_rows(users, positives, negatives);
  lap(seconds_.list);
  for (int shard = 0; shard < shape_.shards; ++shard) first_pass(shard);
  lap(seconds_.first);
  if (shape_.adversarial) {
    perturb_items();
    lap(seconds_.perturb);
    for (int shard = 0; shard < shape_.shards; ++shard) second_pass(shard);
    lap(seconds_.second);
  }
  update_items();
  lap(seconds_.update);
}

void BarePairwise::step() {
  const auto before = Clock::now();
  draw();
  seconds_.draw += std::chrono::duration<double>(Clock::now() - before).count();
  run_step(drawn_users_.data(), drawn_positives_.data(), drawn_negatives_.data());
}

void BarePairwise::step_with(std::span<const std::uint32_t> users, std::span<const std::uint32_t> positives,
                             std::span<const std::uint32_t> negatives) {
  run_step(users.data(), positives.data(), negatives.data());
}

}  // namespace spar::bench
