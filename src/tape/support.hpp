#pragma once
#include <cstdint>
#include <new>
#include <type_traits>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/base/memory.hpp"
#include "spar/tape/tape.hpp"

/// What the operations share: refusals, remembered inputs, loops over whole lines. Rows are walked in whole lines, so
/// that there is no tail; what stands in a row's padding is arbitrary in values and is kept zero in gradients.
namespace spar::tape::detail {

template <class T>
[[noreturn]] void refuse(const char* operation, const Matrix<T>& a, const Matrix<T>& b) {
  throw Bug(fmt::format("tape: {} does not fit {} x {} and {} x {}", operation, a.rows, a.columns, b.rows, b.columns));
}

template <class T>
void require(bool fits, const char* operation, const Matrix<T>& a, const Matrix<T>& b) {
  if (!fits) refuse(operation, a, b);
}

template <class T>
void require_equal_shapes(const char* operation, const Matrix<T>& a, const Matrix<T>& b) {
  require(a.rows == b.rows && a.columns == b.columns, operation, a, b);
}

/// Where the other shape is no matrix: "tape: NAME does not fit R x C with WHAT".
template <class T, class... Numbers>
void require_with(bool fits, const char* operation, const Matrix<T>& a, const char* what, const Numbers&... numbers) {
  if (fits) return;
  throw Bug(fmt::format("tape: {} does not fit {} x {} with {}", operation, a.rows, a.columns,
                        fmt::vformat(what, fmt::make_format_args(numbers...))));
}

template <class T, class Memory>
const Memory* keep(Tape<T>& tape, const Memory& memory) {
  static_assert(std::is_trivially_copyable_v<Memory>);
  void* place = tape.arena().template take<Memory>(1);
  return new (place) Memory(memory);
}

template <class T, class... Vars>
bool any_wanted(const Tape<T>& tape, Vars... vars) {
  return (tape.needs_gradient(vars) || ...);
}

template <class T>
struct CountLanes;
template <>
struct CountLanes<float> {
  typedef std::int32_t Vector __attribute__((vector_size(64)));
};
template <>
struct CountLanes<double> {
  typedef std::int64_t Vector __attribute__((vector_size(128)));
};

/// v in the first `count` lanes, `rest` beyond; `count` may exceed the lanes.
template <class T>
inline Lanes<T> first_lanes(Lanes<T> v, int count, T rest = T{}) {
  if (count >= lanes) return v;
  const typename CountLanes<T>::Vector place = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return place < count ? v : all_lanes(rest);
}

/// Assigns row by row: f(r) gives a function from the first column of a line to the line's numbers.
template <class T, class F>
void fill_lanes(const Matrix<T>& to, F&& f) {
  for (int r = 0; r < to.rows; ++r) {
    T* out = to.row(r);
    auto&& line = f(r);
    for (int c = 0; c < to.columns; c += lanes) store_lanes<T>(out + c, line(c));
  }
}

/// Adds to the gradient of v, if it wants one; f as above. Padding stays zero.
template <class T, class F>
void add_lanes(Tape<T>& tape, Var v, F&& f) {
  if (!tape.needs_gradient(v)) return;
  bool assign = false;
  const Matrix<T> to = tape.gradient_to_fill(v, assign);
  for (int r = 0; r < to.rows; ++r) {
    T* out = to.row(r);
    auto&& line = f(r);
    for (int c = 0; c < to.columns; c += lanes) {
      const Lanes<T> x = first_lanes<T>(line(c), to.columns - c);
      store_lanes<T>(out + c, assign ? x : load_lanes(out + c) + x);
    }
  }
}

/// The sum of f(c) over the columns of a row: line by line, then the fixed tree of lane_sum.
template <class T, class F>
inline T sum_columns(int columns, F&& line) {
  Lanes<T> total{};
  for (int c = 0; c < columns; c += lanes) total += first_lanes<T>(line(c), columns - c);
  return lane_sum<T>(total);
}

template <class T>
inline T largest(const T* row, int columns) {
  T best = row[0];
  for (int c = 1; c < columns; ++c) best = row[c] > best ? row[c] : best;
  return best;
}

}  // namespace spar::tape::detail
