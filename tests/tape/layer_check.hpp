#pragma once
#include <string>
#include <vector>

#include "fixtures.hpp"
#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/layers/parameters.hpp"

namespace spar::test {

/// A layer with its inputs, parameters and states as a fixture has them, in float or double.
template <class T>
class LayerRun {
 public:
  LayerRun(const Fixture& fixture, const tape::layers::Declarations& declared, const std::vector<std::string>& inputs)
      : names_(inputs) {
    for (const auto& parameter : declared.all()) names_.push_back(parameter.name);
    for (const auto& name : names_) {
      values_.push_back(fixture[name].as<T>());
      gradients_.emplace_back(values_.back().rows(), values_.back().columns());
    }
    for (const auto& state : declared.states()) {
      states_.emplace_back(state.rows, state.columns);
      states_.back().fill(static_cast<T>(state.start.size));
    }
    inputs_ = inputs.size();
  }

  /// build(context, inputs) gives the result; with a scaliser, the sum of its products with the result is
  /// differentiated.
  template <class Build>
  tape::Var run(const Build& build, const Grid<double>* scaliser, bool training = true) {
    tape_.reset();
    std::vector<tape::Var> vars;
    std::vector<tape::Matrix<T>> states;
    for (std::size_t k = 0; k < values_.size(); ++k)
      vars.push_back(tape_.parameter(values_[k].view(), gradients_[k].view()));
    for (auto& state : states_) states.push_back(state.view());
    const auto all = std::span<const tape::Var>(vars);
    const tape::layers::Context<T> context{
        .tape = tape_, .parameters = all.subspan(inputs_), .states = states, .training = training};
    const tape::Var out = build(context, all.first(inputs_));
    if (scaliser != nullptr) {
      Grid<T> weights = scaliser->as<T>();
      tape_.backward(tape::sum(tape_, tape::multiply(tape_, out, tape_.constant(weights.view()))));
    }
    return out;
  }

  std::vector<double> numbers(tape::Var v) const {
    const auto y = tape_.value(v);
    std::vector<double> all;
    for (int r = 0; r < y.rows; ++r) all.insert(all.end(), y.row(r), y.row(r) + y.columns);
    return all;
  }
  void check_gradients(const Fixture& fixture, double tolerance) const {
    for (std::size_t k = 0; k < names_.size(); ++k) {
      BOOST_TEST_CONTEXT("the gradient of " << names_[k]) {
        const auto got = gradients_[k].numbers();
        check_numbers({got.begin(), got.end()}, fixture["d." + names_[k]].numbers(), tolerance);
      }
    }
  }
  std::vector<double> state(std::size_t k) const {
    const auto numbers = states_.at(k).numbers();
    return {numbers.begin(), numbers.end()};
  }

 private:
  std::vector<std::string> names_;
  std::size_t inputs_ = 0;
  std::vector<Grid<T>> values_;
  std::vector<Grid<T>> gradients_;
  std::vector<Grid<T>> states_;
  tape::Tape<T> tape_;
};

/// The layer's values and gradients are those of the fixture: to rounding in float64, nearly so in float.
template <class Build>
void check_layer(const Fixture& fixture, const tape::layers::Declarations& declared,
                 const std::vector<std::string>& inputs, const Build& build) {
  LayerRun<double> exact(fixture, declared, inputs);
  check_numbers(exact.numbers(exact.run(build, &fixture["scaliser"])), fixture["result"].numbers(), 1e-11);
  exact.check_gradients(fixture, 1e-10);
  LayerRun<float> rounded(fixture, declared, inputs);
  check_numbers(rounded.numbers(rounded.run(build, &fixture["scaliser"])), fixture["result"].numbers(), 2e-5);
  rounded.check_gradients(fixture, 2e-4);
}

/// A span of marks from a fixture's column or row of 0 and 1.
inline std::vector<std::uint8_t> marks_of(const Grid<double>& m) {
  std::vector<std::uint8_t> marks;
  for (const double number : m.numbers()) marks.push_back(number != 0.0 ? 1 : 0);
  return marks;
}

/// A constant of the context's kind with a fixture's numbers; the grids must outlive the tape's use.
inline tape::Matrix<double> view_of(const tape::Tape<double>&, Grid<double>& in_double, Grid<float>&) {
  return in_double.view();
}
inline tape::Matrix<float> view_of(const tape::Tape<float>&, Grid<double>&, Grid<float>& in_float) {
  return in_float.view();
}

}  // namespace spar::test
