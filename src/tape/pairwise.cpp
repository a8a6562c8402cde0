#include "spar/tape/pairwise.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "occurrences.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/tape/logistic.hpp"
#include "spar/tape/sample_scope.hpp"

namespace spar::tape {

namespace {

struct Ranking {
  Var users;
  Var items;
  Triples triples;
  PairwiseSettings settings;
  int vector_width;  // whole lines
  int bias_column;
  int penalty_terms;  // how often the penalty counts
  // T[triples] each. The gradients are  u: -alpha d + beta u;  v_i: -alpha u + gamma d;  v_j: the negative of v_i's.
  // Plain BPR has alpha = w and neither beta nor gamma.
  const void* alpha;
  const void* beta;
  const void* gamma;
};

// Builds the gradient rows of one table: row = sum over its occurrences of term(occurrence, column) + penalty, four
// registers at a time. Occurrences below `turn` (an item preferred) and from it on (an item rejected) are summed apart:
// two of equal weight then cancel exactly, where a chain of fused multiply-adds would leave the rounding of a product.
template <class T, int Registers, class Term>
void fill_columns(const Matrix<T>& value, const Matrix<T>& gradient, bool assign, const Occurrences& occurrences,
                  std::int32_t turn, T penalty, int column, PacedPrefetch& waiting, Term&& term) {
  PacedPrefetch early = waiting;
  for (int r = 0; r < gradient.rows; ++r) {
    early.ask();
    early.ask();
    Lanes<T> sum[Registers]{};
    Lanes<T> rest[Registers]{};
    T count{};
    std::int32_t o = occurrences.head[r];
    for (; o >= 0 && o < turn; o = occurrences.next[o]) {
      term(o, column, sum);
      count += T{1};
    }
    for (; o >= 0; o = occurrences.next[o]) {
      term(o, column, rest);
      count += T{1};
    }
    const T* x = value.row(r) + column;
    T* g = gradient.row(r) + column;
    for (int k = 0; k < Registers; ++k) {
      sum[k] += rest[k];
      if (penalty != T{0}) sum[k] += (penalty * count) * load_lanes(x + k * lanes);
      if (!assign) sum[k] += load_lanes(g + k * lanes);
      store_lanes(g + k * lanes, sum[k]);
    }
  }
  waiting = early;
}

template <class T, class Term>
void fill_rows(const Matrix<T>& value, const Matrix<T>& gradient, bool assign, const Occurrences& occurrences,
               std::int32_t turn, T penalty, int width, PacedPrefetch& early, Term&& term) {
  constexpr int most = 4;
  int column = 0;
  for (; column + most * lanes <= width; column += most * lanes)
    fill_columns<T, most>(value, gradient, assign, occurrences, turn, penalty, column, early, term);
  for (; column < width; column += lanes)
    fill_columns<T, 1>(value, gradient, assign, occurrences, turn, penalty, column, early, term);
}

template <class T>
T penalty_factor(const Ranking& m, T seed) {
  return static_cast<T>(m.settings.l2) * static_cast<T>(m.penalty_terms) * seed;
}

template <class T>
void user_gradients(Tape<T>& tape, const Ranking& m, T seed) {
  bool assign = false;
  const Matrix<T> users = tape.value(m.users);
  const Matrix<T> items = tape.value(m.items);
  const Matrix<T> gradient = tape.gradient_to_fill(m.users, assign);
  const auto* alpha = static_cast<const T*>(m.alpha);
  const auto* beta = static_cast<const T*>(m.beta);
  const Occurrences occurrences = list_occurrences(tape.arena(), users.rows, m.triples.user, {});
  const auto fill = [&](auto with_beta) {
    fill_rows(users, gradient, assign, occurrences, static_cast<std::int32_t>(m.triples.user.size()),
              penalty_factor(m, seed), m.vector_width, tape.early(), [&](std::int32_t t, int column, auto& sum) {
                const T* i = items.row(m.triples.positive[static_cast<std::size_t>(t)]) + column;
                const T* j = items.row(m.triples.negative[static_cast<std::size_t>(t)]) + column;
                const T* u = users.row(m.triples.user[static_cast<std::size_t>(t)]) + column;
                const T w = seed * alpha[t];
                int c = 0;
                for (auto& lane : sum) {
                  lane -= w * (load_lanes(i + c) - load_lanes(j + c));
                  if constexpr (with_beta) lane += seed * beta[t] * load_lanes(u + c);
                  c += lanes;
                }
              });
  };
  beta == nullptr ? fill(std::false_type{}) : fill(std::true_type{});
}

template <class T>
void bias_gradients(const Ranking& m, const Matrix<T>& items, const Matrix<T>& gradient, bool assign,
                    const Occurrences& occurrences, T seed) {
  const auto* alpha = static_cast<const T*>(m.alpha);
  const auto n = static_cast<std::int32_t>(m.triples.user.size());
  for (int r = 0; r < gradient.rows; ++r) {
    T total{};
    T count{};
    for (std::int32_t o = occurrences.head[r]; o >= 0; o = occurrences.next[o]) {
      total += o < n ? -seed * alpha[o] : seed * alpha[o - n];
      count += T{1};
    }
    total += penalty_factor(m, seed) * count * items.at(r, m.bias_column);
    if (assign) std::fill(gradient.row(r) + m.vector_width, gradient.row(r) + gradient.stride, T{});
    gradient.at(r, m.bias_column) += total;
  }
}

template <class T>
void item_gradients(Tape<T>& tape, const Ranking& m, T seed) {
  bool assign = false;
  const Matrix<T> users = tape.value(m.users);
  const Matrix<T> items = tape.value(m.items);
  const Matrix<T> gradient = tape.gradient_to_fill(m.items, assign);
  const auto* alpha = static_cast<const T*>(m.alpha);
  const auto* gamma = static_cast<const T*>(m.gamma);
  const auto n = static_cast<std::int32_t>(m.triples.user.size());
  const Occurrences occurrences = list_occurrences(tape.arena(), items.rows, m.triples.positive, m.triples.negative);
  const auto fill = [&](auto with_gamma) {
    fill_rows(items, gradient, assign, occurrences, n, penalty_factor(m, seed), m.vector_width, tape.early(),
              [&](std::int32_t o, int column, auto& sum) {
                const auto t = static_cast<std::size_t>(o < n ? o : o - n);
                const T* u = users.row(m.triples.user[t]) + column;
                const T* i = items.row(m.triples.positive[t]) + column;
                const T* j = items.row(m.triples.negative[t]) + column;
                const T sign = o < n ? seed : -seed;
                int c = 0;
                for (auto& lane : sum) {
                  lane -= (sign * alpha[t]) * load_lanes(u + c);
                  if constexpr (with_gamma) lane += (sign * gamma[t]) * (load_lanes(i + c) - load_lanes(j + c));
                  c += lanes;
                }
              });
  };
  gamma == nullptr ? fill(std::false_type{}) : fill(std::true_type{});
  if (m.bias_column >= 0) bias_gradients(m, items, gradient, assign, occurrences, seed);
}

template <class T>
void ranking_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Ranking*>(memory);
  const T seed = tape.gradient(result).at(0, 0);
  if (tape.needs_gradient(m.users)) user_gradients(tape, m, seed);
  if (tape.needs_gradient(m.items)) item_gradients(tape, m, seed);
}

// s = u . (v_i - v_j) of sixteen triples; beyond the last, lanes repeat it and are ignored.
template <class T, class Width>
Lanes<T> margins_of(const Matrix<T>& users, const Matrix<T>& items, const Triples& triples, int begin, int count,
                    Width width, int bias_column, PacedPrefetch& early) {
  Lanes<T> partial[lanes];
  Lanes<T> bias{};
  for (int k = 0; k < lanes; ++k) {
    const auto t = static_cast<std::size_t>(begin + std::min(k, count - 1));
    const T* u = users.row(triples.user[t]);
    const T* i = items.row(triples.positive[t]);
    const T* j = items.row(triples.negative[t]);
    early.ask();
    early.ask();
    Lanes<T> sum{};
    for (int c = 0; c < width; c += lanes) sum += load_lanes(u + c) * (load_lanes(i + c) - load_lanes(j + c));
    partial[k] = sum;
    if (bias_column >= 0) bias[k] = i[bias_column] - j[bias_column];
  }
  return lane_sums<T>(partial) + bias;
}

template <class T>
double penalty_of(const Matrix<T>& users, const Matrix<T>& items, const Triples& triples, double l2, int width,
                  int bias_column) {
  double total = 0.0;
  for (std::size_t t = 0; t < triples.user.size(); ++t) {
    const T* u = users.row(triples.user[t]);
    total += static_cast<double>(lane_dot(u, u, width));
    for (const std::int32_t slot : {triples.positive[t], triples.negative[t]}) {
      const T* v = items.row(slot);
      total += static_cast<double>(lane_dot(v, v, width));
      if (bias_column >= 0) total += static_cast<double>(v[bias_column]) * static_cast<double>(v[bias_column]);
    }
  }
  return 0.5 * l2 * total;
}

// Checks the shapes and puts the result on the tape; the coefficients are still to be filled.
template <class T>
Var put_ranking(Tape<T>& tape, const char* name, const Ranking& ranking) {
  const Matrix<T> u = tape.value(ranking.users);
  const Matrix<T> v = tape.value(ranking.items);
  const auto n = ranking.triples.user.size();
  if (padded(u.columns) != ranking.vector_width || u.stride % lanes != 0 || v.stride % lanes != 0 ||
      ranking.bias_column >= v.columns || (ranking.bias_column > 0 && ranking.bias_column % lanes != 0) ||
      ranking.triples.positive.size() != n || ranking.triples.negative.size() != n) {
    throw Bug(fmt::format("tape: {} does not fit {} x {} and {} x {} with {} triples", name, u.rows, u.columns, v.rows,
                          v.columns, n));
  }
  auto* memory = tape.arena().template take<Ranking>(1);
  *memory = ranking;
  return tape.result(1, 1, tape.needs_gradient(ranking.users) || tape.needs_gradient(ranking.items),
                     &ranking_backward<T>, memory);
}

template <class T>
T* coefficients(Tape<T>& tape, const Triples& triples) {
  return tape.arena().template take<T>(static_cast<std::size_t>(padded(static_cast<int>(triples.user.size()))));
}

int vector_width(int bias_column, int columns) {
  return bias_column < 0 ? padded(columns) : bias_column;
}

}  // namespace

template <class T>
Var pairwise_ranking(Tape<T>& tape, Var users, Var items, const Triples& triples, const PairwiseSettings& settings,
                     int bias_column, double* loss64) {
  const Matrix<T> u = tape.value(users);
  const Matrix<T> v = tape.value(items);
  const int width = vector_width(bias_column, v.columns);
  T* weights = coefficients(tape, triples);
  const Var out = put_ranking(tape, "pairwise_ranking",
                              {users, items, triples, settings, width, bias_column, 1, weights, nullptr, nullptr});
  const int n = static_cast<int>(triples.user.size());
  double total = 0.0;
  PacedPrefetch early = tape.early();
  with_width(width, [&](auto columns) {
    for (int t = 0; t < n; t += lanes) {
      const int count = std::min(lanes, n - t);
      Lanes<T> loss;
      Lanes<T> weight;
      logistic_terms(margins_of(u, v, triples, t, count, columns, bias_column, early), static_cast<T>(settings.floor),
                     loss, weight);
      store_lanes(weights + t, weight);
      for (int k = 0; k < count; ++k) total += static_cast<double>(loss[k]);
    }
  });
  tape.early() = early;
  if (settings.l2 != 0.0) total += penalty_of(u, v, triples, settings.l2, width, bias_column);
  tape.value(out).at(0, 0) = static_cast<T>(total);
  if (loss64 != nullptr) *loss64 = total;
  return out;
}

namespace {

// u.d, |u|^2 and |d|^2 of sixteen triples, d = v_i - v_j.
template <class T>
struct Products {
  Lanes<T> ud;
  Lanes<T> uu;
  Lanes<T> dd;
  Lanes<T> bias;
};

template <class T>
Products<T> products_of(const Matrix<T>& users, const Matrix<T>& items, const Triples& triples, int begin, int count,
                        int width, int bias_column) {
  Lanes<T> ud[lanes];
  Lanes<T> uu[lanes];
  Lanes<T> dd[lanes];
  Lanes<T> bias{};
  for (int k = 0; k < lanes; ++k) {
    const auto t = static_cast<std::size_t>(begin + std::min(k, count - 1));
    const T* u = users.row(triples.user[t]);
    const T* i = items.row(triples.positive[t]);
    const T* j = items.row(triples.negative[t]);
    ud[k] = uu[k] = dd[k] = Lanes<T>{};
    for (int c = 0; c < width; c += lanes) {
      const auto x = load_lanes(u + c);
      const auto d = load_lanes(i + c) - load_lanes(j + c);
      ud[k] += x * d;
      uu[k] += x * x;
      dd[k] += d * d;
    }
    if (bias_column >= 0) bias[k] = i[bias_column] - j[bias_column];
  }
  return {lane_sums<T>(ud), lane_sums<T>(uu), lane_sums<T>(dd), bias};
}

template <class T>
Lanes<T> root(Lanes<T> v) {
  if constexpr (std::is_same_v<T, float>) {
    return lane_sqrt(v);
  } else {
    for (int k = 0; k < lanes; ++k) v[k] = std::sqrt(v[k]);
    return v;
  }
}

// epsilon w / max(w norm, floor): the length of a step along the row that its gradient is a multiple of.
template <class T>
Lanes<T> step_length(Lanes<T> w, Lanes<T> norm, T epsilon, T floor) {
  const Lanes<T> size = w * norm;
  return epsilon * w / (size > floor ? size : all_lanes(floor));
}

}  // namespace

template <class T>
Var pairwise_sample_scope(Tape<T>& tape, Var users, Var items, const Triples& triples, const PairwiseSettings& settings,
                          const SampleScope& scope, int bias_column, double* loss64, double* perturbed64) {
  const Matrix<T> u = tape.value(users);
  const Matrix<T> v = tape.value(items);
  const int width = vector_width(bias_column, v.columns);
  T* alpha = coefficients(tape, triples);
  T* beta = coefficients(tape, triples);
  T* gamma = coefficients(tape, triples);
  const Var out = put_ranking(tape, "pairwise_sample_scope",
                              {users, items, triples, settings, width, bias_column, 2, alpha, beta, gamma});
  const auto epsilon = static_cast<T>(scope.epsilon);
  const auto lambda = static_cast<T>(scope.weight);
  const auto norm_floor = static_cast<T>(scope.norm_floor);
  const auto margin_floor = static_cast<T>(settings.floor);
  const int n = static_cast<int>(triples.user.size());
  double clean = 0.0;
  double perturbed = 0.0;
  for (int t = 0; t < n; t += lanes) {
    const int count = std::min(lanes, n - t);
    const Products<T> p = products_of(u, v, triples, t, count, width, bias_column);
    Lanes<T> loss;
    Lanes<T> w;
    logistic_terms(p.ud + p.bias, margin_floor, loss, w);
    const Lanes<T> a = step_length<T>(w, root<T>(p.dd), epsilon, norm_floor);
    const Lanes<T> c = step_length<T>(w, root<T>(p.uu), epsilon, norm_floor);
    Lanes<T> perturbed_loss;
    Lanes<T> perturbed_w;
    logistic_terms(p.ud + T{2} * a * c * p.ud - T{2} * c * p.uu - a * p.dd + p.bias, margin_floor, perturbed_loss,
                   perturbed_w);
    const Lanes<T> second = lambda * perturbed_w;
    store_lanes(alpha + t, w + second);
    store_lanes(beta + t, T{2} * second * c);
    store_lanes(gamma + t, second * a);
    for (int k = 0; k < count; ++k) {
      clean += static_cast<double>(loss[k]);
      perturbed += static_cast<double>(perturbed_loss[k]);
    }
  }
  const double penalty = settings.l2 != 0.0 ? penalty_of(u, v, triples, settings.l2, width, bias_column) : 0.0;
  clean += penalty;
  tape.value(out).at(0, 0) = static_cast<T>(clean + scope.weight * perturbed + penalty);
  if (loss64 != nullptr) *loss64 = clean;
  if (perturbed64 != nullptr) *perturbed64 = perturbed;
  return out;
}

#define SPAR_TAPE_PAIRWISE(T)                                                                                         \
  template Var pairwise_ranking(Tape<T>&, Var, Var, const Triples&, const PairwiseSettings&, int, double*);           \
  template Var pairwise_sample_scope(Tape<T>&, Var, Var, const Triples&, const PairwiseSettings&, const SampleScope&, \
                                     int, double*, double*);
SPAR_TAPE_PAIRWISE(float)
SPAR_TAPE_PAIRWISE(double)
#undef SPAR_TAPE_PAIRWISE

}  // namespace spar::tape
