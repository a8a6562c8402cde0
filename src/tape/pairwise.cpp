#include "spar/tape/pairwise.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/tape/logistic.hpp"

namespace spar::tape {

namespace {

// The occurrences of each row, ascending: a gradient row is built in registers from its own list and written once.
struct Occurrences {
  std::int32_t* head;  // by row, -1: none
  std::int32_t* next;  // by occurrence, -1: last
};

struct Ranking {
  Var users;
  Var items;
  Triples triples;
  PairwiseSettings settings;
  int vector_width;  // whole lines
  int bias_column;
  const void* weights;  // T[triples]: w of each triple
};

Occurrences list_occurrences(Arena& arena, int rows, std::span<const std::int32_t> first, std::span<const std::int32_t> second) {
  const Occurrences o{arena.take<std::int32_t>(static_cast<std::size_t>(rows)), arena.take<std::int32_t>(first.size() + second.size())};
  std::fill_n(o.head, rows, -1);
  const auto n = static_cast<std::int32_t>(first.size());
  for (auto t = static_cast<std::int32_t>(second.size()) - 1; t >= 0; --t) {
    o.next[n + t] = o.head[second[static_cast<std::size_t>(t)]];
    o.head[second[static_cast<std::size_t>(t)]] = n + t;
  }
  for (std::int32_t t = n - 1; t >= 0; --t) {
    o.next[t] = o.head[first[static_cast<std::size_t>(t)]];
    o.head[first[static_cast<std::size_t>(t)]] = t;
  }
  return o;
}

// Builds the gradient rows of one table: row = sum over its occurrences of term(occurrence, column) + penalty, four registers at a time.
template <class T, int Registers, class Term>
void fill_columns(const Matrix<T>& value, const Matrix<T>& gradient, bool assign, const Occurrences& occurrences, T penalty, int column, Term&& term) {
  for (int r = 0; r < gradient.rows; ++r) {
    Lanes<T> sum[Registers]{};
    T count{};
    for (std::int32_t o = occurrences.head[r]; o >= 0; o = occurrences.next[o]) {
      term(o, column, sum);
      count += T{1};
    }
    const T* x = value.row(r) + column;
    T* g = gradient.row(r) + column;
    for (int k = 0; k < Registers; ++k) {
      if (penalty != T{0}) sum[k] += (penalty * count) * load_lanes(x + k * lanes);
      if (!assign) sum[k] += load_lanes(g + k * lanes);
      store_lanes(g + k * lanes, sum[k]);
    }
  }
}

template <class T, class Term>
void fill_rows(const Matrix<T>& value, const Matrix<T>& gradient, bool assign, const Occurrences& occurrences, T penalty, int width, Term&& term) {
  constexpr int most = 4;
  int column = 0;
  for (; column + most * lanes <= width; column += most * lanes) fill_columns<T, most>(value, gradient, assign, occurrences, penalty, column, term);
  for (; column < width; column += lanes) fill_columns<T, 1>(value, gradient, assign, occurrences, penalty, column, term);
}

template <class T>
void user_gradients(Tape<T>& tape, const Ranking& m, T seed) {
  bool assign = false;
  const Matrix<T> users = tape.value(m.users);
  const Matrix<T> items = tape.value(m.items);
  const Matrix<T> gradient = tape.gradient_to_fill(m.users, assign);
  const auto* weights = static_cast<const T*>(m.weights);
  const Occurrences occurrences = list_occurrences(tape.arena(), users.rows, m.triples.user, {});
  fill_rows(users, gradient, assign, occurrences, static_cast<T>(m.settings.l2) * seed, m.vector_width, [&](std::int32_t t, int column, auto& sum) {
    const T* i = items.row(m.triples.positive[static_cast<std::size_t>(t)]) + column;
    const T* j = items.row(m.triples.negative[static_cast<std::size_t>(t)]) + column;
    const T w = seed * weights[t];
    int c = 0;
    for (auto& lane : sum) {
      lane -= w * (load_lanes(i + c) - load_lanes(j + c));
      c += lanes;
    }
  });
  for (int r = 0; assign && r < gradient.rows; ++r) std::fill(gradient.row(r) + m.vector_width, gradient.row(r) + gradient.columns, T{});
}

template <class T>
void item_gradients(Tape<T>& tape, const Ranking& m, T seed) {
  bool assign = false;
  const Matrix<T> users = tape.value(m.users);
  const Matrix<T> items = tape.value(m.items);
  const Matrix<T> gradient = tape.gradient_to_fill(m.items, assign);
  const auto* weights = static_cast<const T*>(m.weights);
  const auto n = static_cast<std::int32_t>(m.triples.user.size());
  const Occurrences occurrences = list_occurrences(tape.arena(), items.rows, m.triples.positive, m.triples.negative);
  const auto signed_weight = [&](std::int32_t o) { return o < n ? -seed * weights[o] : seed * weights[o - n]; };
  fill_rows(items, gradient, assign, occurrences, static_cast<T>(m.settings.l2) * seed, m.vector_width, [&](std::int32_t o, int column, auto& sum) {
    const std::int32_t t = o < n ? o : o - n;
    const T* u = users.row(m.triples.user[static_cast<std::size_t>(t)]) + column;
    const T w = signed_weight(o);
    int c = 0;
    for (auto& lane : sum) {
      lane += w * load_lanes(u + c);
      c += lanes;
    }
  });
  if (m.bias_column < 0) return;
  for (int r = 0; r < gradient.rows; ++r) {
    T total{};
    T count{};
    for (std::int32_t o = occurrences.head[r]; o >= 0; o = occurrences.next[o]) {
      total += signed_weight(o);
      count += T{1};
    }
    total += static_cast<T>(m.settings.l2) * seed * count * items.at(r, m.bias_column);
    if (assign) std::fill(gradient.row(r) + m.vector_width, gradient.row(r) + gradient.columns, T{});
    gradient.at(r, m.bias_column) += total;
  }
}

template <class T>
void ranking_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Ranking*>(memory);
  const T seed = tape.gradient(result).at(0, 0);
  if (tape.needs_gradient(m.users)) user_gradients(tape, m, seed);
  if (tape.needs_gradient(m.items)) item_gradients(tape, m, seed);
}

// s = u . (v_i - v_j) of sixteen triples; beyond the last, lanes repeat it and are ignored.
template <class T>
Lanes<T> margins_of(const Matrix<T>& users, const Matrix<T>& items, const Triples& triples, int begin, int count, int width, int bias_column) {
  Lanes<T> partial[lanes];
  Lanes<T> bias{};
  for (int k = 0; k < lanes; ++k) {
    const auto t = static_cast<std::size_t>(begin + std::min(k, count - 1));
    const T* u = users.row(triples.user[t]);
    const T* i = items.row(triples.positive[t]);
    const T* j = items.row(triples.negative[t]);
    Lanes<T> sum{};
    for (int c = 0; c < width; c += lanes) sum += load_lanes(u + c) * (load_lanes(i + c) - load_lanes(j + c));
    partial[k] = sum;
    if (bias_column >= 0) bias[k] = i[bias_column] - j[bias_column];
  }
  return lane_sums<T>(partial) + bias;
}

template <class T>
double penalty_of(const Matrix<T>& users, const Matrix<T>& items, const Triples& triples, double l2, int width, int bias_column) {
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

}  // namespace

template <class T>
Var pairwise_ranking(Tape<T>& tape, Var users, Var items, const Triples& triples, const PairwiseSettings& settings, int bias_column, double* loss64) {
  const Matrix<T> u = tape.value(users);
  const Matrix<T> v = tape.value(items);
  const int n = static_cast<int>(triples.user.size());
  if (u.columns != v.columns || u.stride % lanes != 0 || v.stride % lanes != 0 || bias_column >= v.columns || bias_column % lanes > 0 ||
      triples.positive.size() != triples.user.size() || triples.negative.size() != triples.user.size()) {
    throw Bug(fmt::format("tape: pairwise_ranking does not fit {} x {} and {} x {} with {} triples", u.rows, u.columns, v.rows, v.columns, n));
  }
  const int width = bias_column < 0 ? padded(v.columns) : bias_column;
  const auto weights = tape.arena().template take<T>(static_cast<std::size_t>(padded(n)));
  auto* memory = tape.arena().template take<Ranking>(1);
  *memory = {users, items, triples, settings, width, bias_column, weights};
  const bool wanted = tape.needs_gradient(users) || tape.needs_gradient(items);
  const Var out = tape.result(1, 1, wanted, &ranking_backward<T>, memory);
  double total = 0.0;
  for (int t = 0; t < n; t += lanes) {
    const int count = std::min(lanes, n - t);
    Lanes<T> loss;
    Lanes<T> weight;
    logistic_terms(margins_of(u, v, triples, t, count, width, bias_column), static_cast<T>(settings.floor), loss, weight);
    store_lanes(weights + t, weight);
    for (int k = 0; k < count; ++k) total += static_cast<double>(loss[k]);
  }
  if (settings.l2 != 0.0) total += penalty_of(u, v, triples, settings.l2, width, bias_column);
  tape.value(out).at(0, 0) = static_cast<T>(total);
  if (loss64 != nullptr) *loss64 = total;
  return out;
}

template Var pairwise_ranking(Tape<float>&, Var, Var, const Triples&, const PairwiseSettings&, int, double*);
template Var pairwise_ranking(Tape<double>&, Var, Var, const Triples&, const PairwiseSettings&, int, double*);

}  // namespace spar::tape
