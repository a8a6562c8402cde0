#include "spar/tape/linear.hpp"

#include "product.hpp"
#include "support.hpp"

#include "spar/tape/functions.hpp"

namespace spar::tape {

namespace {

using namespace detail;

struct Product {
  Var a;
  Var b;
  bool a_transposed;
  bool b_transposed;
};

// Adds left * right to the gradient of v; rows that lie anywhere are gathered first.
template <class T>
void add_product(Tape<T>& tape, Var v, const Factor<T>& left, const Factor<T>& right) {
  if (!tape.needs_gradient(v)) return;
  bool assign = false;
  const Matrix<T> to = tape.gradient_to_fill(v, assign);
  if (to.places == nullptr) return product(tape.arena(), to, left, right, !assign);
  const int stride = padded(to.columns);
  Matrix<T> sum{tape.arena().template take<T>(static_cast<std::size_t>(to.rows) * static_cast<std::size_t>(stride)),
                to.rows, to.columns, stride};
  product(tape.arena(), sum, left, right, false);
  for (int r = 0; r < to.rows; ++r) {
    for (int c = 0; c < stride; c += lanes) {
      const Lanes<T> x = load_lanes(sum.row(r) + c);
      store_lanes<T>(to.row(r) + c, assign ? x : load_lanes(to.row(r) + c) + x);
    }
  }
}

template <class T>
void matmul_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Product*>(memory);
  const Matrix<T> g = tape.gradient(result);
  const Matrix<T> a = tape.value(m.a);
  const Matrix<T> b = tape.value(m.b);
  // c = op(a) op(b): d op(a) = g op(b)', d op(b) = op(a)' g, and each transposed where the factor is.
  if (m.a_transposed)
    add_product<T>(tape, m.a, {b, m.b_transposed}, {g, true});
  else
    add_product<T>(tape, m.a, {g, false}, {b, !m.b_transposed});
  if (m.b_transposed)
    add_product<T>(tape, m.b, {g, true}, {a, m.a_transposed});
  else
    add_product<T>(tape, m.b, {a, !m.a_transposed}, {g, false});
}

struct Affine {
  Var x;
  Var weights;
  Var bias;
};

template <class T>
void linear_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Affine*>(memory);
  const Matrix<T> g = tape.gradient(result);
  add_product<T>(tape, m.x, {g, false}, {tape.value(m.weights), true});
  add_product<T>(tape, m.weights, {tape.value(m.x), true}, {g, false});
  if (m.bias.id < 0 || !tape.needs_gradient(m.bias)) return;
  T* to = tape.gradient_to_add(m.bias).row(0);
  for (int c = 0; c < g.columns; c += lanes) {
    Lanes<T> total{};
    for (int r = 0; r < g.rows; ++r) total += load_lanes(g.row(r) + c);
    store_lanes<T>(to + c, load_lanes(to + c) + first_lanes<T>(total, g.columns - c));
  }
}

}  // namespace

template <class T>
Var matmul(Tape<T>& tape, Var a, Var b, Side a_side, Side b_side) {
  const Factor<T> x{tape.value(a), a_side == Side::transposed};
  const Factor<T> y{tape.value(b), b_side == Side::transposed};
  require(x.columns() == y.rows(), "matmul", x.matrix, y.matrix);
  const Var out = tape.result(x.rows(), y.columns(), any_wanted(tape, a, b), &matmul_backward<T>,
                              keep(tape, Product{a, b, x.transposed, y.transposed}));
  product(tape.arena(), tape.value(out), x, y, false);
  return out;
}

template <class T>
Var linear(Tape<T>& tape, Var x, Var weights, Var bias, Activation activation, T slope) {
  const Matrix<T> in = tape.value(x);
  const Matrix<T> w = tape.value(weights);
  require(in.columns == w.rows, "linear", in, w);
  const bool biased = bias.id >= 0;
  if (biased)
    require(tape.value(bias).rows == 1 && tape.value(bias).columns == w.columns, "linear", w, tape.value(bias));
  const bool wanted = any_wanted(tape, x, weights) || (biased && tape.needs_gradient(bias));
  const Var out = tape.result(in.rows, w.columns, wanted, &linear_backward<T>, keep(tape, Affine{x, weights, bias}));
  const Matrix<T> y = tape.value(out);
  product<T>(tape.arena(), y, {in, false}, {w, false}, false);
  if (biased) {
    fill_lanes(y, [&](int r) {
      return [ys = y.row(r), bs = tape.value(bias).row(0)](int c) -> Lanes<T> {
        return load_lanes(ys + c) + load_lanes(bs + c);
      };
    });
  }
  return activate(tape, out, activation, slope);
}

#define SPAR_TAPE_LINEAR(T)                            \
  template Var matmul(Tape<T>&, Var, Var, Side, Side); \
  template Var linear(Tape<T>&, Var, Var, Var, Activation, T);
SPAR_TAPE_LINEAR(float)
SPAR_TAPE_LINEAR(double)
#undef SPAR_TAPE_LINEAR

}  // namespace spar::tape
