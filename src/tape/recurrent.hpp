#pragma once
#include <algorithm>

#include "support.hpp"

#include "spar/tape/recurrent.hpp"

namespace spar::tape::detail {

/// Matrices of one shape, one after the other in memory.
template <class T>
struct Series {
  T* data = nullptr;
  int rows = 0;
  int columns = 0;

  Series() = default;
  Series(Arena& arena, int count, int row_count, int column_count)
      : data(arena.take<T>(static_cast<std::size_t>(count) * static_cast<std::size_t>(row_count) *
                           static_cast<std::size_t>(padded(column_count)))),
        rows(row_count),
        columns(column_count) {}

  Matrix<T> at(int k) const {
    const auto size = static_cast<std::ptrdiff_t>(rows) * padded(columns);
    return {data + k * size, rows, columns, padded(columns)};
  }
};

/// Copies columns [first, first + columns of `to`) of rows r * step + offset to row r of `to`, padding zero.
template <class T>
void gather_steps(const Matrix<T>& from, int offset, int step, int first, const Matrix<T>& to) {
  for (int r = 0; r < to.rows; ++r) {
    std::copy_n(from.row(r * step + offset) + first, to.columns, to.row(r));
    std::fill(to.row(r) + to.columns, to.row(r) + to.stride, T{});
  }
}

/// The way back: to[r * step + offset][first + c] = or += from[r][c].
template <class T>
void scatter_steps(const Matrix<T>& from, int offset, int step, int first, const Matrix<T>& to, bool add) {
  for (int r = 0; r < from.rows; ++r) {
    T* g = to.row(r * step + offset) + first;
    for (int c = 0; c < from.columns; ++c) g[c] = add ? g[c] + from.row(r)[c] : from.row(r)[c];
  }
}

template <class T>
void fill_zero(const Matrix<T>& m) {
  for (int r = 0; r < m.rows; ++r) std::fill_n(m.row(r), m.stride, T{});
}

inline bool step_counts(const Steps& steps, int row) {
  return steps.valid.empty() || steps.valid[static_cast<std::size_t>(row)] != 0;
}

/// Assigns line by line: f(r, c) for every line of every row.
template <class T, class F>
void each_line(const Matrix<T>& shape, F&& f) {
  for (int r = 0; r < shape.rows; ++r) {
    for (int c = 0; c < shape.columns; c += lanes) f(r, c);
  }
}

}  // namespace spar::tape::detail
