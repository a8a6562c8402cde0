#pragma once
#include "spar/tape/linear.hpp"
#include "spar/tape/tape.hpp"

namespace spar::tape {

/// c = op(a) op(b), or c += op(a) op(b) where `add`, outside any tape, for layers whose parameters no tape could hold.
/// An element has the bits that matmul() gives it: a function of its row and its column alone. Writes zeros into the
/// padding of c's rows where it assigns. c overlaps neither factor; its rows follow each other (no places). Scratch
/// memory comes from the arena and is given back.
template <class T>
void multiply(Arena& arena, const Matrix<T>& c, const Matrix<T>& a, Side a_side, const Matrix<T>& b, Side b_side,
              bool add = false);

}  // namespace spar::tape
