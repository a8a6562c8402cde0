#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "spar/base/lanes.hpp"
#include "spar/base/memory.hpp"
#include "spar/tape/operations.hpp"
#include "spar/tape/tape.hpp"

/// Gradients against central differences in float64.
namespace spar::test {

/// A matrix that owns its numbers: rows padded to whole lines, padding zero.
template <class T>
class Grid {
 public:
  Grid(int rows, int columns)
      : rows_(rows), columns_(columns), numbers_(static_cast<std::size_t>(rows) * static_cast<std::size_t>(stride())) {}
  /// Numbers of size about `scale` that differ from place to place and from `salt` to `salt`.
  Grid(int rows, int columns, double scale, int salt) : Grid(rows, columns) {
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < columns; ++c) at(r, c) = static_cast<T>(scale * wave(r, c, salt));
    }
  }

  static double wave(int r, int c, int salt) { return std::sin(1.0 + 1.7 * r + 0.61 * c + 0.37 * r * c + 2.3 * salt); }

  int rows() const { return rows_; }
  int columns() const { return columns_; }
  int stride() const { return padded(columns_); }
  T& at(int r, int c) { return numbers_[static_cast<std::size_t>(r * stride() + c)]; }
  const T& at(int r, int c) const { return numbers_[static_cast<std::size_t>(r * stride() + c)]; }
  const T* row(int r) const { return numbers_.data() + static_cast<std::ptrdiff_t>(r) * stride(); }
  tape::Matrix<T> view() { return {numbers_.data(), rows_, columns_, stride()}; }
  void fill(T value) { std::fill(numbers_.begin(), numbers_.end(), value); }
  /// What stands behind the last column of each row.
  void pad_with(T value) {
    T* end = numbers_.data();
    for (int r = 0; r < rows_; ++r) {
      end += stride();
      std::fill(end - (stride() - columns_), end, value);
    }
  }
  bool padding_is_zero() const {
    for (int r = 0; r < rows_; ++r) {
      if (!std::all_of(row(r) + columns_, row(r) + stride(), [](T x) { return x == T{}; })) return false;
    }
    return true;
  }
  std::vector<T> numbers() const {
    std::vector<T> all;
    for (int r = 0; r < rows_; ++r) all.insert(all.end(), row(r), row(r) + columns_);
    return all;
  }

  template <class U>
  Grid<U> as() const {
    Grid<U> other(rows_, columns_);
    for (int r = 0; r < rows_; ++r) {
      for (int c = 0; c < columns_; ++c) other.at(r, c) = static_cast<U>(at(r, c));
    }
    return other;
  }

 private:
  int rows_;
  int columns_;
  std::vector<T> numbers_;
};

template <class T>
using Build = std::function<tape::Var(tape::Tape<T>& tape, const std::vector<tape::Var>& inputs)>;

/// Every output counts with a weight of its own, so that no permutation or transposition of a gradient passes.
inline double scaliser(int r, int c) {
  return 0.3 + std::cos(0.9 + 0.77 * r - 1.31 * c + 0.11 * r * c);
}

/// The weighted sum of what `build` makes of the inputs.
inline double scalar_of(std::vector<Grid<double>>& inputs, const Build<double>& build) {
  tape::Tape<double> tape;
  std::vector<tape::Var> vars;
  for (auto& input : inputs) vars.push_back(tape.constant(input.view()));
  const auto out = tape.value(build(tape, vars));
  double total = 0.0;
  for (int r = 0; r < out.rows; ++r) {
    for (int c = 0; c < out.columns; ++c) total += scaliser(r, c) * out.at(r, c);
  }
  return total;
}

/// Its gradients by the tape. The gradients' memory holds garbage before, which must not matter.
template <class T>
std::vector<Grid<T>> tape_gradients(std::vector<Grid<T>>& inputs, const Build<T>& build) {
  tape::Tape<T> tape;
  std::vector<Grid<T>> gradients;
  for (auto& input : inputs) {
    gradients.emplace_back(input.rows(), input.columns());
    gradients.back().fill(static_cast<T>(1e6));
  }
  std::vector<tape::Var> vars;
  for (std::size_t k = 0; k < inputs.size(); ++k) vars.push_back(tape.parameter(inputs[k].view(), gradients[k].view()));
  const auto out = build(tape, vars);
  Grid<T> weights(tape.value(out).rows, tape.value(out).columns);
  for (int r = 0; r < weights.rows(); ++r) {
    for (int c = 0; c < weights.columns(); ++c) weights.at(r, c) = static_cast<T>(scaliser(r, c));
  }
  tape.backward(tape::sum(tape, tape::multiply(tape, out, tape.constant(weights.view()))));
  return gradients;
}

/// The same by central differences of any function of the inputs.
inline std::vector<Grid<double>> numeric_gradients(
    std::vector<Grid<double>>& inputs, const std::function<double(std::vector<Grid<double>>& inputs)>& function) {
  std::vector<Grid<double>> gradients;
  for (auto& input : inputs) {
    gradients.emplace_back(input.rows(), input.columns());
    for (int r = 0; r < input.rows(); ++r) {
      for (int c = 0; c < input.columns(); ++c) {
        const double x = input.at(r, c);
        const double h = 6e-6 * std::max(1.0, std::abs(x));
        input.at(r, c) = x + h;
        const double above = function(inputs);
        input.at(r, c) = x - h;
        const double below = function(inputs);
        input.at(r, c) = x;
        gradients.back().at(r, c) = (above - below) / (2.0 * h);
      }
    }
  }
  return gradients;
}

/// Compares entry by entry, relative to the entry or, for small ones, to `scale`.
template <class T, class U>
void check_close(const std::vector<Grid<T>>& got, const std::vector<Grid<U>>& expected, double tolerance,
                 double scale = 1.0) {
  BOOST_REQUIRE_EQUAL(got.size(), expected.size());
  for (std::size_t k = 0; k < got.size(); ++k) {
    for (int r = 0; r < got[k].rows(); ++r) {
      for (int c = 0; c < got[k].columns(); ++c) {
        const auto a = static_cast<double>(got[k].at(r, c));
        const auto b = static_cast<double>(expected[k].at(r, c));
        if (!(std::abs(a - b) <= tolerance * std::max(scale, std::abs(b))))
          BOOST_ERROR("input " << k << " at " << r << ", " << c << ": " << a << " instead of " << b);
      }
    }
  }
}

/// The whole check of one composition: float64 gradients within 1e-8 of central differences (1e-6 is the promise).
inline void check_gradients(std::vector<Grid<double>> inputs, const Build<double>& build) {
  const auto numeric =
      numeric_gradients(inputs, [&](std::vector<Grid<double>>& moved) { return scalar_of(moved, build); });
  check_close(tape_gradients(inputs, build), numeric, 1e-8);
}

}  // namespace spar::test
