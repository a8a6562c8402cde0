#pragma once
#include "spar/tape/elementwise.hpp"
#include "spar/tape/tape.hpp"

/// Matrix products. An element of a product is a function of the one row and the one column that make it, in a fixed
/// order over the depth: its bits do not depend on where they stand nor on what else is multiplied.
namespace spar::tape {

enum class Side { plain, transposed };

/// a b with either factor transposed: n x k, k x m -> n x m.
template <class T>
Var matmul(Tape<T>& tape, Var a, Var b, Side a_side = Side::plain, Side b_side = Side::plain);

/// activation(x W + b): n x in, in x out, 1 x out -> n x out. No bias where b.id < 0. `slope` is that of leaky_relu.
template <class T>
Var linear(Tape<T>& tape, Var x, Var weights, Var bias, Activation activation = Activation::none, T slope = T(0.2));

}  // namespace spar::tape
