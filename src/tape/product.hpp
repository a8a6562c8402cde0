#pragma once
#include "spar/tape/tape.hpp"

namespace spar::tape::detail {

/// A factor of a product as it lies in memory, or its transpose.
template <class T>
struct Factor {
  Matrix<T> matrix;
  bool transposed = false;

  int rows() const { return transposed ? matrix.columns : matrix.rows; }
  int columns() const { return transposed ? matrix.rows : matrix.columns; }
};

/// c = a b, or c += a b where `add`. An element of the product is one chain of fused multiply-adds over the depth for
/// each 256 of it, and the sum of those chains in order: a function of one row of a and one column of b alone, wherever
/// they stand, whatever else is multiplied and whichever instruction set carries it (Eigen's products are not). Writes
/// zeros into the padding of c's rows where it assigns and leaves it otherwise; c overlaps neither factor. Scratch
/// memory comes from the arena.
template <class T>
void product(Arena& arena, const Matrix<T>& c, const Factor<T>& a, const Factor<T>& b, bool add);

/// The transpose of m, in memory from the arena, padding zero.
template <class T>
Matrix<T> transposed_copy(Arena& arena, const Matrix<T>& m);

}  // namespace spar::tape::detail
