#include "spar/tape/softmax.hpp"

#include <cmath>

#include "softmax.hpp"
#include "support.hpp"

namespace spar::tape {

namespace {

using namespace detail;

template <class T>
struct Masked {
  Var x;
  Matrix<T> mask;

  const T* mask_row(int r) const { return mask.rows == 0 ? nullptr : mask.row(r); }
};

// dx = p (dy - <dy, p>).
template <class T>
void softmax_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Masked<T>*>(memory);
  const Matrix<T> p = tape.value(result);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.x, [&](int r) {
    const T* ps = p.row(r);
    const T* gs = upstream.row(r);
    const T mean =
        sum_columns<T>(p.columns, [=](int c) -> Lanes<T> { return load_lanes(gs + c) * load_lanes(ps + c); });
    return [=](int c) -> Lanes<T> { return load_lanes(ps + c) * (load_lanes(gs + c) - mean); };
  });
}

template <class T>
Lanes<T> only_unmasked(Lanes<T> v, const T* mask, int c) {
  return mask == nullptr ? v : (load_lanes(mask + c) != T{} ? v : Lanes<T>{});
}

// dx = dy - p sum(dy) over the cells that count.
template <class T>
void log_softmax_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Masked<T>*>(memory);
  const Matrix<T> y = tape.value(result);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.x, [&](int r) {
    const T* ys = y.row(r);
    const T* gs = upstream.row(r);
    const T* mask = m.mask_row(r);
    const T total = sum_columns<T>(y.columns, [=](int c) { return only_unmasked<T>(load_lanes(gs + c), mask, c); });
    return [=](int c) -> Lanes<T> {
      return only_unmasked<T>(load_lanes(gs + c) - lane_exp(load_lanes(ys + c)) * total, mask, c);
    };
  });
}

template <class T>
void log_sum_exp_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Masked<T>*>(memory);
  const Matrix<T> x = tape.value(m.x);
  const Matrix<T> y = tape.value(result);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.x, [&](int r) {
    return [xs = x.row(r), mask = m.mask_row(r), lse = y.row(r)[0], g = upstream.row(r)[0]](int c) -> Lanes<T> {
      return only_unmasked<T>(g * lane_exp(load_lanes(xs + c) - lse), mask, c);
    };
  });
}

template <class T>
Var put(Tape<T>& tape, const char* name, Var v, const Matrix<T>& mask, int columns,
        typename Tape<T>::Backward backward) {
  const Matrix<T> x = tape.value(v);
  if (mask.rows != 0) require_equal_shapes(name, x, mask);
  return tape.result(x.rows, columns, tape.needs_gradient(v), backward, keep(tape, Masked<T>{v, mask}));
}

}  // namespace

template <class T>
Var softmax(Tape<T>& tape, Var v, Matrix<T> mask) {
  const Var out = put(tape, "softmax", v, mask, tape.value(v).columns, &softmax_backward<T>);
  const Matrix<T> x = tape.value(v);
  const Matrix<T> y = tape.value(out);
  for (int r = 0; r < x.rows; ++r) {
    const auto found = exp_sum<T>(x.row(r), mask.rows == 0 ? nullptr : mask.row(r), x.columns, y.row(r));
    const T inverse = found.sum > T{} || std::isnan(found.sum) ? T{1} / found.sum : T{};
    for (int c = 0; c < x.columns; c += lanes) store_lanes<T>(y.row(r) + c, inverse * load_lanes(y.row(r) + c));
  }
  return out;
}

template <class T>
Var log_softmax(Tape<T>& tape, Var v, Matrix<T> mask) {
  const Var out = put(tape, "log_softmax", v, mask, tape.value(v).columns, &log_softmax_backward<T>);
  const Matrix<T> x = tape.value(v);
  fill_lanes(tape.value(out), [&](int r) {
    const T* allowed = mask.rows == 0 ? nullptr : mask.row(r);
    return [xs = x.row(r), allowed, lse = exp_sum<T>(x.row(r), allowed, x.columns, nullptr).log()](int c) -> Lanes<T> {
      return only_unmasked<T>(load_lanes(xs + c) - lse, allowed, c);
    };
  });
  return out;
}

template <class T>
Var log_sum_exp(Tape<T>& tape, Var v, Matrix<T> mask) {
  const Var out = put(tape, "log_sum_exp", v, mask, 1, &log_sum_exp_backward<T>);
  const Matrix<T> x = tape.value(v);
  const Matrix<T> y = tape.value(out);
  for (int r = 0; r < x.rows; ++r)
    y.row(r)[0] = exp_sum<T>(x.row(r), mask.rows == 0 ? nullptr : mask.row(r), x.columns, nullptr).log();
  return out;
}

#define SPAR_TAPE_SOFTMAX(T)                          \
  template Var softmax(Tape<T>&, Var, Matrix<T>);     \
  template Var log_softmax(Tape<T>&, Var, Matrix<T>); \
  template Var log_sum_exp(Tape<T>&, Var, Matrix<T>);
SPAR_TAPE_SOFTMAX(float)
SPAR_TAPE_SOFTMAX(double)
#undef SPAR_TAPE_SOFTMAX

}  // namespace spar::tape
