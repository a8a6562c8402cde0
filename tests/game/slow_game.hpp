#pragma once
#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "toy_game.hpp"

/// One process, float64, nothing fused, nothing distributed: what a step of the game is, written out.
namespace spar::test {

class SlowGame {
 public:
  explicit SlowGame(const ToySettings& settings)
      : s_(settings),
        width_(static_cast<std::size_t>(settings.dim + (settings.has_bias ? 1 : 0))),
        lists_(settings.data.lists(0, settings.data.users)) {
    const ShardLayout layout{s_.shards, 1};
    table::Table users("user", s_.data.users, layout, 0, {s_.dim, false, 0}, {});
    table::Table items("item", s_.data.items, layout, 0, {s_.dim, s_.has_bias, 0}, {});
    users.initialize(s_.seed, 0, "normal", s_.init);
    items.initialize(s_.seed, 1, "normal", s_.init);
    for (const auto* t : {&users, &items}) {
      for (Index k = 0; k < t->rows(); ++k) {
        Row row(width_, 0.0);
        for (int c = 0; c < s_.dim; ++c) row[static_cast<std::size_t>(c)] = static_cast<double>(t->record(k)[c]);
        (t == &users ? users_ : items_).push_back(row);
      }
    }
    const auto start = static_cast<double>(s_.optimizer.initial_accumulator);
    user_sums_.assign(users_.size(), Row(width_, start));
    item_sums_.assign(items_.size(), Row(width_, start));
  }

  std::int64_t steps() const {
    const std::int64_t total = lists_.count();
    return std::max<std::int64_t>(1, (total + s_.batch_size - 1) / s_.batch_size);
  }

  void epoch(std::int64_t epoch) {
    const Partition partition{s_.data.users, s_.shards};
    std::vector<data::TripleSampler> samplers;
    for (int shard = 0; shard < s_.shards; ++shard) {
      samplers.emplace_back(lists_, partition.begin(shard), partition.size(shard), shard, s_.data.items, s_.seed);
      samplers.back().begin_epoch(epoch);
    }
    loss_ = perturbed_loss_ = 0.0;
    for (std::int64_t step = 0; step < steps(); ++step) {
      std::vector<Triple> batch;
      // A mean counts what the step visits, those left out because their user has every item included.
      std::int64_t visited = 0;
      for (int shard = 0; shard < s_.shards; ++shard) {
        data::MicroBatch drawn;
        data::TripleSampler& sampler = samplers[static_cast<std::size_t>(shard)];
        sampler.sample(step, steps(), drawn);
        visited += (step + 1) * sampler.positives() / steps() - step * sampler.positives() / steps();
        for (int t = 0; t < drawn.triples(); ++t) {
          const auto at = static_cast<std::size_t>(t);
          batch.push_back({static_cast<std::size_t>(drawn.users[static_cast<std::size_t>(drawn.user[at])]),
                           static_cast<std::size_t>(drawn.items[static_cast<std::size_t>(drawn.positive[at])]),
                           static_cast<std::size_t>(drawn.items[static_cast<std::size_t>(drawn.negative[at])]), shard});
        }
      }
      move(batch, visited);
    }
  }

  double loss() const { return loss_; }
  double perturbed_loss() const { return perturbed_loss_; }
  /// Compares with the padded float tables of a real game: the largest difference of any value.
  double distance(const ToyTables& tables, const ToyGame& game) const {
    double most = 0.0;
    const auto compare = [&](const std::vector<Row>& slow, const std::vector<float>& fast,
                             const table::RowShape& shape) {
      for (std::size_t r = 0; r < slow.size(); ++r) {
        const float* row = fast.data() + r * static_cast<std::size_t>(shape.record());
        for (int c = 0; c < s_.dim; ++c)
          most = std::max(most, std::abs(slow[r][static_cast<std::size_t>(c)] - static_cast<double>(row[c])));
        if (shape.has_bias)
          most = std::max(most, std::abs(slow[r].back() - static_cast<double>(row[shape.bias_offset()])));
      }
    };
    compare(users_, tables.users, game.users.shape());
    compare(items_, tables.items, game.items.shape());
    return most;
  }

 private:
  using Row = std::vector<double>;
  using Rows = std::map<std::size_t, Row>;
  struct Triple {
    std::size_t user;
    std::size_t positive;
    std::size_t negative;
    int shard;
  };
  struct Gradients {
    Rows users;
    Rows items;
  };

  Row& at(Rows& rows, std::size_t r) const { return rows.try_emplace(r, width_, 0.0).first->second; }

  // Adds the gradient of one triple at rows + deltas (where there are any) to `to`; returns its loss.
  double add(const Triple& t, const Gradients* deltas, double factor, Gradients& to) {
    const auto moved = [&](const std::vector<Row>& rows, const Rows* delta, std::size_t r) {
      Row row = rows[r];
      if (delta == nullptr) return row;
      const auto found = delta->find(r);
      for (std::size_t c = 0; found != delta->end() && c < row.size(); ++c) row[c] += found->second[c];
      return row;
    };
    const Row u = moved(users_, deltas ? &deltas->users : nullptr, t.user);
    const Row i = moved(items_, deltas ? &deltas->items : nullptr, t.positive);
    const Row j = moved(items_, deltas ? &deltas->items : nullptr, t.negative);
    const auto dim = static_cast<std::size_t>(s_.dim);
    double margin = s_.has_bias ? i.back() - j.back() : 0.0;
    for (std::size_t c = 0; c < dim; ++c) margin += u[c] * (i[c] - j[c]);
    const double w = factor / (1.0 + std::exp(margin));
    for (std::size_t c = 0; c < dim; ++c) {
      at(to.users, t.user)[c] -= w * (i[c] - j[c]);
      at(to.items, t.positive)[c] -= w * u[c];
      at(to.items, t.negative)[c] += w * u[c];
    }
    if (s_.has_bias) {
      at(to.items, t.positive).back() -= w;
      at(to.items, t.negative).back() += w;
    }
    return std::log1p(std::exp(-std::abs(margin))) + std::max(0.0, -margin);
  }

  // The perturbation that belongs to a group's gradients.
  Gradients perturbation(const Gradients& g) const {
    const auto& p = s_.adversary->perturbation;
    const auto dim = static_cast<std::size_t>(s_.dim);
    const auto direction = [&](const Row& gradient) {
      Row d(width_, 0.0);
      for (std::size_t c = 0; c < dim; ++c)
        d[c] = p.method == adversary::Method::fgm ? gradient[c] : (gradient[c] > 0) - (gradient[c] < 0);
      return d;
    };
    const auto square = [](const Row& row) {
      double total = 0.0;
      for (const double x : row) total += x * x;
      return total;
    };
    double all = 0.0;
    for (const auto* rows : {&g.users, &g.items}) {
      for (const auto& [r, gradient] : *rows) all += square(direction(gradient));
    }
    Gradients deltas;
    const auto put = [&](const Rows& from, Rows& to) {
      for (const auto& [r, gradient] : from) {
        Row d = direction(gradient);
        double norm = std::sqrt(p.ball == adversary::Ball::global_l2 ? all : square(d));
        if (p.ball == adversary::Ball::linf) {
          norm = 0.0;
          for (const double x : d) norm = std::max(norm, std::abs(x));
        }
        for (double& x : d) x *= p.epsilon / std::max(norm, p.norm_floor);
        to[r] = d;
      }
    };
    put(g.users, deltas.users);
    put(g.items, deltas.items);
    return deltas;
  }

  // The triples that share a perturbation.
  std::map<std::int64_t, std::vector<Triple>> groups(const std::vector<Triple>& batch) const {
    std::map<std::int64_t, std::vector<Triple>> all;
    for (std::size_t t = 0; t < batch.size(); ++t) {
      const auto scope = s_.adversary->scope;
      const std::int64_t key = scope == adversary::Scope::batch   ? 0
                               : scope == adversary::Scope::shard ? batch[t].shard
                                                                  : static_cast<std::int64_t>(t);
      all[key].push_back(batch[t]);
    }
    return all;
  }

  void move(const std::vector<Triple>& batch, std::int64_t visited) {
    Gradients total;
    for (const Triple& t : batch) loss_ += add(t, nullptr, 1.0, total);
    const bool adversarial = s_.adversary && s_.adversary->weight != 0.0;
    if (adversarial) {
      for (const auto& [key, group] : groups(batch)) {
        Gradients clean;
        for (const Triple& t : group) add(t, nullptr, 1.0, clean);
        const Gradients deltas = perturbation(clean);
        for (const Triple& t : group) perturbed_loss_ += add(t, &deltas, s_.adversary->weight, total);
      }
    }
    double l2 = s_.l2;
    if (s_.l2_batch_mean) l2 = 2.0 * s_.l2 / (static_cast<double>(visited) * s_.dim);
    if (adversarial) l2 *= 2.0;
    for (const Triple& t : batch) {
      for (std::size_t c = 0; c < width_; ++c) {
        at(total.users, t.user)[c] += l2 * users_[t.user][c];
        at(total.items, t.positive)[c] += l2 * items_[t.positive][c];
        at(total.items, t.negative)[c] += l2 * items_[t.negative][c];
      }
    }
    apply(total.users, users_, user_sums_);
    apply(total.items, items_, item_sums_);
  }

  void apply(const Rows& gradients, std::vector<Row>& rows, std::vector<Row>& sums) const {
    const auto rate = static_cast<double>(s_.optimizer.learning_rate);
    for (const auto& [r, g] : gradients) {
      for (std::size_t c = 0; c < width_; ++c) {
        if (s_.optimizer.rule == optim::Rule::sgd) {
          rows[r][c] -= rate * g[c];
        } else {
          sums[r][c] += g[c] * g[c];
          rows[r][c] -= rate * g[c] / std::sqrt(sums[r][c]);
        }
      }
    }
  }

  ToySettings s_;
  std::size_t width_;
  data::UserLists lists_;
  std::vector<Row> users_;
  std::vector<Row> items_;
  std::vector<Row> user_sums_;
  std::vector<Row> item_sums_;
  double loss_ = 0.0;
  double perturbed_loss_ = 0.0;
};

}  // namespace spar::test
