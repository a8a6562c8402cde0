#include "spar/tape/elementwise.hpp"

#include "support.hpp"

#include "spar/tape/functions.hpp"
#include "spar/tape/operations.hpp"

namespace spar::tape {

namespace {

using namespace detail;

template <class T>
struct OneInput {
  Var x;
  T a;
  T b;
};

// value(x, a, b) forward; slope(x, y, a, b) = dy/dx.
template <class Function, class T>
void one_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const OneInput<T>*>(memory);
  const Matrix<T> x = tape.value(m.x);
  const Matrix<T> y = tape.value(result);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.x, [&](int r) {
    return [m, xs = x.row(r), ys = y.row(r), gs = upstream.row(r)](int c) -> Lanes<T> {
      return load_lanes(gs + c) * Function::template slope<T>(load_lanes(xs + c), load_lanes(ys + c), m.a, m.b);
    };
  });
}

template <class Function, class T>
Var one_input(Tape<T>& tape, Var v, T a = T{}, T b = T{}) {
  const Matrix<T> x = tape.value(v);
  const Var out = tape.result(x.rows, x.columns, tape.needs_gradient(v), &one_backward<Function, T>,
                              keep(tape, OneInput<T>{v, a, b}));
  fill_lanes(tape.value(out), [&](int r) {
    return [a, b, xs = x.row(r)](int c) -> Lanes<T> { return Function::template value<T>(load_lanes(xs + c), a, b); };
  });
  return out;
}

#define SPAR_FUNCTION(name, value_of, slope_of)                                                           \
  struct name {                                                                                           \
    template <class T>                                                                                    \
    static Lanes<T> value([[maybe_unused]] Lanes<T> x, [[maybe_unused]] T a, [[maybe_unused]] T b) {      \
      return value_of;                                                                                    \
    }                                                                                                     \
    template <class T>                                                                                    \
    static Lanes<T> slope([[maybe_unused]] Lanes<T> x, [[maybe_unused]] Lanes<T> y, [[maybe_unused]] T a, \
                          [[maybe_unused]] T b) {                                                         \
      return slope_of;                                                                                    \
    }                                                                                                     \
  };
SPAR_FUNCTION(Shift, x + a, all_lanes(T{1}))
SPAR_FUNCTION(Square, x* x, x + x)
SPAR_FUNCTION(Root, lane_root(x + a), T(0.5) / y)
SPAR_FUNCTION(Absolute, (x < T{} ? -x : x), (x < T{} ? all_lanes(T{-1}) : (x > T{} ? all_lanes(T{1}) : Lanes<T>{})))
SPAR_FUNCTION(Exponential, lane_exp(x), y)
SPAR_FUNCTION(Logarithm, lane_log(x + a), T{1} / (x + a))
SPAR_FUNCTION(LogOnePlus, lane_log1p(x), T{1} / (T{1} + x))
SPAR_FUNCTION(Sigmoid, lane_sigmoid(x), y*(T{1} - y))
SPAR_FUNCTION(Tangent, lane_tanh(x), T{1} - y * y)
SPAR_FUNCTION(Leaky, (x > T{} ? x : a * x), (x > T{} ? all_lanes(T{1}) : all_lanes(a)))
SPAR_FUNCTION(Elu, (x > T{} ? x : lane_exp(x) - T{1}), (x > T{} ? all_lanes(T{1}) : y + T{1}))
SPAR_FUNCTION(Softplus, lane_softplus(x), lane_sigmoid(x))
SPAR_FUNCTION(LogSigmoid, -lane_softplus(-x), lane_sigmoid(-x))
SPAR_FUNCTION(Clip, (x < a ? all_lanes(a) : (x > b ? all_lanes(b) : x)),
              (x < a ? Lanes<T>{} : (x > b ? Lanes<T>{} : all_lanes(T{1}))))
SPAR_FUNCTION(Reverse, x, all_lanes(-a))
#undef SPAR_FUNCTION

// A maximum, since 0 * x would turn an infinite x into NaN.
struct Relu {
  template <class T>
  static Lanes<T> value(Lanes<T> x, T, T) {
    return x < T{} ? Lanes<T>{} : x;
  }
  template <class T>
  static Lanes<T> slope(Lanes<T> x, Lanes<T>, T, T) {
    return x > T{} ? all_lanes(T{1}) : Lanes<T>{};
  }
};

struct TwoInputs {
  Var a;
  Var b;
};

template <class T>
void divide_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const TwoInputs*>(memory);
  const Matrix<T> b = tape.value(m.b);
  const Matrix<T> y = tape.value(result);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.a, [&](int r) {
    return [bs = b.row(r), gs = upstream.row(r)](int c) -> Lanes<T> { return load_lanes(gs + c) / load_lanes(bs + c); };
  });
  add_lanes(tape, m.b, [&](int r) {
    return [bs = b.row(r), ys = y.row(r), gs = upstream.row(r)](int c) -> Lanes<T> {
      return -load_lanes(gs + c) * load_lanes(ys + c) / load_lanes(bs + c);
    };
  });
}

struct Mixed {
  Var t;
  Var a;
  Var b;
};

template <class T>
void mix_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto m = *static_cast<const Mixed*>(memory);
  const Matrix<T> t = tape.value(m.t);
  const Matrix<T> a = tape.value(m.a);
  const Matrix<T> b = tape.value(m.b);
  const Matrix<T> upstream = tape.gradient(result);
  add_lanes(tape, m.t, [&](int r) {
    return [as = a.row(r), bs = b.row(r), gs = upstream.row(r)](int c) -> Lanes<T> {
      return load_lanes(gs + c) * (load_lanes(as + c) - load_lanes(bs + c));
    };
  });
  add_lanes(tape, m.a, [&](int r) {
    return [ts = t.row(r), gs = upstream.row(r)](int c) -> Lanes<T> { return load_lanes(gs + c) * load_lanes(ts + c); };
  });
  add_lanes(tape, m.b, [&](int r) {
    return [ts = t.row(r), gs = upstream.row(r)](int c) -> Lanes<T> {
      return load_lanes(gs + c) * (T{1} - load_lanes(ts + c));
    };
  });
}

}  // namespace

template <class T>
Var divide(Tape<T>& tape, Var a, Var b) {
  const Matrix<T> x = tape.value(a);
  const Matrix<T> y = tape.value(b);
  require_equal_shapes("divide", x, y);
  const Var out =
      tape.result(x.rows, x.columns, any_wanted(tape, a, b), &divide_backward<T>, keep(tape, TwoInputs{a, b}));
  fill_lanes(tape.value(out), [&](int r) {
    return [xs = x.row(r), ys = y.row(r)](int c) -> Lanes<T> { return load_lanes(xs + c) / load_lanes(ys + c); };
  });
  return out;
}

template <class T>
Var shift(Tape<T>& tape, Var x, T amount) {
  return one_input<Shift, T>(tape, x, amount);
}
template <class T>
Var square(Tape<T>& tape, Var x) {
  return one_input<Square, T>(tape, x);
}
template <class T>
Var root(Tape<T>& tape, Var x, T epsilon) {
  return one_input<Root, T>(tape, x, epsilon);
}
template <class T>
Var absolute(Tape<T>& tape, Var x) {
  return one_input<Absolute, T>(tape, x);
}
template <class T>
Var exponential(Tape<T>& tape, Var x) {
  return one_input<Exponential, T>(tape, x);
}
template <class T>
Var logarithm(Tape<T>& tape, Var x, T epsilon) {
  return one_input<Logarithm, T>(tape, x, epsilon);
}
template <class T>
Var log_one_plus(Tape<T>& tape, Var x) {
  return one_input<LogOnePlus, T>(tape, x);
}
template <class T>
Var sigmoid(Tape<T>& tape, Var x) {
  return one_input<Sigmoid, T>(tape, x);
}
template <class T>
Var hyperbolic_tangent(Tape<T>& tape, Var x) {
  return one_input<Tangent, T>(tape, x);
}
template <class T>
Var relu(Tape<T>& tape, Var x) {
  return one_input<Relu, T>(tape, x);
}
template <class T>
Var leaky_relu(Tape<T>& tape, Var x, T slope) {
  return one_input<Leaky, T>(tape, x, slope);
}
template <class T>
Var elu(Tape<T>& tape, Var x) {
  return one_input<Elu, T>(tape, x);
}
template <class T>
Var softplus(Tape<T>& tape, Var x) {
  return one_input<Softplus, T>(tape, x);
}
template <class T>
Var log_sigmoid(Tape<T>& tape, Var x) {
  return one_input<LogSigmoid, T>(tape, x);
}
template <class T>
Var clip(Tape<T>& tape, Var x, T low, T high) {
  return one_input<Clip, T>(tape, x, low, high);
}
template <class T>
Var reverse_gradient(Tape<T>& tape, Var x, T factor) {
  return one_input<Reverse, T>(tape, x, factor);
}

template <class T>
Var mix(Tape<T>& tape, Var t, Var a, Var b) {
  const Matrix<T> w = tape.value(t);
  const Matrix<T> x = tape.value(a);
  const Matrix<T> y = tape.value(b);
  require_equal_shapes("mix", w, x);
  require_equal_shapes("mix", x, y);
  const Var out =
      tape.result(x.rows, x.columns, any_wanted(tape, t, a, b), &mix_backward<T>, keep(tape, Mixed{t, a, b}));
  fill_lanes(tape.value(out), [&](int r) {
    return [ws = w.row(r), xs = x.row(r), ys = y.row(r)](int c) -> Lanes<T> {
      const Lanes<T> rest = load_lanes(ys + c);
      return lane_fma(load_lanes(ws + c), load_lanes(xs + c) - rest, rest);
    };
  });
  return out;
}

template <class T>
Var stop_gradient(Tape<T>& tape, Var x) {
  return tape.constant(tape.value(x));
}

template <class T>
Var activate(Tape<T>& tape, Var x, Activation activation, T slope) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return relu(tape, x);
    case Activation::leaky_relu:
      return leaky_relu(tape, x, slope);
    case Activation::elu:
      return elu(tape, x);
    case Activation::sigmoid:
      return sigmoid(tape, x);
    case Activation::tanh:
      return hyperbolic_tangent(tape, x);
    case Activation::softplus:
      return softplus(tape, x);
  }
  throw Bug("tape: an activation that is none of its kinds");
}

#define SPAR_TAPE_ELEMENTWISE(T)                   \
  template Var divide(Tape<T>&, Var, Var);         \
  template Var shift(Tape<T>&, Var, T);            \
  template Var square(Tape<T>&, Var);              \
  template Var root(Tape<T>&, Var, T);             \
  template Var absolute(Tape<T>&, Var);            \
  template Var exponential(Tape<T>&, Var);         \
  template Var logarithm(Tape<T>&, Var, T);        \
  template Var log_one_plus(Tape<T>&, Var);        \
  template Var sigmoid(Tape<T>&, Var);             \
  template Var hyperbolic_tangent(Tape<T>&, Var);  \
  template Var relu(Tape<T>&, Var);                \
  template Var leaky_relu(Tape<T>&, Var, T);       \
  template Var elu(Tape<T>&, Var);                 \
  template Var softplus(Tape<T>&, Var);            \
  template Var log_sigmoid(Tape<T>&, Var);         \
  template Var clip(Tape<T>&, Var, T, T);          \
  template Var mix(Tape<T>&, Var, Var, Var);       \
  template Var stop_gradient(Tape<T>&, Var);       \
  template Var reverse_gradient(Tape<T>&, Var, T); \
  template Var activate(Tape<T>&, Var, Activation, T);
SPAR_TAPE_ELEMENTWISE(float)
SPAR_TAPE_ELEMENTWISE(double)
#undef SPAR_TAPE_ELEMENTWISE

}  // namespace spar::tape
