#include "bench/bare_reference.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "bench/bare_pairwise.hpp"

namespace spar::bench {

namespace {

using Rows = std::vector<double>;

struct Model {
  Rows users, items;
};

std::size_t at(Index row) {
  return static_cast<std::size_t>(row * bare_dim);
}

/// Scales a table up, so that the triples have different weights, and copies it.
Rows widened(BareTable& table, Index rows) {
  Rows copy(at(rows));
  for (Index row = 0; row < rows; ++row) {
    for (int k = 0; k < bare_dim; ++k) copy[at(row) + static_cast<std::size_t>(k)] = table.values(row)[k] *= 30.0F;
  }
  return copy;
}

struct Triple {
  Index user, positive, negative;
};

void add_gradient(const std::vector<Triple>& triples, const Model& at_rows, double weight, Model& gradient) {
  for (const Triple& t : triples) {
    const double* u = &at_rows.users[at(t.user)];
    const double* v = &at_rows.items[at(t.positive)];
    const double* w = &at_rows.items[at(t.negative)];
    double x = 0;
    for (int k = 0; k < bare_dim; ++k) x += u[k] * (v[k] - w[k]);
    const double z = -weight / (1 + std::exp(x));
    for (int k = 0; k < bare_dim; ++k) {
      gradient.users[at(t.user) + static_cast<std::size_t>(k)] += z * (v[k] - w[k]);
      gradient.items[at(t.positive) + static_cast<std::size_t>(k)] += z * u[k];
      gradient.items[at(t.negative) + static_cast<std::size_t>(k)] -= z * u[k];
    }
  }
}

void perturb(Rows& rows, const Rows& gradient, double epsilon) {
  for (std::size_t row = 0; row < rows.size(); row += bare_dim) {
    double squares = 0;
    for (std::size_t k = row; k < row + bare_dim; ++k) squares += gradient[k] * gradient[k];
    for (std::size_t k = row; k < row + bare_dim; ++k)
      rows[k] += epsilon * gradient[k] / std::max(std::sqrt(squares), 1e-6);
  }
}

void adagrad(Rows& rows, Rows& accumulators, const Rows& gradient, double rate) {
  for (std::size_t k = 0; k < rows.size(); ++k) {
    accumulators[k] += gradient[k] * gradient[k];
    rows[k] -= rate * gradient[k] / std::sqrt(accumulators[k]);
  }
}

double difference(BareTable& table, const Rows& rows) {
  double worst = 0;
  for (std::size_t k = 0; k < rows.size(); ++k) {
    const float* row = table.values(static_cast<Index>(k / bare_dim));
    worst = std::max(worst, std::abs(static_cast<double>(row[k % bare_dim]) - rows[k]));
  }
  return worst;
}

}  // namespace

double bare_difference(bool adversarial) {
  BareShape shape;
  shape.users = 331;
  shape.items = 97;
  shape.batch = 256;
  shape.shards = 4;
  shape.adversarial = adversarial;
  shape.epsilon = 0.02F;
  BarePairwise kernel(shape, 7);
  Model model{widened(kernel.users(), shape.users), widened(kernel.items(), shape.items)};
  Model state{Rows(model.users.size(), 0.1F), Rows(model.items.size(), 0.1F)};
  std::mt19937 random(5);
  const auto any = [&random](Index n) { return static_cast<std::uint32_t>(random() % static_cast<std::uint64_t>(n)); };
  for (int step = 0; step < 3; ++step) {
    std::vector<Triple> triples;
    std::vector<std::uint32_t> users, positives, negatives;
    for (int k = 0; k < shape.batch; ++k) {
      const int shard = k / (shape.batch / shape.shards);
      users.push_back(any(kernel.user_parts().size(shard)));
      positives.push_back(any(shape.items));
      negatives.push_back(any(shape.items));
      triples.push_back({kernel.user_parts().begin(shard) + users.back(), positives.back(), negatives.back()});
    }
    kernel.step_with({users, positives, negatives});
    Model gradient{Rows(model.users.size()), Rows(model.items.size())};
    add_gradient(triples, model, 1, gradient);
    if (adversarial) {
      Model moved = model;
      perturb(moved.users, gradient.users, shape.epsilon);
      perturb(moved.items, gradient.items, shape.epsilon);
      add_gradient(triples, moved, shape.weight, gradient);
    }
    adagrad(model.users, state.users, gradient.users, shape.learning_rate);
    adagrad(model.items, state.items, gradient.items, shape.learning_rate);
  }
  return std::max(difference(kernel.users(), model.users), difference(kernel.items(), model.items));
}

}  // namespace spar::bench
