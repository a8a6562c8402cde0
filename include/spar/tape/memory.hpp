#pragma once
#include "spar/tape/tape.hpp"

/// Distances and key-value memories. A memory is read by matmul(weights, values) with weights = softmax of
/// -distances(queries, keys) or of their products.
namespace spar::tape {

/// n x d, m x d -> n x m: |a_i - b_j|, with gradient 0 where they are equal.
template <class T>
Var distances(Tape<T>& tape, Var a, Var b);
/// n x d, m x d -> n x m: |a_i - b_j|^2.
template <class T>
Var squared_distances(Tape<T>& tape, Var a, Var b);

/// Writes of B events into N slots, one after the other in the order of the rows (Wang et al., KDD 2018; the memory of
/// Graves et al. 2014): slot i becomes M_i (1 - w_i e) + w_i g, erased before it is added to. values: N x d, weights: B
/// x N, erase, add: B x d -> N x d. Keeps B N d numbers for backward.
template <class T>
Var memory_write(Tape<T>& tape, Var values, Var weights, Var erase, Var add);

}  // namespace spar::tape
