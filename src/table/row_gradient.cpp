#include "spar/table/row_gradient.hpp"

#include <algorithm>
#include <cstddef>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"

namespace spar::table {

namespace {

// gradient += factor (offset + (row - mean) matrix) for the columns of `Lines` lines, of which `count` are there.
template <class T, int Lines>
void add_lines(const T* row, const T* mean, const T* offset, const T* matrix, int depth, int stride, T factor,
               T* gradient, int count) {
  Lanes<T> sum[Lines];
#pragma GCC unroll 4
  for (int v = 0; v < Lines; ++v) sum[v] = load_lanes(offset + v * lanes);
  for (int k = 0; k < depth; ++k, matrix += stride) {
    const Lanes<T> x = all_lanes(row[k] - mean[k]);
#pragma GCC unroll 4
    for (int v = 0; v < Lines; ++v) sum[v] += x * load_lanes(matrix + v * lanes);
  }
  T out[Lines * lanes];
#pragma GCC unroll 4
  for (int v = 0; v < Lines; ++v) store_lanes<T>(out + v * lanes, sum[v]);
  for (int c = 0; c < count; ++c) gradient[c] += factor * out[c];
}

}  // namespace

template <class T>
RowGradient<T>::RowGradient(const Moments& moments, int first, const MomentGradients& gradients, double factor)
    : first_(first), columns_(moments.count == 0 ? 0 : moments.columns) {
  if (columns_ == 0) return;
  const auto d = static_cast<std::size_t>(columns_);
  const auto stride = static_cast<std::size_t>(padded(columns_));
  const double n = static_cast<double>(moments.count);
  SPAR_ASSERT(gradients.mean.empty() || gradients.mean.size() == d);
  for (const auto* matrix : {&gradients.gram, &gradients.covariance})
    SPAR_ASSERT(matrix->empty() || matrix->size() == d * d);
  const auto both_ways = [&](const std::vector<double>& matrix, std::size_t a, std::size_t b) {
    return matrix.empty() ? 0.0 : matrix[a * d + b] + matrix[b * d + a];
  };
  offset_ = Buffer<T>(stride);
  matrix_ = Buffer<T>(d * stride);
  for (std::size_t b = 0; b < d; ++b) {
    double offset = gradients.mean.empty() ? 0.0 : gradients.mean[b] / n;
    for (std::size_t a = 0; a < d; ++a) {
      const double gram = both_ways(gradients.gram, a, b);
      offset += moments.mean[a] * gram;
      matrix_[a * stride + b] = static_cast<T>(factor * (gram + both_ways(gradients.covariance, a, b) / n));
    }
    offset_[b] = static_cast<T>(factor * offset);
    mean_.push_back(static_cast<T>(moments.mean[b]));
  }
}

template <class T>
void RowGradient<T>::add(const T* row, T* gradient, T factor) const {
  constexpr int most_lines = 4;
  const int stride = padded(columns_);
  for (int c = 0; c < columns_;) {
    const bool many = c + most_lines * lanes <= stride;
    const int width = many ? most_lines * lanes : lanes;
    (many ? add_lines<T, most_lines> : add_lines<T, 1>)(row + first_, mean_.data(), offset_.data() + c,
                                                        matrix_.data() + c, columns_, stride, factor,
                                                        gradient + first_ + c, std::min(width, columns_ - c));
    c += width;
  }
}

template class RowGradient<float>;
template class RowGradient<double>;

}  // namespace spar::table
