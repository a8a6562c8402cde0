#include <algorithm>

#include "support.hpp"

#include "spar/tape/attention.hpp"

namespace spar::tape {

namespace {

using namespace detail;

struct Weighted {
  Var x;
  Var weights;
  int length;
};

template <class T>
void sequence_sums_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Weighted*>(memory);
  const Matrix<T> x = tape.value(m.x);
  const Matrix<T> w = tape.value(m.weights);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.x, [&](int r) {
    return [f = w.row(r)[0], gs = upstream.row(r / m.length)](int c) -> Lanes<T> { return f * load_lanes(gs + c); };
  });
  if (!tape.needs_gradient(m.weights)) return;
  const Matrix<T> to = tape.gradient_to_add(m.weights);
  for (int r = 0; r < x.rows; ++r) {
    to.row(r)[0] += sum_columns<T>(x.columns, [xs = x.row(r), gs = upstream.row(r / m.length)](int c) -> Lanes<T> {
      return load_lanes(xs + c) * load_lanes(gs + c);
    });
  }
}

struct Picked {
  Var x;
  const std::int32_t* positions;
  int length;
};

template <class T>
void sequence_rows_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Picked*>(memory);
  const Matrix<T> upstream = tape.gradient(result);
  const Matrix<T> to = tape.gradient_to_add(m.x);
  for (int b = 0; b < upstream.rows; ++b) {
    if (m.positions[b] < 0) continue;
    T* g = to.row(b * m.length + m.positions[b]);
    for (int c = 0; c < upstream.columns; ++c) g[c] += upstream.row(b)[c];
  }
}

}  // namespace

template <class T>
Var sequence_sums(Tape<T>& tape, Var v, Var weights, int length) {
  const Matrix<T> x = tape.value(v);
  const Matrix<T> w = tape.value(weights);
  require(length > 0 && x.rows % length == 0 && w.rows == x.rows && w.columns == 1, "sequence_sums", x, w);
  const Var out = tape.result(x.rows / length, x.columns, any_wanted(tape, v, weights), &sequence_sums_backward<T>,
                              keep(tape, Weighted{v, weights, length}));
  fill_lanes(tape.value(out), [&](int b) {
    return [&, b](int c) -> Lanes<T> {
      Lanes<T> total{};
      for (int r = b * length; r < (b + 1) * length; ++r) total += w.row(r)[0] * load_lanes(x.row(r) + c);
      return total;
    };
  });
  return out;
}

template <class T>
Var sequence_rows(Tape<T>& tape, Var v, std::span<const std::int32_t> positions, int length) {
  const Matrix<T> x = tape.value(v);
  const auto sequences = static_cast<int>(positions.size());
  require_with(length > 0 && x.rows == sequences * length, "sequence_rows", x, "{} positions of length {}", sequences,
               length);
  for (const std::int32_t p : positions) require_with(p < length, "sequence_rows", x, "position {}", p);
  const Var out = tape.result(sequences, x.columns, tape.needs_gradient(v), &sequence_rows_backward<T>,
                              keep(tape, Picked{v, positions.data(), length}));
  const Matrix<T> y = tape.value(out);
  for (int b = 0; b < sequences; ++b) {
    const std::int32_t p = positions[static_cast<std::size_t>(b)];
    if (p < 0)
      std::fill_n(y.row(b), y.columns, T{});
    else
      std::copy_n(x.row(b * length + p), x.columns, y.row(b));
  }
  return out;
}

#define SPAR_TAPE_SEQUENCE(T)                          \
  template Var sequence_sums(Tape<T>&, Var, Var, int); \
  template Var sequence_rows(Tape<T>&, Var, std::span<const std::int32_t>, int);
SPAR_TAPE_SEQUENCE(float)
SPAR_TAPE_SEQUENCE(double)
#undef SPAR_TAPE_SEQUENCE

}  // namespace spar::tape
