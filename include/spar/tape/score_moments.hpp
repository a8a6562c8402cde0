#pragma once
#include "spar/tape/tape.hpp"

namespace spar::tape {

/// Moments of each user's scores over all rows of a catalogue, each n x 1.
struct ScoreMoments {
  Var mean;
  Var variance;  ///< of the population
};

/// Of inner products s_ui = p_u . q_i, from the items' mean (1 x d) and covariance (d x d, of the population) alone:
///   mean_i s_ui = p_u . mean,   var_i s_ui = p_u covariance p_u',
/// so n x |I| scores are never made (exact; the normalisation of scores of DPR, Zhu et al., SIGIR 2020, needs them in
/// every step). Gradients go to users (n x d), mean and covariance; table::RowGradient takes the last two to the items'
/// rows. 2 n d^2 flops.
template <class T>
ScoreMoments score_moments(Tape<T>& tape, Var users, Var mean, Var covariance);

}  // namespace spar::tape
