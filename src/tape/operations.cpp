#include "spar/tape/operations.hpp"

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/tape/logistic.hpp"

namespace spar::tape {

namespace {

template <class T>
void require(bool fits, const char* operation, const Matrix<T>& a, const Matrix<T>& b) {
  if (!fits)
    throw Bug(
        fmt::format("tape: {} does not fit {} x {} and {} x {}", operation, a.rows, a.columns, b.rows, b.columns));
}

template <class T>
void require_equal_shapes(const char* operation, const Matrix<T>& a, const Matrix<T>& b) {
  require(a.rows == b.rows && a.columns == b.columns, operation, a, b);
}

struct Pair {
  Var a;
  Var b;
};

template <class T>
struct Scaled {
  Var a;
  T factor;
};

struct Gathered {
  Var a;
  const std::int32_t* slots;
};

template <class T, class Memory>
const Memory* keep(Tape<T>& tape, const Memory& memory) {
  auto* kept = tape.arena().template take<Memory>(1);
  *kept = memory;
  return kept;
}

template <class T, class F>
void for_each(const Matrix<T>& shape, F&& f) {
  for (int r = 0; r < shape.rows; ++r) {
    for (int c = 0; c < shape.columns; ++c) f(r, c);
  }
}

// Adds factor(r, c) * upstream(r, c) to the gradient of v, if it wants one.
template <class T, class F>
void add_gradient(Tape<T>& tape, Var v, Var result, F&& factor) {
  if (!tape.needs_gradient(v)) return;
  const Matrix<T> upstream = tape.gradient(result);
  const Matrix<T> gradient = tape.gradient_to_add(v);
  for_each(gradient, [&](int r, int c) { gradient.at(r, c) += factor(r, c) * upstream.at(r, c); });
}

template <class T>
void add_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Pair*>(memory);
  add_gradient(tape, m.a, result, [](int, int) { return T{1}; });
  add_gradient(tape, m.b, result, [](int, int) { return T{1}; });
}

template <class T>
void subtract_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Pair*>(memory);
  add_gradient(tape, m.a, result, [](int, int) { return T{1}; });
  add_gradient(tape, m.b, result, [](int, int) { return T{-1}; });
}

template <class T>
void multiply_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Pair*>(memory);
  const Matrix<T> a = tape.value(m.a);
  const Matrix<T> b = tape.value(m.b);
  add_gradient(tape, m.a, result, [&](int r, int c) { return b.at(r, c); });
  add_gradient(tape, m.b, result, [&](int r, int c) { return a.at(r, c); });
}

template <class T>
void scale_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Scaled<T>*>(memory);
  add_gradient(tape, m.a, result, [&](int, int) { return m.factor; });
}

template <class T>
void gather_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Gathered*>(memory);
  if (!tape.needs_gradient(m.a)) return;
  const Matrix<T> upstream = tape.gradient(result);
  const Matrix<T> gradient = tape.gradient_to_add(m.a);
  for_each(upstream, [&](int r, int c) { gradient.at(m.slots[r], c) += upstream.at(r, c); });
}

template <class T>
void row_dot_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Pair*>(memory);
  const Matrix<T> upstream = tape.gradient(result);
  for (const auto& [to, other] : {Pair{m.a, m.b}, Pair{m.b, m.a}}) {
    if (!tape.needs_gradient(to)) continue;
    const Matrix<T> value = tape.value(other);
    const Matrix<T> gradient = tape.gradient_to_add(to);
    for_each(gradient, [&](int r, int c) { gradient.at(r, c) += upstream.at(r, 0) * value.at(r, c); });
  }
}

template <class T>
void logistic_one(T s, T floor, T& loss, T& weight) {
  Lanes<T> losses;
  Lanes<T> weights;
  logistic_terms(all_lanes(s), floor, losses, weights);
  loss = losses[0];
  weight = weights[0];
}

template <class T>
void logistic_loss_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Scaled<T>*>(memory);
  const Matrix<T> margins = tape.value(m.a);
  add_gradient(tape, m.a, result, [&](int r, int c) {
    T loss;
    T weight;
    logistic_one(margins.at(r, c), m.factor, loss, weight);
    return -weight;
  });
}

template <class T>
void sum_backward(Tape<T>& tape, Var result, const void* memory) {
  const Var a = *static_cast<const Var*>(memory);
  if (!tape.needs_gradient(a)) return;
  const T upstream = tape.gradient(result).at(0, 0);
  const Matrix<T> gradient = tape.gradient_to_add(a);
  for_each(gradient, [&](int r, int c) { gradient.at(r, c) += upstream; });
}

template <class T>
void squared_norm_backward(Tape<T>& tape, Var result, const void* memory) {
  const Var a = *static_cast<const Var*>(memory);
  if (!tape.needs_gradient(a)) return;
  const T upstream = tape.gradient(result).at(0, 0);
  const Matrix<T> value = tape.value(a);
  const Matrix<T> gradient = tape.gradient_to_add(a);
  for_each(gradient, [&](int r, int c) { gradient.at(r, c) += T{2} * upstream * value.at(r, c); });
}

template <class T>
bool either(const Tape<T>& tape, Var a, Var b) {
  return tape.needs_gradient(a) || tape.needs_gradient(b);
}

template <class T, class F>
Var elementwise(Tape<T>& tape, const char* name, Var a, Var b, typename Tape<T>::Backward backward, F&& f) {
  const Matrix<T> x = tape.value(a);
  const Matrix<T> y = tape.value(b);
  require_equal_shapes(name, x, y);
  const Var out = tape.result(x.rows, x.columns, either(tape, a, b), backward, keep(tape, Pair{a, b}));
  const Matrix<T> z = tape.value(out);
  for_each(z, [&](int r, int c) { z.at(r, c) = f(x.at(r, c), y.at(r, c)); });
  return out;
}

}  // namespace

template <class T>
Var add(Tape<T>& tape, Var a, Var b) {
  return elementwise(tape, "add", a, b, &add_backward<T>, [](T x, T y) { return x + y; });
}

template <class T>
Var subtract(Tape<T>& tape, Var a, Var b) {
  return elementwise(tape, "subtract", a, b, &subtract_backward<T>, [](T x, T y) { return x - y; });
}

template <class T>
Var multiply(Tape<T>& tape, Var a, Var b) {
  return elementwise(tape, "multiply", a, b, &multiply_backward<T>, [](T x, T y) { return x * y; });
}

template <class T>
Var scale(Tape<T>& tape, Var a, T factor) {
  const Matrix<T> x = tape.value(a);
  const Var out =
      tape.result(x.rows, x.columns, tape.needs_gradient(a), &scale_backward<T>, keep(tape, Scaled<T>{a, factor}));
  const Matrix<T> z = tape.value(out);
  for_each(z, [&](int r, int c) { z.at(r, c) = factor * x.at(r, c); });
  return out;
}

template <class T>
Var gather(Tape<T>& tape, Var a, std::span<const std::int32_t> slots) {
  const Matrix<T> x = tape.value(a);
  for (const std::int32_t slot : slots) {
    if (slot < 0 || slot >= x.rows)
      throw Bug(fmt::format("tape: gather of row {} from {} x {}", slot, x.rows, x.columns));
  }
  const Var out = tape.result(static_cast<int>(slots.size()), x.columns, tape.needs_gradient(a), &gather_backward<T>,
                              keep(tape, Gathered{a, slots.data()}));
  const Matrix<T> z = tape.value(out);
  for_each(z, [&](int r, int c) { z.at(r, c) = x.at(slots[static_cast<std::size_t>(r)], c); });
  return out;
}

template <class T>
Var row_dot(Tape<T>& tape, Var a, Var b) {
  const Matrix<T> x = tape.value(a);
  const Matrix<T> y = tape.value(b);
  require_equal_shapes("row_dot", x, y);
  const Var out = tape.result(x.rows, 1, either(tape, a, b), &row_dot_backward<T>, keep(tape, Pair{a, b}));
  const Matrix<T> z = tape.value(out);
  for (int r = 0; r < x.rows; ++r) {
    T total{};
    for (int c = 0; c < x.columns; ++c) total += x.at(r, c) * y.at(r, c);
    z.at(r, 0) = total;
  }
  return out;
}

template <class T>
Var logistic_loss(Tape<T>& tape, Var margins, T floor) {
  const Matrix<T> s = tape.value(margins);
  const Var out = tape.result(s.rows, s.columns, tape.needs_gradient(margins), &logistic_loss_backward<T>,
                              keep(tape, Scaled<T>{margins, floor}));
  const Matrix<T> z = tape.value(out);
  for_each(z, [&](int r, int c) {
    T weight;
    logistic_one(s.at(r, c), floor, z.at(r, c), weight);
  });
  return out;
}

template <class T>
Var sum(Tape<T>& tape, Var a) {
  const Matrix<T> x = tape.value(a);
  const Var out = tape.result(1, 1, tape.needs_gradient(a), &sum_backward<T>, keep(tape, a));
  T total{};
  for_each(x, [&](int r, int c) { total += x.at(r, c); });
  tape.value(out).at(0, 0) = total;
  return out;
}

template <class T>
Var squared_norm(Tape<T>& tape, Var a) {
  const Matrix<T> x = tape.value(a);
  const Var out = tape.result(1, 1, tape.needs_gradient(a), &squared_norm_backward<T>, keep(tape, a));
  T total{};
  for_each(x, [&](int r, int c) { total += x.at(r, c) * x.at(r, c); });
  tape.value(out).at(0, 0) = total;
  return out;
}

#define SPAR_TAPE_OPERATIONS(T)                                      \
  template Var add(Tape<T>&, Var, Var);                              \
  template Var subtract(Tape<T>&, Var, Var);                         \
  template Var multiply(Tape<T>&, Var, Var);                         \
  template Var scale(Tape<T>&, Var, T);                              \
  template Var gather(Tape<T>&, Var, std::span<const std::int32_t>); \
  template Var row_dot(Tape<T>&, Var, Var);                          \
  template Var logistic_loss(Tape<T>&, Var, T);                      \
  template Var sum(Tape<T>&, Var);                                   \
  template Var squared_norm(Tape<T>&, Var);
SPAR_TAPE_OPERATIONS(float)
SPAR_TAPE_OPERATIONS(double)
#undef SPAR_TAPE_OPERATIONS

}  // namespace spar::tape
