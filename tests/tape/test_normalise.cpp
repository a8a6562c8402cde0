#define BOOST_TEST_DYN_LINK
#include <cmath>

#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/normalise.hpp"

namespace {

using namespace spar;
using namespace spar::test;

// Moments in both kinds.
struct Both {
  explicit Both(int columns)
      : mean(grid(1, columns, 4)), variance(1, columns), mean_float(mean.as<float>()), variance_float(1, columns) {
    for (int c = 0; c < columns; ++c) {
      variance.at(0, c) = 0.5 + 0.1 * c;
      variance_float.at(0, c) = static_cast<float>(variance.at(0, c));
    }
  }
  tape::RunningMoments<double> of(const tape::Tape<double>&) { return {mean.view(), variance.view()}; }
  tape::RunningMoments<float> of(const tape::Tape<float>&) { return {mean_float.view(), variance_float.view()}; }

  Grid<double> mean, variance;
  Grid<float> mean_float, variance_float;
};

template <class T>
tape::Var batch_norm(tape::Tape<T>& t, tape::Var x, tape::Var gain, tape::Var offset,
                     const tape::RunningMoments<T>& running, double epsilon) {
  const auto sums = t.cut(tape::batch_sums(t, x, running));
  t.close_cut(t.open_cut());
  return tape::batch_normalise(t, x, sums, running, gain, offset, static_cast<T>(epsilon));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(normalise)

BOOST_AUTO_TEST_CASE(normalisations_have_the_gradients_of_central_differences) {
  for (const auto& [rows, columns] : {std::pair{1, 1}, {3, 5}, {7, 16}, {2, 20}, {5, 1}, {0, 4}}) {
    const std::vector<Grid<double>> inputs{grid(rows, columns, 1), grid(1, columns, 2), grid(1, columns, 3)};
    check_operation(
        inputs, [](auto& t, const Vars& v) { return tape::layer_norm(t, v[0], v[1], v[2], as(t, 0.1)); }, 2e-8);
    Both running(columns);
    check_operation(
        inputs, [&](auto& t, const Vars& v) { return batch_norm(t, v[0], v[1], v[2], running.of(t), 0.1); }, 5e-8);
    check_operation(inputs, [&](auto& t, const Vars& v) {
      return tape::running_normalise(t, v[0], running.of(t), v[1], v[2], as(t, 1e-3));
    });
    if (rows > 0)
      check_operation(
          {inputs[0], inputs[1]}, [](auto& t, const Vars& v) { return tape::weight_norm(t, v[0], v[1]); }, 2e-8);
  }
}

BOOST_AUTO_TEST_CASE(values_are_those_computed_by_hand) {
  const auto one = matrix(1, 3, {1, 1, 1});
  const auto zero = matrix(1, 3, {0, 0, 0});
  check_numbers(values_of({matrix(1, 3, {1, 2, 3}), one, zero},
                          [](auto& t, const Vars& v) { return tape::layer_norm(t, v[0], v[1], v[2], 1e-12); }),
                {-1.224745, 0, 1.224745}, 1e-6);
  Grid<double> mean = matrix(1, 1, {0.4});
  Grid<double> variance = matrix(1, 1, {1});
  const tape::RunningMoments<double> running{mean.view(), variance.view()};
  check_numbers(values_of({matrix(2, 1, {1, 3}), matrix(1, 1, {1}), matrix(1, 1, {0})},
                          [&](auto& t, const Vars& v) { return batch_norm(t, v[0], v[1], v[2], running, 1e-5); }),
                {-0.999995, 0.999995}, 1e-6);
  check_numbers(values_of({matrix(2, 2, {3, 0, 4, 0}), matrix(1, 2, {10, 5})},
                          [](auto& t, const Vars& v) { return tape::weight_norm(t, v[0], v[1]); }),
                {6, 0, 8, 0});
}

BOOST_AUTO_TEST_CASE(running_moments_move_by_their_momentum_and_only_when_told) {
  Grid<double> mean = matrix(1, 1, {0.5});
  Grid<double> variance = matrix(1, 1, {2});
  const tape::RunningMoments<double> running{mean.view(), variance.view()};
  Grid<double> x = matrix(4, 1, {1, 2, 3, 6});
  Grid<double> gain = matrix(1, 1, {1});
  Grid<double> offset = matrix(1, 1, {0});
  tape::Tape<double> tape;
  const auto v = tape.constant(x.view());
  const auto sums = tape.cut(tape::batch_sums(tape, v, running));
  tape.close_cut(tape.open_cut());
  tape::batch_normalise(tape, v, sums, running, tape.constant(gain.view()), tape.constant(offset.view()), 1e-5);
  BOOST_TEST(mean.at(0, 0) == 0.5);
  tape::update_running(tape.value(sums), 0.9, running);
  check_numbers({mean.at(0, 0), variance.at(0, 0)}, {0.9 * 0.5 + 0.1 * 3.0, 0.9 * 2.0 + 0.1 * 14.0 / 3.0});
}

BOOST_AUTO_TEST_CASE(a_mean_far_from_zero_does_not_cost_the_digits_of_the_variance) {
  Grid<float> x(64, 1);
  for (int r = 0; r < 64; ++r) x.at(r, 0) = 4000.0F + (r % 2 == 0 ? 0.25F : -0.25F);
  Grid<float> mean(1, 1);
  mean.fill(3999.0F);
  Grid<float> variance(1, 1);
  Grid<float> gain(1, 1);
  gain.fill(1.0F);
  Grid<float> offset(1, 1);
  tape::Tape<float> tape;
  const auto y = tape.value(batch_norm(tape, tape.constant(x.view()), tape.constant(gain.view()),
                                       tape.constant(offset.view()), {mean.view(), variance.view()}, 1e-5));
  BOOST_TEST(y.at(0, 0) == 1.0F, boost::test_tools::tolerance(1e-3F));
  BOOST_TEST(y.at(1, 0) == -1.0F, boost::test_tools::tolerance(1e-3F));
}

BOOST_AUTO_TEST_CASE(normalisations_that_do_not_fit_are_named) {
  const std::vector<Grid<double>> inputs{grid(2, 3, 1), grid(1, 4, 2)};
  Grid<double> four(1, 4);
  const tape::RunningMoments<double> running{four.view(), four.view()};
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return tape::layer_norm(t, v[0], v[1], v[1], 0.1); }) ==
             "tape: layer_norm does not fit 2 x 3 and 1 x 4");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return tape::weight_norm(t, v[0], v[1]); }) ==
             "tape: weight_norm does not fit 2 x 3 and 1 x 4");
  BOOST_TEST(bug_of(inputs, [&](auto& t, const Vars& v) { return tape::batch_sums(t, v[0], running); }) ==
             "tape: batch_sums does not fit 2 x 3 and 1 x 4");
  BOOST_TEST(bug_of(inputs, [&](auto& t, const Vars& v) {
               return tape::batch_normalise(t, v[0], v[1], running, v[1], v[1], 0.1);
             }) == "tape: batch_normalise does not fit 2 x 3 and 1 x 4");
}

BOOST_AUTO_TEST_SUITE_END()
