#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "support/gradient_check.hpp"

#include "spar/tape/pairwise.hpp"
#include "spar/tape/sample_scope.hpp"

/// The pairwise losses written out triple by triple in float64, with nothing shared and nothing fused.
namespace spar::test {

struct TripleList {
  std::vector<std::int32_t> user;
  std::vector<std::int32_t> positive;
  std::vector<std::int32_t> negative;

  tape::Triples view() const { return {user, positive, negative}; }
  std::size_t size() const { return user.size(); }
};

/// `count` triples over `users` and `items` rows: rows come again and again, item 0 is positive in the first triple and
/// negative in the second of the same user, and the last user and the last item are named by none.
inline TripleList some_triples(int count, int users, int items) {
  TripleList triples;
  for (int t = 0; t < count; ++t) {
    triples.user.push_back((t * 7 + t / 5) % (users - 1));
    const int i = (t * 5 + 1) % (items - 1);
    const int j = (t * 11 + 3) % (items - 1);
    triples.positive.push_back(i);
    triples.negative.push_back(j == i ? (j + 1) % (items - 1) : j);
  }
  if (count > 1) {
    triples.user[1] = triples.user[0];
    triples.positive[0] = 0;
    triples.negative[0] = 1;
    triples.positive[1] = 2;
    triples.negative[1] = 0;
  }
  return triples;
}

/// Columns of a row that are not vector: an item's bias stands in column `bias` (-1: none).
struct SlowShape {
  int dim = 0;
  int bias = -1;

  int item_columns() const { return bias < 0 ? dim : bias + 1; }
};

inline double softplus_of_minus(double s) {
  return s > 0 ? std::log1p(std::exp(-s)) : -s + std::log1p(std::exp(s));
}

inline double slow_margin(const double* u, const double* i, const double* j, const SlowShape& shape) {
  double s = 0.0;
  for (int c = 0; c < shape.dim; ++c) s += u[c] * (i[c] - j[c]);
  if (shape.bias >= 0) s += i[shape.bias] - j[shape.bias];
  return s;
}

inline double slow_penalty(const double* row, const SlowShape& shape, bool item) {
  double squares = 0.0;
  for (int c = 0; c < shape.dim; ++c) squares += row[c] * row[c];
  if (item && shape.bias >= 0) squares += row[shape.bias] * row[shape.bias];
  return 0.5 * squares;
}

/// BPR's loss; inputs are users and items.
inline double slow_ranking(const std::vector<Grid<double>>& inputs, const TripleList& triples,
                           const tape::PairwiseSettings& settings, const SlowShape& shape) {
  double total = 0.0;
  for (std::size_t t = 0; t < triples.size(); ++t) {
    const double* u = inputs[0].row(triples.user[t]);
    const double* i = inputs[1].row(triples.positive[t]);
    const double* j = inputs[1].row(triples.negative[t]);
    total += softplus_of_minus(std::max(settings.floor, slow_margin(u, i, j, shape)));
    total +=
        settings.l2 * (slow_penalty(u, shape, false) + slow_penalty(i, shape, true) + slow_penalty(j, shape, true));
  }
  return total;
}

/// One triple's perturbations: steps of length epsilon along its own gradients.
struct TriplePerturbation {
  std::vector<double> user;
  std::vector<double> positive;
  std::vector<double> negative;
};

inline std::vector<double> stepped(std::vector<double> gradient, const tape::SampleScope& scope) {
  double squares = 0.0;
  for (const double g : gradient) squares += g * g;
  for (double& g : gradient) g *= scope.epsilon / std::max(std::sqrt(squares), scope.norm_floor);
  return gradient;
}

inline std::vector<TriplePerturbation> slow_perturbations(const std::vector<Grid<double>>& inputs,
                                                          const TripleList& triples, double floor,
                                                          const tape::SampleScope& scope, const SlowShape& shape) {
  std::vector<TriplePerturbation> all;
  const auto dim = static_cast<std::size_t>(shape.dim);
  for (std::size_t t = 0; t < triples.size(); ++t) {
    const double* u = inputs[0].row(triples.user[t]);
    const double* i = inputs[1].row(triples.positive[t]);
    const double* j = inputs[1].row(triples.negative[t]);
    const double s = slow_margin(u, i, j, shape);
    const double w = s < floor ? 0.0 : 1.0 / (1.0 + std::exp(s));
    std::vector<double> gu(dim);
    std::vector<double> gi(dim);
    std::vector<double> gj(dim);
    for (std::size_t c = 0; c < dim; ++c) {
      gu[c] = -w * (i[c] - j[c]);
      gi[c] = -w * u[c];
      gj[c] = w * u[c];
    }
    all.push_back({stepped(gu, scope), stepped(gi, scope), stepped(gj, scope)});
  }
  return all;
}

/// L + weight L' with perturbations held constant, and the penalty once for each term.
inline double slow_sample_scope(const std::vector<Grid<double>>& inputs, const TripleList& triples,
                                const std::vector<TriplePerturbation>& perturbations,
                                const tape::PairwiseSettings& settings, const tape::SampleScope& scope,
                                const SlowShape& shape) {
  double total = 0.0;
  const auto moved = [&](const double* row, const std::vector<double>& delta) {
    std::vector<double> sum(row, row + std::max(shape.item_columns(), shape.dim));
    for (std::size_t c = 0; c < delta.size(); ++c) sum[c] += delta[c];
    return sum;
  };
  for (std::size_t t = 0; t < triples.size(); ++t) {
    const double* u = inputs[0].row(triples.user[t]);
    const double* i = inputs[1].row(triples.positive[t]);
    const double* j = inputs[1].row(triples.negative[t]);
    std::vector<double> pu(u, u + shape.dim);
    for (std::size_t c = 0; c < pu.size(); ++c) pu[c] += perturbations[t].user[c];
    const auto pi = moved(i, perturbations[t].positive);
    const auto pj = moved(j, perturbations[t].negative);
    total += softplus_of_minus(std::max(settings.floor, slow_margin(u, i, j, shape)));
    total +=
        scope.weight * softplus_of_minus(std::max(settings.floor, slow_margin(pu.data(), pi.data(), pj.data(), shape)));
    total += 2.0 * settings.l2 *
             (slow_penalty(u, shape, false) + slow_penalty(i, shape, true) + slow_penalty(j, shape, true));
  }
  return total;
}

}  // namespace spar::test
