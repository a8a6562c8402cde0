#include "spar/tape/discrete.hpp"

#include <algorithm>
#include <cmath>

#include "support.hpp"

#include "spar/tape/functions.hpp"
#include "spar/tape/operations.hpp"
#include "spar/tape/softmax.hpp"

namespace spar::tape {

namespace {

using namespace detail;

template <class T>
struct Sampled {
  Var mean;
  Var log_variance;
  Matrix<T> noise;
};

template <class T>
void gaussian_sample_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Sampled<T>*>(memory);
  const Matrix<T> log_variance = tape.value(m.log_variance);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.mean,
            [&](int r) { return [gs = upstream.row(r)](int c) -> Lanes<T> { return load_lanes(gs + c); }; });
  add_lanes(tape, m.log_variance, [&](int r) {
    return [gs = upstream.row(r), vs = log_variance.row(r), es = m.noise.row(r)](int c) -> Lanes<T> {
      return T(0.5) * load_lanes(gs + c) * load_lanes(es + c) * lane_exp(T(0.5) * load_lanes(vs + c));
    };
  });
}

template <class T>
void straight_through_backward(Tape<T>& tape, Var result, const void* memory) {
  const Var x = *static_cast<const Var*>(memory);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, x, [&](int r) { return [gs = upstream.row(r)](int c) -> Lanes<T> { return load_lanes(gs + c); }; });
}

// Whether column a of a row stands before column b.
template <class T>
bool stands_before(const T* row, std::int32_t a, std::int32_t b) {
  const T x = row[a];
  const T y = row[b];
  if (std::isnan(x) || std::isnan(y)) return !std::isnan(x) || (std::isnan(y) && a < b);
  return x > y || (x == y && a < b);
}

template <class T>
std::int32_t first_column(const T* row, int columns) {
  std::int32_t best = 0;
  for (std::int32_t c = 1; c < columns; ++c) best = stands_before(row, c, best) ? c : best;
  return best;
}

}  // namespace

template <class T>
Var gaussian_sample(Tape<T>& tape, Var mean, Var log_variance, Matrix<T> noise) {
  const Matrix<T> m = tape.value(mean);
  const Matrix<T> v = tape.value(log_variance);
  require_equal_shapes("gaussian_sample", m, v);
  require_equal_shapes("gaussian_sample", m, noise);
  const Var out = tape.result(m.rows, m.columns, any_wanted(tape, mean, log_variance), &gaussian_sample_backward<T>,
                              keep(tape, Sampled<T>{mean, log_variance, noise}));
  fill_lanes(tape.value(out), [&](int r) {
    return [ms = m.row(r), vs = v.row(r), es = noise.row(r)](int c) -> Lanes<T> {
      return lane_fma(lane_exp(T(0.5) * load_lanes(vs + c)), load_lanes(es + c), load_lanes(ms + c));
    };
  });
  return out;
}

template <class T>
Var straight_through(Tape<T>& tape, Var v) {
  const Matrix<T> x = tape.value(v);
  require_with(x.columns > 0, "straight_through", x, "no column to choose");
  const Var out = tape.result(x.rows, x.columns, tape.needs_gradient(v), &straight_through_backward<T>, keep(tape, v));
  const Matrix<T> y = tape.value(out);
  for (int r = 0; r < x.rows; ++r) {
    std::fill_n(y.row(r), y.columns, T{});
    y.row(r)[first_column(x.row(r), x.columns)] = T{1};
  }
  return out;
}

template <class T>
Var gumbel_softmax(Tape<T>& tape, Var logits, Matrix<T> gumbel, T temperature, bool hard) {
  require_equal_shapes("gumbel_softmax", tape.value(logits), gumbel);
  require_with(temperature > T{}, "gumbel_softmax", tape.value(logits), "a temperature of {}", temperature);
  const Var y = softmax(tape, scale(tape, add(tape, logits, tape.constant(gumbel)), T{1} / temperature));
  return hard ? straight_through(tape, y) : y;
}

template <class T>
void top_k(const Matrix<T>& x, int k, std::span<std::int32_t> columns) {
  require_with(k >= 0 && columns.size() == static_cast<std::size_t>(x.rows) * static_cast<std::size_t>(k), "top_k", x,
               "{} places for the first {}", columns.size(), k);
  for (int r = 0; r < x.rows; ++r) {
    std::int32_t* list = columns.data() + static_cast<std::ptrdiff_t>(r) * k;
    int held = 0;
    for (std::int32_t c = 0; c < x.columns; ++c) {
      if (held == k && (k == 0 || !stands_before(x.row(r), c, list[k - 1]))) continue;
      int place = held < k ? held++ : k - 1;
      for (; place > 0 && stands_before(x.row(r), c, list[place - 1]); --place) list[place] = list[place - 1];
      list[place] = c;
    }
    std::fill(list + held, list + k, -1);
  }
}

template <class T>
void sample_rows(const Matrix<T>& logits, const Matrix<T>& gumbel, std::span<std::int32_t> columns) {
  require_equal_shapes("sample_rows", logits, gumbel);
  require_with(columns.size() == static_cast<std::size_t>(logits.rows) && logits.columns > 0, "sample_rows", logits,
               "{} places", columns.size());
  for (int r = 0; r < logits.rows; ++r) {
    const T* z = logits.row(r);
    const T* g = gumbel.row(r);
    std::int32_t best = 0;
    for (std::int32_t c = 1; c < logits.columns; ++c) best = z[c] + g[c] > z[best] + g[best] ? c : best;
    columns[static_cast<std::size_t>(r)] = best;
  }
}

#define SPAR_TAPE_DISCRETE(T)                                          \
  template Var gaussian_sample(Tape<T>&, Var, Var, Matrix<T>);         \
  template Var straight_through(Tape<T>&, Var);                        \
  template Var gumbel_softmax(Tape<T>&, Var, Matrix<T>, T, bool);      \
  template void top_k(const Matrix<T>&, int, std::span<std::int32_t>); \
  template void sample_rows(const Matrix<T>&, const Matrix<T>&, std::span<std::int32_t>);
SPAR_TAPE_DISCRETE(float)
SPAR_TAPE_DISCRETE(double)
#undef SPAR_TAPE_DISCRETE

}  // namespace spar::tape
