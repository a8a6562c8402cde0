#include "spar/tape/score_moments.hpp"

#include "spar/tape/linear.hpp"
#include "spar/tape/operations.hpp"

namespace spar::tape {

template <class T>
ScoreMoments score_moments(Tape<T>& tape, Var users, Var mean, Var covariance) {
  return {matmul(tape, users, mean, Side::plain, Side::transposed),
          row_dot(tape, matmul(tape, users, covariance), users)};
}

template ScoreMoments score_moments(Tape<float>&, Var, Var, Var);
template ScoreMoments score_moments(Tape<double>&, Var, Var, Var);

}  // namespace spar::tape
