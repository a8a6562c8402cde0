#pragma once
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "allocations.hpp"
#include "support/gradient_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/tape/operations.hpp"

/// What every operation of the tape promises, checked at once.
namespace spar::test {

using Vars = std::vector<tape::Var>;

/// A number of the tape's kind, for builds that run in both.
template <class T>
T as(const tape::Tape<T>&, double number) {
  return static_cast<T>(number);
}

/// Rows and columns that an operation may meet: single ones, whole lines, tails, none.
inline const std::vector<std::pair<int, int>> shapes{{1, 1}, {3, 5}, {7, 16}, {2, 20}, {1, 17}, {5, 1}, {0, 4}};

inline Grid<double> grid(int rows, int columns, int salt, double scale = 1.3) {
  return {rows, columns, scale, salt};
}

/// One pass forward and backward: the values of the result and the gradients of all inputs.
template <class T>
struct Pass {
  std::vector<T> result;
  std::vector<Grid<T>> gradients;
};

template <class T>
void run_pass(tape::Tape<T>& tape, std::vector<Grid<T>>& inputs, std::vector<Grid<T>>& gradients, Grid<T>& weights,
              Vars& vars, const Build<T>& build, std::vector<std::type_identity_t<T>>* result) {
  tape.reset();
  vars.clear();
  for (std::size_t k = 0; k < inputs.size(); ++k) vars.push_back(tape.parameter(inputs[k].view(), gradients[k].view()));
  const tape::Var out = build(tape, vars);
  const tape::Matrix<T> y = tape.value(out);
  if (weights.rows() != y.rows || weights.columns() != y.columns) {
    weights = Grid<T>(y.rows, y.columns);
    for (int r = 0; r < y.rows; ++r) {
      for (int c = 0; c < y.columns; ++c) weights.at(r, c) = static_cast<T>(scaliser(r, c));
    }
  }
  if (result != nullptr) {
    for (int r = 0; r < y.rows; ++r) result->insert(result->end(), y.row(r), y.row(r) + y.columns);
  }
  tape.backward(tape::sum(tape, tape::multiply(tape, out, tape.constant(weights.view()))));
}

template <class T>
Pass<T> pass_of(const std::vector<Grid<double>>& inputs, const Build<T>& build, T padding) {
  std::vector<Grid<T>> values;
  Pass<T> pass;
  for (const auto& input : inputs) {
    values.push_back(input.template as<T>());
    values.back().pad_with(padding);
    pass.gradients.emplace_back(input.rows(), input.columns());
  }
  tape::Tape<T> tape;
  Grid<T> weights(0, 0);
  Vars vars;
  run_pass(tape, values, pass.gradients, weights, vars, build, &pass.result);
  return pass;
}

inline void check_padding(const std::vector<Grid<double>>& inputs, const Build<double>& build) {
  const auto clean = pass_of<double>(inputs, build, 0.0);
  const auto dirty = pass_of<double>(inputs, build, std::numeric_limits<double>::quiet_NaN());
  BOOST_TEST(clean.result == dirty.result, boost::test_tools::per_element());
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    BOOST_TEST(clean.gradients[k].numbers() == dirty.gradients[k].numbers(), boost::test_tools::per_element());
    BOOST_TEST(dirty.gradients[k].padding_is_zero(), "the padding of gradient " << k << " is not zero");
  }
}

inline void check_float(const std::vector<Grid<double>>& inputs, const Build<double>& in_double,
                        const Build<float>& in_float) {
  const auto exact = pass_of<double>(inputs, in_double, 0.0);
  const auto got = pass_of<float>(inputs, in_float, 0.0F);
  BOOST_REQUIRE_EQUAL(got.result.size(), exact.result.size());
  for (std::size_t k = 0; k < got.result.size(); ++k) {
    if (!(std::abs(static_cast<double>(got.result[k]) - exact.result[k]) <=
          2e-5 * std::max(1.0, std::abs(exact.result[k]))))
      BOOST_ERROR("number " << k << " in float: " << got.result[k] << " instead of " << exact.result[k]);
  }
  check_close(got.gradients, exact.gradients, 1e-4);
}

inline void check_steady_state(const std::vector<Grid<double>>& inputs, const Build<float>& build) {
  std::vector<Grid<float>> values;
  std::vector<Grid<float>> gradients;
  for (const auto& input : inputs) {
    values.push_back(input.template as<float>());
    gradients.emplace_back(input.rows(), input.columns());
  }
  tape::Tape<float> tape;
  Grid<float> weights(0, 0);
  Vars vars;
  for (int step = 0; step < 2; ++step) run_pass(tape, values, gradients, weights, vars, build, nullptr);
  const std::int64_t before = allocations_so_far();
  run_pass(tape, values, gradients, weights, vars, build, nullptr);
  BOOST_TEST(allocations_so_far() == before, "a repeated step allocates");
}

/// The gradient in float64 is that of central differences; padding never leaks and gradients have none; float gives the
/// same up to rounding; a repeated step allocates nothing. `build` takes a tape of either kind.
inline void check_both(std::vector<Grid<double>>& inputs, const Build<double>& in_double, const Build<float>& in_float,
                       double tolerance) {
  const auto numeric =
      numeric_gradients(inputs, [&](std::vector<Grid<double>>& moved) { return scalar_of(moved, in_double); });
  check_close(tape_gradients(inputs, in_double), numeric, tolerance);
  check_padding(inputs, in_double);
  check_float(inputs, in_double, in_float);
  check_steady_state(inputs, in_float);
}
template <class F>
void check_operation(std::vector<Grid<double>> inputs, const F& build, double tolerance = 1e-8) {
  check_both(inputs, build, build, tolerance);
}

/// The numbers of what `build` makes of the inputs, in float64.
inline std::vector<double> values_of(const std::vector<Grid<double>>& inputs, const Build<double>& build) {
  std::vector<Grid<double>> copies = inputs;
  tape::Tape<double> tape;
  Vars vars;
  for (auto& input : copies) vars.push_back(tape.constant(input.view()));
  const tape::Matrix<double> y = tape.value(build(tape, vars));
  std::vector<double> numbers;
  for (int r = 0; r < y.rows; ++r) numbers.insert(numbers.end(), y.row(r), y.row(r) + y.columns);
  return numbers;
}

inline void check_numbers(const std::vector<double>& got, const std::vector<double>& expected,
                          double tolerance = 1e-12) {
  BOOST_REQUIRE_EQUAL(got.size(), expected.size());
  for (std::size_t k = 0; k < got.size(); ++k) {
    if (!(std::abs(got[k] - expected[k]) <= tolerance * std::max(1.0, std::abs(expected[k]))))
      BOOST_ERROR("number " << k << ": " << got[k] << " instead of " << expected[k]);
  }
}

inline Grid<double> matrix(int rows, int columns, const std::vector<double>& numbers) {
  Grid<double> m(rows, columns);
  for (int k = 0; k < rows * columns; ++k) m.at(k / columns, k % columns) = numbers.at(static_cast<std::size_t>(k));
  return m;
}

/// The sentence of the bug that `build` throws on the inputs.
inline std::string bug_of(const std::vector<Grid<double>>& inputs, const Build<double>& build) {
  try {
    values_of(inputs, build);
  } catch (const Bug& bug) {
    return bug.what();
  }
  return "no bug was thrown";
}

}  // namespace spar::test
