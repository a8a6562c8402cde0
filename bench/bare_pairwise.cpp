#include "bench/bare_pairwise.hpp"

#include <utility>

#include "bench/measure.hpp"

#include "spar/base/error.hpp"

namespace spar::bench {

namespace {

constexpr std::uint16_t last = 0xffff;       // ends a list of occurrences
constexpr std::size_t stamps_ahead = 32;     // triples
constexpr std::uint32_t updates_ahead = 16;  // rows

std::size_t size(Index n) {
  return static_cast<std::size_t>(n);
}

/// The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014): numbers cheap enough not to count.
std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

std::uint32_t below(std::uint64_t word, std::uint32_t n) {
  return static_cast<std::uint32_t>(((word & 0xffffffffU) * n) >> 32);
}

/// Adagrad without epsilon: accumulator += g^2, value -= rate * g / sqrt(accumulator).
[[gnu::always_inline]] inline void adagrad(float* values, float* accumulators, const Row64& gradient, float rate) {
  for (int k = 0; k < 4; ++k) {
    const F16 g = gradient.part[k];
    const F16 a = load16(accumulators + 16 * k) + g * g;
    store16(accumulators + 16 * k, a);
    store16(values + 16 * k, load16(values + 16 * k) - rate * g * inverse_root16(a));
  }
}

/// row + epsilon * g / max(|g|, 1e-6): the worst step inside a ball around the row, to first order.
[[gnu::always_inline]] inline Row64 perturbed(Row64 row, const Row64& g, float epsilon) {
  const F16 squares = (g.part[0] * g.part[0] + g.part[1] * g.part[1]) + (g.part[2] * g.part[2] + g.part[3] * g.part[3]);
  const float scale = epsilon / std::max(__builtin_sqrtf(sum16(squares)), 1e-6F);
  for (int k = 0; k < 4; ++k) row.part[k] += scale * g.part[k];
  return row;
}

class Laps {
 public:
  explicit Laps(bool on) : on_(on) {
    if (on_) before_ = thread_seconds();
  }
  void end(double& seconds) {
    if (!on_) return;
    const double now = thread_seconds();
    seconds += now - before_;
    before_ = now;
  }

 private:
  bool on_;
  double before_ = 0;
};

}  // namespace

BareTable::BareTable(Index rows, BareLayout layout, std::uint64_t seed)
    : memory_(size(rows * bare_dim * (layout == BareLayout::apart ? 1 : 2))),
      second_(size(layout == BareLayout::apart ? rows * bare_dim : 0)),
      values_(memory_.data()),
      accumulators_(layout == BareLayout::apart ? second_.data() : memory_.data() + bare_dim),
      stride_(layout == BareLayout::apart ? bare_dim : 2 * bare_dim) {
  for (Index row = 0; row < rows; ++row) {
    for (int k = 0; k < bare_dim; ++k) {
      const std::uint64_t word = mixed(seed + static_cast<std::uint64_t>(row * bare_dim + k));
      values(row)[k] = (static_cast<float>(word >> 40) * 0x1.0p-24F - 0.5F) * 0.03F;
      accumulators(row)[k] = 0.1F;
    }
  }
}

/// One shard's share of the lists.
struct BarePairwise::Micro {
  std::uint32_t users, items;  // distinct ones
  std::uint32_t *user_rows, *item_rows, *item_steps, *item_met;
  std::uint16_t *user_slot, *positive_slot, *negative_slot, *user_head, *user_next, *item_head, *item_next;
};

BarePairwise::BarePairwise(const BareShape& shape, std::uint64_t seed, std::vector<ItemId> popularity)
    : shape_(shape),
      micro_(shape.batch / shape.shards),
      parts_{shape.users, shape.shards},
      users_(shape.users, shape.layout, mixed(seed + 1)),
      items_(shape.items, shape.layout, mixed(seed + 2)),
      popularity_(std::move(popularity)),
      counter_(mixed(seed + 3)),
      user_stamps_(size(shape.users / shape.shards + 1)),
      step_stamps_(size(shape.items)),
      shard_stamps_(size(2 * shape.batch)) {
  SPAR_ASSERT(micro_ % 16 == 0 && micro_ * shape.shards == shape.batch && micro_ < 0x7fff);
  const auto batch = size(shape.batch);
  const auto triples = size(micro_);
  for (auto* buffer : {&user_count_, &item_count_}) buffer->require(size(shape.shards));
  for (auto* buffer : {&drawn_users_, &drawn_positives_, &drawn_negatives_, &user_rows_}) buffer->require(batch);
  for (auto* buffer : {&user_slot_, &positive_slot_, &negative_slot_, &user_head_, &user_next_}) buffer->require(batch);
  for (auto* buffer : {&item_head_, &item_next_}) buffer->require(2 * batch);
  for (auto* buffer : {&item_rows_, &item_steps_, &item_met_, &step_rows_}) buffer->require(2 * batch);
  user_values_.require(triples * bare_dim);
  item_values_.require(2 * triples * bare_dim);
  item_gradients_.require(2 * batch * bare_dim);
  weights_.require(triples);
  queue_.require(4 * triples);
  if (shape.adversarial) {
    user_gradients_.require(batch * bare_dim);
    item_perturbed_.require(2 * batch * bare_dim);
  }
}

BarePairwise::Micro BarePairwise::micro(int shard) {
  const auto s = size(shard);
  const auto k = size(shard) * size(micro_);
  return {user_count_[s],    item_count_[s],     &user_rows_[k],     &item_rows_[2 * k], &item_steps_[2 * k],
          &item_met_[2 * k], &user_slot_[k],     &positive_slot_[k], &negative_slot_[k], &user_head_[k],
          &user_next_[k],    &item_head_[2 * k], &item_next_[2 * k]};
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
      drawn_users_[k] = below(a, users);
      drawn_positives_[k] = known == 0 ? below(a >> 32, items) : popularity_[below(a >> 32, known)];
      drawn_negatives_[k] = below(b, items);
    }
  }
}

/// The slot of an item in its shard's list, in which it is entered where it is new; notes the occurrence.
[[gnu::always_inline]] inline std::uint16_t BarePairwise::list_item(const Micro& m, std::uint32_t item,
                                                                    std::uint16_t occurrence) {
  const std::uint32_t step_count = step_stamps_.count();
  const std::uint32_t step_slot = step_stamps_.position(item);
  step_rows_[step_slot] = item;
  const std::uint32_t count = shard_stamps_.count();
  const std::uint32_t slot = shard_stamps_.position(step_slot);
  const bool fresh = slot == count;
  m.item_next[occurrence] = fresh ? last : m.item_head[slot];
  m.item_head[slot] = occurrence;
  m.item_rows[slot] = item;
  m.item_steps[slot] = step_slot;
  const std::uint32_t met = step_slot == step_count ? 0U : ~0U;
  m.item_met[slot] = fresh ? met : m.item_met[slot];
  return static_cast<std::uint16_t>(slot);
}

void BarePairwise::list_shard(int shard, const BareBatch& batch, RowQueue& first) {
  const Micro m = micro(shard);
  const auto begin = size(shard) * size(micro_);
  const auto first_user = static_cast<std::uint32_t>(parts_.begin(shard));
  user_stamps_.start();
  shard_stamps_.start();
  for (std::size_t k = 0; k < size(micro_); ++k) {
    first.ask();
    const std::size_t later = std::min(begin + k + stamps_ahead, size(shape_.batch) - 1);
    user_stamps_.prefetch(batch.users[later]);
    step_stamps_.prefetch(batch.positives[later]);
    step_stamps_.prefetch(batch.negatives[later]);
    const auto triple = static_cast<std::uint16_t>(k);
    const std::uint32_t count = user_stamps_.count();
    const std::uint32_t slot = user_stamps_.position(batch.users[begin + k]);
    m.user_rows[slot] = first_user + batch.users[begin + k];
    m.user_next[k] = slot == count ? last : m.user_head[slot];
    m.user_head[slot] = triple;
    m.user_slot[k] = static_cast<std::uint16_t>(slot);
    m.positive_slot[k] = list_item(m, batch.positives[begin + k], static_cast<std::uint16_t>(2 * triple));
    m.negative_slot[k] = list_item(m, batch.negatives[begin + k], static_cast<std::uint16_t>(2 * triple + 1));
  }
  user_count_[size(shard)] = user_stamps_.count();
  item_count_[size(shard)] = shard_stamps_.count();
}

void BarePairwise::list_rows(const BareBatch& batch) {
  step_stamps_.start();
  RowQueue first(queue_.data());
  for (int shard = 0; shard < shape_.shards; ++shard) {
    list_shard(shard, batch, first);
    if (shard == 0) first = ahead(0, false);
  }
}

/// The rows that a shard's pass will touch, over clean or perturbed items.
RowQueue BarePairwise::ahead(int shard, bool perturbed) {
  RowQueue queue(queue_.data());
  if (!shape_.prefetch || shard >= shape_.shards) return queue;
  const Micro m = micro(shard);
  for (std::uint32_t k = 0; k < m.users; ++k) queue.add(users_.values(m.user_rows[k]));
  for (std::uint32_t k = 0; k < m.items; ++k) {
    queue.add(perturbed ? &item_perturbed_[m.item_steps[k] * size(bare_dim)] : items_.values(m.item_rows[k]));
  }
  if (perturbed || !shape_.adversarial) {
    for (std::uint32_t k = 0; k < m.users; ++k) queue.add(users_.accumulators(m.user_rows[k]));
  }
  return queue;
}

/// The margins x = u . (v - w) of the triples, sixteen at a time, as weights -scale * sigmoid(-x).
void BarePairwise::margins(const Micro& m, float scale, RowQueue& next) {
  const float* users = user_values_.data();
  const float* items = item_values_.data();
  for (int block = 0; block < micro_; block += 16) {
    F16 partial[16];
    for (int k = 0; k < 16; ++k) {
      const int t = block + k;
      next.ask();
      partial[k] = dot_partial(users + m.user_slot[t] * bare_dim, items + m.positive_slot[t] * bare_dim,
                               items + m.negative_slot[t] * bare_dim);
    }
    store16(&weights_[size(block)], -scale / (1.0F + exp16(sums16(partial))));
  }
}

/// Gradients are built by rows, in registers, from the list of a row's occurrences: nothing to zero, one store.
[[gnu::always_inline]] inline void BarePairwise::add_user_gradient(const Micro& m, std::uint32_t slot, Row64& g) {
  const float* items = item_values_.data();
  for (std::uint16_t t = m.user_head[slot]; t != last; t = m.user_next[t]) {
    add_scaled(g, weights_[t], items + m.positive_slot[t] * bare_dim);
    add_scaled(g, -weights_[t], items + m.negative_slot[t] * bare_dim);
  }
}

[[gnu::always_inline]] inline void BarePairwise::add_item_gradient(const Micro& m, std::uint32_t slot, Row64& g) {
  const float* users = user_values_.data();
  for (std::uint16_t o = m.item_head[slot]; o != last; o = m.item_next[o]) {
    const int t = o >> 1;
    add_scaled(g, (o & 1) != 0 ? -weights_[size(t)] : weights_[size(t)], users + m.user_slot[t] * bare_dim);
  }
}

void BarePairwise::first_pass(int shard) {
  const Micro m = micro(shard);
  RowQueue next = ahead(shard + 1, false);
  for (std::uint32_t k = 0; k < m.users; ++k) {
    next.ask();
    store_row(&user_values_[k * size(bare_dim)], load_row(users_.values(m.user_rows[k])));
  }
  for (std::uint32_t k = 0; k < m.items; ++k) {
    next.ask();
    store_row(&item_values_[k * size(bare_dim)], load_row(items_.values(m.item_rows[k])));
  }
  margins(m, 1.0F, next);
  float* clean = shape_.adversarial ? &user_gradients_[size(shard) * size(micro_) * bare_dim] : nullptr;
  for (std::uint32_t slot = 0; slot < m.users; ++slot) {
    next.ask();
    next.ask();
    Row64 g{};
    add_user_gradient(m, slot, g);
    if (clean != nullptr) {
      store_row(clean + slot * bare_dim, g);
    } else {
      const Index row = m.user_rows[slot];
      adagrad(users_.values(row), users_.accumulators(row), g, shape_.learning_rate);
    }
  }
  for (std::uint32_t slot = 0; slot < m.items; ++slot) {
    next.ask();
    float* sum = &item_gradients_[m.item_steps[slot] * size(bare_dim)];
    Row64 g = masked(load_row(sum), m.item_met[slot]);
    add_item_gradient(m, slot, g);
    store_row(sum, g);
  }
}

void BarePairwise::perturb_items() {
  RowQueue first(queue_.data());
  for (std::uint32_t k = 0; shape_.prefetch && k < user_count_[0]; ++k) {
    first.add(users_.values(user_rows_[k]));
    first.add(users_.accumulators(user_rows_[k]));
  }
  const std::uint32_t count = step_stamps_.count();
  for (std::uint32_t slot = 0; slot < count; ++slot) {
    first.ask();
    if (slot + updates_ahead < count) prefetch_row(items_.values(step_rows_[slot + updates_ahead]));
    const Row64 g = load_row(&item_gradients_[slot * size(bare_dim)]);
    store_row(&item_perturbed_[slot * size(bare_dim)],
              perturbed(load_row(items_.values(step_rows_[slot])), g, shape_.epsilon));
  }
}

void BarePairwise::second_pass(int shard) {
  const Micro m = micro(shard);
  RowQueue next = ahead(shard + 1, true);
  const float* clean = &user_gradients_[size(shard) * size(micro_) * bare_dim];
  for (std::uint32_t k = 0; k < m.users; ++k) {
    next.ask();
    const Row64 row = load_row(users_.values(m.user_rows[k]));
    store_row(&user_values_[k * size(bare_dim)], perturbed(row, load_row(clean + k * bare_dim), shape_.epsilon));
  }
  for (std::uint32_t k = 0; k < m.items; ++k) {
    next.ask();
    store_row(&item_values_[k * size(bare_dim)], load_row(&item_perturbed_[m.item_steps[k] * size(bare_dim)]));
  }
  margins(m, shape_.weight, next);
  for (std::uint32_t slot = 0; slot < m.users; ++slot) {
    next.ask();
    next.ask();
    Row64 g = load_row(clean + slot * bare_dim);
    add_user_gradient(m, slot, g);
    const Index row = m.user_rows[slot];
    adagrad(users_.values(row), users_.accumulators(row), g, shape_.learning_rate);
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
    if (slot + updates_ahead < count) {
      prefetch_row(items_.values(step_rows_[slot + updates_ahead]));
      prefetch_row(items_.accumulators(step_rows_[slot + updates_ahead]));
    }
    const Index row = step_rows_[slot];
    adagrad(items_.values(row), items_.accumulators(row), load_row(&item_gradients_[slot * size(bare_dim)]),
            shape_.learning_rate);
  }
}

void BarePairwise::step_with(const BareBatch& batch) {
  Laps laps(timed_);
  list_rows(batch);
  laps.end(seconds_.list);
  for (int shard = 0; shard < shape_.shards; ++shard) first_pass(shard);
  laps.end(seconds_.first);
  if (shape_.adversarial) {
    perturb_items();
    laps.end(seconds_.perturb);
    for (int shard = 0; shard < shape_.shards; ++shard) second_pass(shard);
    laps.end(seconds_.second);
  }
  update_items();
  laps.end(seconds_.update);
}

void BarePairwise::step() {
  Laps laps(timed_);
  draw();
  laps.end(seconds_.draw);
  const auto batch = size(shape_.batch);
  step_with({{drawn_users_.data(), batch}, {drawn_positives_.data(), batch}, {drawn_negatives_.data(), batch}});
}

}  // namespace spar::bench
