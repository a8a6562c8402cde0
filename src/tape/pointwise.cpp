#include "spar/tape/pointwise.hpp"

#include "occurrences.hpp"
#include "support.hpp"

#include "spar/tape/logistic.hpp"

namespace spar::tape {

namespace {

using namespace detail;

struct Pointwise {
  Var users;
  Var items;
  Var bias;
  Points points;
  int dim;
  double l2;
  const void* slopes;  // T[points]: of the loss by the logit
};

/// Line `c` of what stands against a row in its gradient: the other side's vector, and 1 against the bias.
template <class T>
Lanes<T> against(const T* other, int c, int dim, const Lanes<T>& unit) {
  const auto line = load_lanes(other + c);
  return c + lanes <= dim ? line : first_lanes<T>(line, dim - c) + unit;
}

/// 1 in the lane where the bias stands, 0 elsewhere.
template <class T>
Lanes<T> bias_lane(int dim) {
  Lanes<T> unit{};
  unit[dim % lanes] = T{1};
  return unit;
}

/// Gradient rows of one side, `Lines` lines at a time from column `first`: the sum over a row's examples of slope times
/// what stands against it, and the penalty once for each of them.
template <class T, int Lines>
void fill_lines(Tape<T>& tape, const Pointwise& m, Var side, Var other, std::span<const std::int32_t> other_slots,
                const Occurrences& occurrences, int first, T seed, const Matrix<T>& gradient, bool assign) {
  const Matrix<T> value = tape.value(side);
  const Matrix<T> against_rows = tape.value(other);
  const auto* slopes = static_cast<const T*>(m.slopes);
  const Lanes<T> unit = bias_lane<T>(m.dim);
  for (int r = 0; r < gradient.rows; ++r) {
    Lanes<T> sum[Lines]{};
    T count{};
    for (std::int32_t k = occurrences.head[r]; k >= 0; k = occurrences.next[k]) {
      const T* row = against_rows.row(other_slots[static_cast<std::size_t>(k)]);
      for (int line = 0; line < Lines; ++line) sum[line] += slopes[k] * against(row, first + line * lanes, m.dim, unit);
      count += T{1};
    }
    const T penalty = static_cast<T>(m.l2) * count;
    for (int line = 0; line < Lines; ++line) {
      const int c = first + line * lanes;
      const auto x = first_lanes<T>(load_lanes(value.row(r) + c), m.dim + 1 - c);
      Lanes<T> total = seed * (sum[line] + penalty * x);
      T* g = gradient.row(r) + c;
      if (!assign) total += load_lanes(g);
      store_lanes(g, total);
    }
  }
}

template <class T>
void fill_side(Tape<T>& tape, const Pointwise& m, Var side, Var other, std::span<const std::int32_t> slots,
               std::span<const std::int32_t> other_slots, T seed) {
  if (!tape.needs_gradient(side)) return;
  bool assign = false;
  const Matrix<T> gradient = tape.gradient_to_fill(side, assign);
  const Occurrences occurrences = list_occurrences(tape.arena(), gradient.rows, slots, {});
  constexpr int most = 4;
  int c = 0;
  for (; c + most * lanes <= m.dim; c += most * lanes)
    fill_lines<T, most>(tape, m, side, other, other_slots, occurrences, c, seed, gradient, assign);
  for (; c <= m.dim; c += lanes)
    fill_lines<T, 1>(tape, m, side, other, other_slots, occurrences, c, seed, gradient, assign);
}

template <class T>
void pointwise_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Pointwise*>(memory);
  const T seed = tape.gradient(result).at(0, 0);
  fill_side(tape, m, m.users, m.items, m.points.user, m.points.item, seed);
  fill_side(tape, m, m.items, m.users, m.points.item, m.points.user, seed);
  if (!tape.needs_gradient(m.bias)) return;
  const auto* slopes = static_cast<const T*>(m.slopes);
  const auto count = m.points.labels.size();
  T total{};
  for (std::size_t k = 0; k < count; ++k) total += slopes[k];
  const T b = tape.value(m.bias).at(0, 0);
  tape.gradient_to_add(m.bias).at(0, 0) += seed * (total + static_cast<T>(m.l2) * static_cast<T>(count) * b);
}

/// p . q + b_u + b_i of sixteen examples; beyond the last, lanes repeat it and are ignored.
template <class T>
Lanes<T> logits_of(const Matrix<T>& users, const Matrix<T>& items, const Points& points, int begin, int count,
                   int dim) {
  Lanes<T> partial[lanes];
  Lanes<T> biases{};
  const int whole = dim / lanes * lanes;
  for (int k = 0; k < lanes; ++k) {
    const auto at = static_cast<std::size_t>(begin + std::min(k, count - 1));
    const T* u = users.row(points.user[at]);
    const T* v = items.row(points.item[at]);
    Lanes<T> sum{};
    for (int c = 0; c < whole; c += lanes) sum += load_lanes(u + c) * load_lanes(v + c);
    if (whole < dim) sum += first_lanes<T>(load_lanes(u + whole) * load_lanes(v + whole), dim - whole);
    partial[k] = sum;
    biases[k] = u[dim] + v[dim];
  }
  return lane_sums<T>(partial) + biases;
}

/// Of all occurrences of the rows.
template <class T>
double squares(const Matrix<T>& rows, std::span<const std::int32_t> slots, Arena& arena) {
  const auto mark = arena.mark();
  auto* counts = arena.take<std::int32_t>(static_cast<std::size_t>(rows.rows));
  std::fill_n(counts, rows.rows, 0);
  for (const std::int32_t slot : slots) ++counts[slot];
  double total = 0.0;
  for (int r = 0; r < rows.rows; ++r) {
    const T* row = rows.row(r);
    total += counts[r] * static_cast<double>(sum_columns<T>(
                             rows.columns, [row](int c) { return load_lanes(row + c) * load_lanes(row + c); }));
  }
  arena.release(mark);
  return total;
}

}  // namespace

template <class T>
Var pointwise_logistic(Tape<T>& tape, Var users, Var items, Var bias, const Points& points, double l2) {
  const Matrix<T> u = tape.value(users);
  const Matrix<T> v = tape.value(items);
  const auto n = points.labels.size();
  require(u.columns == v.columns && u.columns > 1, "pointwise_logistic", u, v);
  require_with(points.user.size() == n && points.item.size() == n, "pointwise_logistic", u,
               "{} and {} slots, {} labels", points.user.size(), points.item.size(), n);
  T* slopes = tape.arena().template take<T>(static_cast<std::size_t>(padded(static_cast<int>(n))));
  const int dim = u.columns - 1;
  const T b = tape.value(bias).at(0, 0);
  double total = 0.0;
  for (int k = 0; k < static_cast<int>(n); k += lanes) {
    const int count = std::min(lanes, static_cast<int>(n) - k);
    Lanes<T> sign;
    for (int j = 0; j < lanes; ++j)
      sign[j] = points.labels[static_cast<std::size_t>(k + std::min(j, count - 1))] > 0.5F ? T{1} : T{-1};
    Lanes<T> loss;
    Lanes<T> weight;
    logistic_terms(sign * (logits_of(u, v, points, k, count, dim) + b), static_cast<T>(-80.0), loss, weight);
    store_lanes<T>(slopes + k, -sign * weight);
    for (int j = 0; j < count; ++j) total += static_cast<double>(loss[j]);
  }
  if (l2 != 0.0) {
    total += 0.5 * l2 *
             (squares(u, points.user, tape.arena()) + squares(v, points.item, tape.arena()) +
              static_cast<double>(n) * static_cast<double>(b) * static_cast<double>(b));
  }
  const Var out = tape.result(1, 1, any_wanted(tape, users, items, bias), &pointwise_backward<T>,
                              keep(tape, Pointwise{users, items, bias, points, dim, l2, slopes}));
  tape.value(out).at(0, 0) = static_cast<T>(total);
  return out;
}

template Var pointwise_logistic(Tape<float>&, Var, Var, Var, const Points&, double);
template Var pointwise_logistic(Tape<double>&, Var, Var, Var, const Points&, double);

}  // namespace spar::tape
