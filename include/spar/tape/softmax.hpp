#pragma once
#include "spar/tape/tape.hpp"

/// Softmax by row. A mask has the shape of x (or no rows: nothing is masked); cells where it is 0 are left out: their
/// result is 0 and they get no gradient. A row without any cell gives zeros.
namespace spar::tape {

/// n x m -> n x m: exp(x - max) / sum.
template <class T>
Var softmax(Tape<T>& tape, Var x, Matrix<T> mask = {});
/// n x m -> n x m: x - log(sum exp x).
template <class T>
Var log_softmax(Tape<T>& tape, Var x, Matrix<T> mask = {});
/// n x m -> n x 1: log(sum exp x); 0 for a row without any cell.
template <class T>
Var log_sum_exp(Tape<T>& tape, Var x, Matrix<T> mask = {});

}  // namespace spar::tape
