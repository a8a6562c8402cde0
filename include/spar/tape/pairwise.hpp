#pragma once
#include <cstdint>
#include <span>

#include "spar/tape/tape.hpp"

namespace spar::tape {

/// The triples of a pairwise ranking loss as slots of distinct rows: user row `user[t]` prefers item row `positive[t]`
/// to `negative[t]`. The spans must outlive the tape's use.
struct Triples {
  std::span<const std::int32_t> user;
  std::span<const std::int32_t> positive;
  std::span<const std::int32_t> negative;
};

struct PairwiseSettings {
  double floor = -80.0;  ///< margins below count as the floor and have no gradient (APR code)
  double l2 = 0.0;       ///< adds l2/2 (|u|^2 + |v_i|^2 + |v_j|^2 + b_i^2 + b_j^2) for each triple
};

/// BPR's loss (Rendle et al., UAI 2009; the negative log-likelihood, to be minimised), summed over the triples, 1 x 1:
///   sum_t softplus(-s_t) + penalty,   s = u . (v_i - v_j) (+ b_i - b_j),
///   dL/du = -w (v_i - v_j),  dL/dv_i = -w u,  dL/dv_j = w u,  w = sigmoid(-s).
/// `users` is n x width, `items` m x width; their strides are whole lines. bias_column < 0: no bias; otherwise the
/// first bias_column columns (whole lines) are the vector and column bias_column of an item holds its bias. Rows that
/// no triple names get gradient 0. `loss64`, if given, receives the loss summed in float64 by triple. Moves, for B
/// triples over r distinct rows: reads 3 B + r rows twice, writes r rows, all in cache for micro-batches.
template <class T>
Var pairwise_ranking(Tape<T>& tape, Var users, Var items, const Triples& triples, const PairwiseSettings& settings,
                     int bias_column, double* loss64);

}  // namespace spar::tape
