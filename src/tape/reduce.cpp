#include "spar/tape/reduce.hpp"

#include <algorithm>
#include <cmath>

#include "support.hpp"

namespace spar::tape {

namespace {

using namespace detail;

template <class T>
struct Scaled {
  Var x;
  T factor;
};

template <class T>
void row_sum_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Scaled<T>*>(memory);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.x,
            [&](int r) { return [g = m.factor * upstream.row(r)[0]](int) -> Lanes<T> { return all_lanes(g); }; });
}

template <class T>
Var scaled_row_sum(Tape<T>& tape, Var v, T factor) {
  const Matrix<T> x = tape.value(v);
  const Var out =
      tape.result(x.rows, 1, tape.needs_gradient(v), &row_sum_backward<T>, keep(tape, Scaled<T>{v, factor}));
  const Matrix<T> y = tape.value(out);
  for (int r = 0; r < x.rows; ++r)
    y.row(r)[0] = factor * sum_columns<T>(x.columns, [xs = x.row(r)](int c) { return load_lanes(xs + c); });
  return out;
}

template <class T>
void column_sum_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Scaled<T>*>(memory);
  const T* upstream = tape.gradient(result).row(0);
  add_lanes(tape, m.x,
            [&](int) { return [f = m.factor, upstream](int c) -> Lanes<T> { return f * load_lanes(upstream + c); }; });
}

template <class T>
Var scaled_column_sum(Tape<T>& tape, Var v, T factor) {
  const Matrix<T> x = tape.value(v);
  const Var out =
      tape.result(1, x.columns, tape.needs_gradient(v), &column_sum_backward<T>, keep(tape, Scaled<T>{v, factor}));
  T* y = tape.value(out).row(0);
  for (int c = 0; c < x.columns; c += lanes) {
    Lanes<T> total{};
    for (int r = 0; r < x.rows; ++r) total += load_lanes(x.row(r) + c);
    store_lanes<T>(y + c, factor * total);
  }
  return out;
}

template <class T>
void mean_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Scaled<T>*>(memory);
  const T g = m.factor * tape.gradient(result).row(0)[0];
  add_lanes(tape, m.x, [&](int) { return [g](int) -> Lanes<T> { return all_lanes(g); }; });
}

template <class T>
T inverse_count(std::int64_t count) {
  return count == 0 ? T{} : T{1} / static_cast<T>(count);
}

template <class T>
T square_sum(const T* row, int columns) {
  return sum_columns<T>(columns, [row](int c) -> Lanes<T> { return load_lanes(row + c) * load_lanes(row + c); });
}

template <class T>
void row_norm_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Scaled<T>*>(memory);
  const Matrix<T> x = tape.value(m.x);
  const Matrix<T> norm = tape.value(result);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.x, [&](int r) {
    const T size = norm.row(r)[0];
    return [g = size > T{} ? upstream.row(r)[0] / size : T{}, xs = x.row(r)](int c) -> Lanes<T> {
      return g * load_lanes(xs + c);
    };
  });
}

// `factor` holds the floor; below it y = x / floor, above it dx = (dy - y <y, dy>) / |x|.
template <class T>
void l2_normalise_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Scaled<T>*>(memory);
  const Matrix<T> x = tape.value(m.x);
  const Matrix<T> y = tape.value(result);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.x, [&](int r) {
    const T* ys = y.row(r);
    const T* gs = upstream.row(r);
    const T norm = std::sqrt(square_sum(x.row(r), x.columns));
    T along{};
    if (norm > m.factor)
      along = sum_columns<T>(y.columns, [&](int c) -> Lanes<T> { return load_lanes(ys + c) * load_lanes(gs + c); });
    return [along, ys, gs, inverse = T{1} / std::max(norm, m.factor)](int c) -> Lanes<T> {
      return (load_lanes(gs + c) - along * load_lanes(ys + c)) * inverse;
    };
  });
}

struct Positions {
  Var x;
  Var weights;
  int length;
};

template <class T>
void position_sums_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Positions*>(memory);
  const Matrix<T> x = tape.value(m.x);
  const Matrix<T> w = tape.value(m.weights);
  const Matrix<T> upstream = tape.gradient(result);
  const int d = x.columns;
  if (tape.needs_gradient(m.x)) {
    const Matrix<T> to = tape.gradient_to_add(m.x);
    for (int r = 0; r < x.rows; ++r) {
      for (int k = 0; k < w.rows; ++k) {
        const T f = w.row(k)[r % m.length];
        const T* g = upstream.row(r / m.length) + k * d;
        for (int c = 0; c < d; ++c) to.row(r)[c] += f * g[c];
      }
    }
  }
  if (!tape.needs_gradient(m.weights)) return;
  const Matrix<T> to = tape.gradient_to_add(m.weights);
  for (int r = 0; r < x.rows; ++r) {
    for (int k = 0; k < w.rows; ++k) {
      const T* g = upstream.row(r / m.length) + k * d;
      T total{};
      for (int c = 0; c < d; ++c) total += g[c] * x.row(r)[c];
      to.row(k)[r % m.length] += total;
    }
  }
}

}  // namespace

template <class T>
Var row_sum(Tape<T>& tape, Var x) {
  return scaled_row_sum(tape, x, T{1});
}
template <class T>
Var row_mean(Tape<T>& tape, Var x) {
  return scaled_row_sum(tape, x, inverse_count<T>(tape.value(x).columns));
}
template <class T>
Var column_sum(Tape<T>& tape, Var x) {
  return scaled_column_sum(tape, x, T{1});
}
template <class T>
Var column_mean(Tape<T>& tape, Var x) {
  return scaled_column_sum(tape, x, inverse_count<T>(tape.value(x).rows));
}

template <class T>
Var mean(Tape<T>& tape, Var v) {
  const Matrix<T> x = tape.value(v);
  const T factor = inverse_count<T>(static_cast<std::int64_t>(x.rows) * x.columns);
  const Var out = tape.result(1, 1, tape.needs_gradient(v), &mean_backward<T>, keep(tape, Scaled<T>{v, factor}));
  T total{};
  for (int r = 0; r < x.rows; ++r)
    total += sum_columns<T>(x.columns, [xs = x.row(r)](int c) { return load_lanes(xs + c); });
  tape.value(out).row(0)[0] = factor * total;
  return out;
}

template <class T>
Var row_norm(Tape<T>& tape, Var v, T epsilon) {
  const Matrix<T> x = tape.value(v);
  const Var out =
      tape.result(x.rows, 1, tape.needs_gradient(v), &row_norm_backward<T>, keep(tape, Scaled<T>{v, epsilon}));
  const Matrix<T> y = tape.value(out);
  for (int r = 0; r < x.rows; ++r) y.row(r)[0] = std::sqrt(square_sum(x.row(r), x.columns) + epsilon);
  return out;
}

template <class T>
Var l2_normalise(Tape<T>& tape, Var v, T floor) {
  const Matrix<T> x = tape.value(v);
  const Var out = tape.result(x.rows, x.columns, tape.needs_gradient(v), &l2_normalise_backward<T>,
                              keep(tape, Scaled<T>{v, floor}));
  fill_lanes(tape.value(out), [&](int r) {
    const T inverse = T{1} / std::max(std::sqrt(square_sum(x.row(r), x.columns)), floor);
    return [inverse, xs = x.row(r)](int c) -> Lanes<T> { return inverse * load_lanes(xs + c); };
  });
  return out;
}

template <class T>
Var position_sums(Tape<T>& tape, Var v, Var weights, int length) {
  const Matrix<T> x = tape.value(v);
  const Matrix<T> w = tape.value(weights);
  require(length > 0 && w.columns == length && x.rows % length == 0, "position_sums", x, w);
  const Var out = tape.result(x.rows / length, w.rows * x.columns, any_wanted(tape, v, weights),
                              &position_sums_backward<T>, keep(tape, Positions{v, weights, length}));
  const Matrix<T> y = tape.value(out);
  for (int b = 0; b < y.rows; ++b) {
    std::fill_n(y.row(b), y.columns, T{});
    for (int t = 0; t < length; ++t) {
      const T* from = x.row(b * length + t);
      for (int k = 0; k < w.rows; ++k) {
        T* to = y.row(b) + k * x.columns;
        for (int c = 0; c < x.columns; ++c) to[c] += w.row(k)[t] * from[c];
      }
    }
  }
  return out;
}

#define SPAR_TAPE_REDUCE(T)                    \
  template Var row_sum(Tape<T>&, Var);         \
  template Var row_mean(Tape<T>&, Var);        \
  template Var column_sum(Tape<T>&, Var);      \
  template Var column_mean(Tape<T>&, Var);     \
  template Var mean(Tape<T>&, Var);            \
  template Var row_norm(Tape<T>&, Var, T);     \
  template Var l2_normalise(Tape<T>&, Var, T); \
  template Var position_sums(Tape<T>&, Var, Var, int);
SPAR_TAPE_REDUCE(float)
SPAR_TAPE_REDUCE(double)
#undef SPAR_TAPE_REDUCE

}  // namespace spar::tape
