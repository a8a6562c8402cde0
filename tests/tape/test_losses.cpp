#define BOOST_TEST_DYN_LINK
#include <cmath>

#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/losses.hpp"

namespace {

using namespace spar;
using namespace spar::test;

// One matrix in both kinds, for targets.
struct Both {
  explicit Both(const Grid<double>& m) : in_double(m), in_float(m.as<float>()) {}
  tape::Matrix<double> of(const tape::Tape<double>&) { return in_double.view(); }
  tape::Matrix<float> of(const tape::Tape<float>&) { return in_float.view(); }

  Grid<double> in_double;
  Grid<float> in_float;
};

std::vector<std::int32_t> some_classes(int rows, int columns) {
  std::vector<std::int32_t> classes;
  for (int r = 0; r < rows; ++r) classes.push_back(r % 4 == 3 ? -1 : (r * 5 + 2) % columns);
  return classes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(losses)

BOOST_AUTO_TEST_CASE(losses_of_cells_have_the_gradients_of_central_differences) {
  for (const auto& [rows, columns] : shapes) {
    const auto x = grid(rows, columns, 1, 2.5);
    Both targets(grid(rows, columns, 2));
    Both weights(grid(rows, columns, 3));
    check_operation({x}, [&](auto& t, const Vars& v) { return tape::bce_with_logits(t, v[0], targets.of(t)); });
    check_operation(
        {x}, [&](auto& t, const Vars& v) { return tape::bce_with_logits(t, v[0], targets.of(t), weights.of(t)); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::bce_with_logits(t, v[0], as(t, 0.9)); });
    check_operation({x}, [&](auto& t, const Vars& v) { return tape::squared_error(t, v[0], targets.of(t)); });
    check_operation({x},
                    [&](auto& t, const Vars& v) { return tape::squared_error(t, v[0], targets.of(t), weights.of(t)); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::hinge(t, v[0], as(t, 0.3)); });
  }
}

BOOST_AUTO_TEST_CASE(losses_of_rows_have_the_gradients_of_central_differences) {
  for (const auto& [rows, columns] : shapes) {
    const auto x = grid(rows, columns, 1, 2.0);
    Both counts(grid(rows, columns, 2));
    const auto classes = some_classes(rows, columns);
    check_operation({grid(rows, 1, 1), grid(rows, 1, 2)},
                    [](auto& t, const Vars& v) { return tape::pairwise_log_sigmoid(t, v[0], v[1]); });
    check_operation({x}, [&](auto& t, const Vars& v) { return tape::multinomial_loss(t, v[0], counts.of(t)); });
    check_operation({x}, [&](auto& t, const Vars& v) { return tape::cross_entropy(t, v[0], classes); });
    check_operation({x}, [&](auto& t, const Vars& v) { return tape::choice_loss(t, v[0], classes); });
    check_operation({x, grid(rows, columns, 5)},
                    [](auto& t, const Vars& v) { return tape::gaussian_kl(t, v[0], v[1]); });
  }
}

BOOST_AUTO_TEST_CASE(cross_entropies_are_those_computed_by_hand) {
  check_numbers(
      values_of({matrix(1, 3, {0, 2, -2})}, [](auto& t, const Vars& v) { return tape::bce_with_logits(t, v[0], 1.0); }),
      {std::log(2.0), 0.12692801104297263, 2.1269280110429727});
  check_numbers(
      values_of({matrix(1, 1, {1000})}, [](auto& t, const Vars& v) { return tape::bce_with_logits(t, v[0], 0.0); }),
      {1000});
  const std::vector<std::int32_t> classes{2, -1, 0};
  check_numbers(values_of({matrix(3, 3, {0, std::log(2.0), std::log(5.0), 1, 2, 3, 0, 0, 0})},
                          [&](auto& t, const Vars& v) { return tape::cross_entropy(t, v[0], classes); }),
                {std::log(8.0 / 5.0), 0, std::log(3.0)});
}

// Logits (0, ln 2, ln 3, 0), profile (1, 0, 1, 0): log-sum-exp ln 7, loss 2 ln 7 - ln 3, gradient 2 p - x.
BOOST_AUTO_TEST_CASE(the_multinomial_loss_is_that_computed_by_hand_and_its_gradient_sums_to_zero) {
  std::vector<Grid<double>> z{matrix(1, 4, {0, std::log(2.0), std::log(3.0), 0})};
  Grid<double> x = matrix(1, 4, {1, 0, 1, 0});
  const Build<double> loss = [&](tape::Tape<double>& t, const Vars& v) {
    return tape::multinomial_loss(t, v[0], x.view());
  };
  check_numbers(values_of(z, loss), {2.7932080094425171});
  const auto gradient = tape_gradients(z, loss)[0];
  const double seed = scaliser(0, 0);
  check_numbers(gradient.numbers(), {-5.0 / 7 * seed, 4.0 / 7 * seed, -1.0 / 7 * seed, 2.0 / 7 * seed});
}

// Utilities (1, 0, -1), the first chosen; probabilities 0.534447, 0.196612, 0.072329 and 0.196612 for nothing.
BOOST_AUTO_TEST_CASE(the_choice_with_an_outside_option_is_that_computed_by_hand) {
  const std::vector<std::int32_t> first{0};
  const std::vector<std::int32_t> nothing{-1};
  std::vector<Grid<double>> u{matrix(1, 3, {1, 0, -1})};
  const Build<double> chosen = [&](tape::Tape<double>& t, const Vars& v) { return tape::choice_loss(t, v[0], first); };
  check_numbers(values_of(u, chosen), {0.626523}, 1e-6);
  check_numbers(values_of(u, [&](auto& t, const Vars& v) { return tape::choice_loss(t, v[0], nothing); }),
                {-std::log(0.196612)}, 5e-6);
  const double seed = scaliser(0, 0);
  check_numbers(tape_gradients(u, chosen)[0].numbers(), {(0.534447 - 1.0) * seed, 0.196612 * seed, 0.072329 * seed},
                1e-6);
}

BOOST_AUTO_TEST_CASE(the_other_losses_are_those_computed_by_hand) {
  check_numbers(values_of({matrix(3, 1, {0, 1, 0}), matrix(3, 1, {0, 0, 0})},
                          [](auto& t, const Vars& v) { return tape::gaussian_kl(t, v[0], v[1]); }),
                {0, 0.5, 0});
  check_numbers(values_of({matrix(1, 1, {0}), matrix(1, 1, {1})},
                          [](auto& t, const Vars& v) { return tape::gaussian_kl(t, v[0], v[1]); }),
                {0.35914091422952255});
  check_numbers(values_of({matrix(2, 1, {1, 0}), matrix(2, 1, {1, 2})},
                          [](auto& t, const Vars& v) { return tape::pairwise_log_sigmoid(t, v[0], v[1]); }),
                {std::log(2.0), 2.1269280110429727});
  check_numbers(
      values_of({matrix(1, 3, {-5, -3, 1})}, [](auto& t, const Vars& v) { return tape::hinge(t, v[0], 3.0); }),
      {0, 0, 4});
  Grid<double> targets = matrix(1, 2, {1, 5});
  Grid<double> observed = matrix(1, 2, {1, 0});
  check_numbers(
      values_of({matrix(1, 2, {3, 9})},
                [&](auto& t, const Vars& v) { return tape::squared_error(t, v[0], targets.view(), observed.view()); }),
      {4, 0});
}

BOOST_AUTO_TEST_CASE(losses_that_do_not_fit_are_named) {
  const std::vector<Grid<double>> inputs{grid(2, 3, 1), grid(3, 2, 2)};
  Grid<double> targets(3, 2);
  const std::vector<std::int32_t> classes{0, 3};
  const std::vector<std::int32_t> few{0};
  BOOST_TEST(bug_of(inputs, [&](auto& t, const Vars& v) { return tape::bce_with_logits(t, v[0], targets.view()); }) ==
             "tape: bce_with_logits does not fit 2 x 3 and 3 x 2");
  BOOST_TEST(bug_of(inputs, [&](auto& t, const Vars& v) { return tape::squared_error(t, v[0], targets.view()); }) ==
             "tape: squared_error does not fit 2 x 3 and 3 x 2");
  BOOST_TEST(bug_of(inputs, [&](auto& t, const Vars& v) { return tape::multinomial_loss(t, v[0], targets.view()); }) ==
             "tape: multinomial_loss does not fit 2 x 3 and 3 x 2");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return tape::gaussian_kl(t, v[0], v[1]); }) ==
             "tape: gaussian_kl does not fit 2 x 3 and 3 x 2");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return tape::pairwise_log_sigmoid(t, v[0], v[1]); }) ==
             "tape: pairwise_log_sigmoid does not fit 2 x 3 and 3 x 2");
  BOOST_TEST(bug_of(inputs, [&](auto& t, const Vars& v) { return tape::cross_entropy(t, v[0], classes); }) ==
             "tape: cross_entropy does not fit 2 x 3 with class 3");
  BOOST_TEST(bug_of(inputs, [&](auto& t, const Vars& v) { return tape::choice_loss(t, v[0], few); }) ==
             "tape: choice_loss does not fit 2 x 3 with 1 classes");
}

BOOST_AUTO_TEST_SUITE_END()
