#pragma once
#include "spar/tape/pairwise.hpp"

namespace spar::tape {

/// APR with scope `sample`: every triple has perturbations of its own, the row-wise L2 steps of its own gradient,
///   du = -a d, dv_i = -c u, dv_j = c u,   d = v_i - v_j,  a = epsilon w / max(w |d|, floor),  c = epsilon w / max(w
///   |u|, floor),
/// so the perturbed margin is s' = (1 + 2 a c) u.d - 2 c |u|^2 - a |d|^2 (+ b_i - b_j) and no second pass over the rows
/// is needed. With w' = sigmoid(-s') and the perturbations held constant, the gradients of L + weight L' are
///   u: -(w + weight w') d + 2 weight w' c u;    v_i: -(w + weight w') u + weight w' a d;    v_j: the negative of
///   v_i's.
struct SampleScope {
  double epsilon = 0.5;
  double weight = 1.0;  ///< lambda
  double norm_floor = 1e-6;
};

/// The loss L + weight L' over the triples, 1 x 1; shapes, bias and penalty (on the clean rows, once for each term) as
/// in pairwise_ranking. `loss64` receives L, `perturbed64` L'.
template <class T>
Var pairwise_sample_scope(Tape<T>& tape, Var users, Var items, const Triples& triples, const PairwiseSettings& settings,
                          const SampleScope& scope, int bias_column, double* loss64, double* perturbed64);

}  // namespace spar::tape
