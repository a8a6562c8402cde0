#pragma once
#include "spar/tape/tape.hpp"

/// Sums, means and norms. A row is summed line by line along a fixed tree, a column from the first row to the last.
/// sum() and squared_norm() of a whole matrix stand in operations.hpp.
namespace spar::tape {

/// n x m -> n x 1.
template <class T>
Var row_sum(Tape<T>& tape, Var x);
template <class T>
Var row_mean(Tape<T>& tape, Var x);
/// n x m -> 1 x m. The mean of no rows is 0.
template <class T>
Var column_sum(Tape<T>& tape, Var x);
template <class T>
Var column_mean(Tape<T>& tape, Var x);
/// n x m -> 1 x 1: the mean of all elements, 0 of none.
template <class T>
Var mean(Tape<T>& tape, Var x);
/// n x m -> n x 1: sqrt(sum x^2 + epsilon); with epsilon 0, the gradient at a row of zeros is 0.
template <class T>
Var row_norm(Tape<T>& tape, Var x, T epsilon);
/// n x m -> n x m: each row divided by max(its norm, floor); below the floor a mere factor.
template <class T>
Var l2_normalise(Tape<T>& tape, Var x, T floor = T(1e-12));

/// Rows of B sequences of `length`: y[b] = sum_t weights[k, t] x[b * length + t] for each of the k rows of weights,
/// side by side: (B length) x d, k x length -> B x (k d). The position-weighted history of GAN-CDQN.
template <class T>
Var position_sums(Tape<T>& tape, Var x, Var weights, int length);

}  // namespace spar::tape
