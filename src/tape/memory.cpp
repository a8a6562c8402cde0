#include "spar/tape/memory.hpp"

#include <algorithm>
#include <cmath>

#include "support.hpp"

namespace spar::tape {

namespace {

using namespace detail;

struct Distances {
  Var a;
  Var b;
  bool squared;
};

template <class T>
void distances_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Distances*>(memory);
  const Matrix<T> a = tape.value(m.a);
  const Matrix<T> b = tape.value(m.b);
  const Matrix<T> y = tape.value(result);
  const Matrix<T> upstream = tape.gradient(result);
  // The factor of a_i - b_j in the gradient of a_i.
  const auto factor = [&](int i, int j) {
    const T g = upstream.row(i)[j];
    if (m.squared) return T{2} * g;
    const T distance = y.row(i)[j];
    return distance > T{} ? g / distance : T{};
  };
  add_lanes(tape, m.a, [&](int i) {
    return [&, i](int c) -> Lanes<T> {
      Lanes<T> total{};
      for (int j = 0; j < b.rows; ++j) total += factor(i, j) * (load_lanes(a.row(i) + c) - load_lanes(b.row(j) + c));
      return total;
    };
  });
  add_lanes(tape, m.b, [&](int j) {
    return [&, j](int c) -> Lanes<T> {
      Lanes<T> total{};
      for (int i = 0; i < a.rows; ++i) total += factor(i, j) * (load_lanes(b.row(j) + c) - load_lanes(a.row(i) + c));
      return total;
    };
  });
}

template <class T>
Var put_distances(Tape<T>& tape, const char* name, Var left, Var right, bool squared) {
  const Matrix<T> a = tape.value(left);
  const Matrix<T> b = tape.value(right);
  require(a.columns == b.columns, name, a, b);
  const Var out = tape.result(a.rows, b.rows, any_wanted(tape, left, right), &distances_backward<T>,
                              keep(tape, Distances{left, right, squared}));
  const Matrix<T> y = tape.value(out);
  for (int i = 0; i < a.rows; ++i) {
    for (int j = 0; j < b.rows; ++j) {
      const T squares = sum_columns<T>(a.columns, [as = a.row(i), bs = b.row(j)](int c) -> Lanes<T> {
        const Lanes<T> d = load_lanes(as + c) - load_lanes(bs + c);
        return d * d;
      });
      y.row(i)[j] = squared ? squares : std::sqrt(squares);
    }
  }
  return out;
}

template <class T>
struct Writes {
  Var values;
  Var weights;
  Var erase;
  Var add;
  const T* before;  // the memory before each write
  int stride;
};

// One slot and one event: with k = 1 - w e, M' = M k + w g.
template <class T>
void write_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Writes<T>*>(memory);
  const Matrix<T> w = tape.value(m.weights);
  const Matrix<T> e = tape.value(m.erase);
  const Matrix<T> g = tape.value(m.add);
  const Matrix<T> y = tape.value(result);
  const auto size = static_cast<std::size_t>(y.rows) * static_cast<std::size_t>(m.stride);
  const Matrix<T> upstream = tape.gradient(result);
  const Arena::Mark mark = tape.arena().mark();
  const Matrix<T> flow{tape.arena().template take<T>(size), y.rows, y.columns, m.stride};
  for (int i = 0; i < y.rows; ++i) std::copy_n(upstream.row(i), y.columns, flow.row(i));
  const auto wanted = [&](Var v) { return tape.needs_gradient(v) ? tape.gradient_to_add(v) : Matrix<T>{}; };
  const Matrix<T> to_weights = wanted(m.weights);
  const Matrix<T> to_erase = wanted(m.erase);
  const Matrix<T> to_add = wanted(m.add);
  for (int k = w.rows - 1; k >= 0; --k) {
    for (int i = 0; i < y.rows; ++i) {
      const T* old = m.before + static_cast<std::size_t>(k) * size +
                     static_cast<std::size_t>(i) * static_cast<std::size_t>(m.stride);
      const T weight = w.row(k)[i];
      T to_weight{};
      for (int c = 0; c < y.columns; ++c) {
        const T f = flow.row(i)[c];
        to_weight += f * (g.row(k)[c] - old[c] * e.row(k)[c]);
        if (to_erase.data != nullptr) to_erase.row(k)[c] -= f * old[c] * weight;
        if (to_add.data != nullptr) to_add.row(k)[c] += f * weight;
        flow.row(i)[c] = f * (T{1} - weight * e.row(k)[c]);
      }
      if (to_weights.data != nullptr) to_weights.row(k)[i] += to_weight;
    }
  }
  add_lanes(tape, m.values,
            [&](int i) { return [fs = flow.row(i)](int c) -> Lanes<T> { return load_lanes(fs + c); }; });
  tape.arena().release(mark);
}

}  // namespace

template <class T>
Var distances(Tape<T>& tape, Var a, Var b) {
  return put_distances(tape, "distances", a, b, false);
}

template <class T>
Var squared_distances(Tape<T>& tape, Var a, Var b) {
  return put_distances(tape, "squared_distances", a, b, true);
}

template <class T>
Var memory_write(Tape<T>& tape, Var values, Var weights, Var erase, Var add) {
  const Matrix<T> v = tape.value(values);
  const Matrix<T> w = tape.value(weights);
  const Matrix<T> e = tape.value(erase);
  const Matrix<T> g = tape.value(add);
  require(w.columns == v.rows, "memory_write", v, w);
  require(e.rows == w.rows && e.columns == v.columns, "memory_write", v, e);
  require_equal_shapes("memory_write", e, g);
  const int stride = padded(v.columns);
  const auto size = static_cast<std::size_t>(v.rows) * static_cast<std::size_t>(stride);
  T* before = tape.arena().template take<T>(size * static_cast<std::size_t>(w.rows));
  const Var out = tape.result(v.rows, v.columns, any_wanted(tape, values, weights, erase, add), &write_backward<T>,
                              keep(tape, Writes<T>{values, weights, erase, add, before, stride}));
  const Matrix<T> y = tape.value(out);
  for (int i = 0; i < v.rows; ++i) std::copy_n(v.row(i), v.columns, y.row(i));
  for (int k = 0; k < w.rows; ++k) {
    std::copy_n(y.data, size, before + static_cast<std::size_t>(k) * size);
    for (int i = 0; i < v.rows; ++i) {
      const T weight = w.row(k)[i];
      for (int c = 0; c < v.columns; ++c)
        y.row(i)[c] = y.row(i)[c] * (T{1} - weight * e.row(k)[c]) + weight * g.row(k)[c];
    }
  }
  return out;
}

#define SPAR_TAPE_MEMORY(T)                           \
  template Var distances(Tape<T>&, Var, Var);         \
  template Var squared_distances(Tape<T>&, Var, Var); \
  template Var memory_write(Tape<T>&, Var, Var, Var, Var);
SPAR_TAPE_MEMORY(float)
SPAR_TAPE_MEMORY(double)
#undef SPAR_TAPE_MEMORY

}  // namespace spar::tape
