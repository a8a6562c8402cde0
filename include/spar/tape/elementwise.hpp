#pragma once
#include "spar/tape/tape.hpp"

/// Functions of one number at a time: the result has the shape of the input. At 0, relu and absolute have gradient 0,
/// leaky_relu and elu that of their lower side; clip passes gradients at its bounds and none beyond.
namespace spar::tape {

/// a / b; equal shapes.
template <class T>
Var divide(Tape<T>& tape, Var a, Var b);
/// x + amount.
template <class T>
Var shift(Tape<T>& tape, Var x, T amount);
/// x * x.
template <class T>
Var square(Tape<T>& tape, Var x);
/// sqrt(x + epsilon); x + epsilon must be positive.
template <class T>
Var root(Tape<T>& tape, Var x, T epsilon);
/// |x|, with gradient 0 at 0.
template <class T>
Var absolute(Tape<T>& tape, Var x);
/// exp(x), log(x + epsilon), log(1 + x).
template <class T>
Var exponential(Tape<T>& tape, Var x);
template <class T>
Var logarithm(Tape<T>& tape, Var x, T epsilon);
template <class T>
Var log_one_plus(Tape<T>& tape, Var x);
/// 1 / (1 + exp(-x)).
template <class T>
Var sigmoid(Tape<T>& tape, Var x);
template <class T>
Var hyperbolic_tangent(Tape<T>& tape, Var x);
/// max(x, 0).
template <class T>
Var relu(Tape<T>& tape, Var x);
/// x where positive, slope * x elsewhere.
template <class T>
Var leaky_relu(Tape<T>& tape, Var x, T slope);
/// x where positive, exp(x) - 1 elsewhere (Clevert, Unterthiner and Hochreiter, ICLR 2016, alpha 1).
template <class T>
Var elu(Tape<T>& tape, Var x);
/// log(1 + exp(x)); log sigmoid(x) is -softplus(-x).
template <class T>
Var softplus(Tape<T>& tape, Var x);
template <class T>
Var log_sigmoid(Tape<T>& tape, Var x);
/// x held within [low, high]; no gradient beyond the bounds.
template <class T>
Var clip(Tape<T>& tape, Var x, T low, T high);

/// t * a + (1 - t) * b; equal shapes. The gate of a highway layer (Srivastava, Greff and Schmidhuber 2015).
template <class T>
Var mix(Tape<T>& tape, Var t, Var a, Var b);

/// x, through which no gradient flows.
template <class T>
Var stop_gradient(Tape<T>& tape, Var x);
/// x, with the gradient times -factor (Ganin and Lempitsky, ICML 2015).
template <class T>
Var reverse_gradient(Tape<T>& tape, Var x, T factor);

/// The activations of layers.
enum class Activation { none, relu, leaky_relu, elu, sigmoid, tanh, softplus };
/// `slope` counts for leaky_relu only.
template <class T>
Var activate(Tape<T>& tape, Var x, Activation activation, T slope = T(0.2));

}  // namespace spar::tape
