#pragma once
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/table/statistics.hpp"

namespace spar::table {

/// The gradient of a function f with respect to the moments of a stack of rows. Empty: f does not have them.
struct MomentGradients {
  std::vector<double> mean{};        ///< d
  std::vector<double> gram{};        ///< d x d, of the sums of products
  std::vector<double> covariance{};  ///< d x d, of the population's covariance
};

/// What f then has at each of the n rows. With G and S the gradients with respect to Gram matrix and covariance,
///   df/dx = df/dmean / n + x (G + G') + (x - mean)(S + S') / n,
/// which is an offset and a matrix, the same for all rows: every rank makes them of what all ranks know, and an owner
/// adds them to the gradients of its rows, d^2 products a row. In float for training, in double for checks.
template <class T>
class RowGradient {
 public:
  /// Of a function that has no moments.
  RowGradient() = default;
  /// `first`: the stack's first column; `factor` times f.
  RowGradient(const Moments& moments, int first, const MomentGradients& gradients, double factor = 1.0);

  bool is_zero() const { return columns_ == 0; }
  /// gradient += factor df/dx, in the stack's columns; row and gradient begin at column 0 of the table. An entry is a
  /// function of the row's numbers alone. Any thread.
  void add(const T* row, T* gradient, T factor = T(1)) const;

 private:
  int first_ = 0;
  int columns_ = 0;
  // Rows are taken from the mean, since columns far from 0 would lose their digits in the product.
  std::vector<T> mean_;
  Buffer<T> offset_;  // padded
  Buffer<T> matrix_;  // columns x padded
};

extern template class RowGradient<float>;
extern template class RowGradient<double>;

}  // namespace spar::table
