#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <limits>

#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/elementwise.hpp"

namespace {

using namespace spar;
using namespace spar::test;

// Between 0.2 and 2.2, away from poles.
Grid<double> positive(int rows, int columns, int salt) {
  Grid<double> x(rows, columns, 1.0, salt);
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) x.at(r, c) += 1.2;
  }
  return x;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(elementwise)

BOOST_AUTO_TEST_CASE(functions_of_one_number_have_the_gradients_of_central_differences) {
  for (const auto& [rows, columns] : shapes) {
    const auto x = grid(rows, columns, 1);
    check_operation({x}, [](auto& t, const Vars& v) { return tape::shift(t, v[0], as(t, -0.7)); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::square(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::absolute(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::exponential(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::sigmoid(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::hyperbolic_tangent(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::relu(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::leaky_relu(t, v[0], as(t, 0.2)); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::elu(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::softplus(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::log_sigmoid(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::clip(t, v[0], as(t, -0.5), as(t, 0.8)); });
    const auto p = positive(rows, columns, 2);
    check_operation({p}, [](auto& t, const Vars& v) { return tape::root(t, v[0], as(t, 0.01)); });
    check_operation({p}, [](auto& t, const Vars& v) { return tape::logarithm(t, v[0], as(t, 0.1)); });
    check_operation({p}, [](auto& t, const Vars& v) { return tape::log_one_plus(t, v[0]); });
  }
}

BOOST_AUTO_TEST_CASE(functions_of_several_numbers_have_the_gradients_of_central_differences) {
  for (const auto& [rows, columns] : shapes) {
    const auto a = grid(rows, columns, 1);
    const auto b = grid(rows, columns, 2);
    check_operation({a, positive(rows, columns, 3)},
                    [](auto& t, const Vars& v) { return tape::divide(t, v[0], v[1]); });
    check_operation({positive(rows, columns, 4), a, b},
                    [](auto& t, const Vars& v) { return tape::mix(t, v[0], v[1], v[2]); });
    check_operation({a}, [](auto& t, const Vars& v) { return tape::mix(t, v[0], v[0], tape::square(t, v[0])); });
    check_operation({a, b}, [](auto& t, const Vars& v) { return tape::add(t, v[0], v[1]); });
    check_operation({a, b}, [](auto& t, const Vars& v) { return tape::subtract(t, v[0], v[1]); });
    check_operation({a, b}, [](auto& t, const Vars& v) { return tape::multiply(t, v[0], v[1]); });
  }
}

BOOST_AUTO_TEST_CASE(values_are_those_of_the_formulas) {
  const auto x = matrix(1, 4, {-2.0, 0.0, 0.5, 3.0});
  const auto check = [&](auto build, const std::vector<double>& expected) {
    check_numbers(values_of({x}, build), expected);
  };
  check([](auto& t, const Vars& v) { return tape::relu(t, v[0]); }, {0.0, 0.0, 0.5, 3.0});
  check([](auto& t, const Vars& v) { return tape::leaky_relu(t, v[0], 0.2); }, {-0.4, 0.0, 0.5, 3.0});
  check([](auto& t, const Vars& v) { return tape::elu(t, v[0]); }, {std::exp(-2.0) - 1.0, 0.0, 0.5, 3.0});
  check([](auto& t, const Vars& v) { return tape::clip(t, v[0], -1.0, 1.0); }, {-1.0, 0.0, 0.5, 1.0});
  check([](auto& t, const Vars& v) { return tape::absolute(t, v[0]); }, {2.0, 0.0, 0.5, 3.0});
  check([](auto& t, const Vars& v) { return tape::sigmoid(t, v[0]); },
        {0.11920292202211755, 0.5, 0.6224593312018546, 0.9525741268224334});
  check([](auto& t, const Vars& v) { return tape::log_sigmoid(t, v[0]); },
        {-2.1269280110429727, -0.6931471805599453, -0.4740769841801067, -0.04858735157374196});
  check([](auto& t, const Vars& v) { return tape::mix(t, v[0], v[0], tape::shift(t, v[0], 1.0)); },
        {1.0, 1.0, 1.0, 1.0});
}

BOOST_AUTO_TEST_CASE(activations_are_the_functions_of_their_names) {
  const auto x = grid(3, 5, 7);
  using tape::Activation;
  const auto by_kind = [&](Activation kind) {
    return values_of({x}, [&](auto& t, const Vars& v) { return tape::activate(t, v[0], kind, 0.3); });
  };
  BOOST_TEST(by_kind(Activation::none) == x.numbers());
  BOOST_TEST(by_kind(Activation::relu) == values_of({x}, [](auto& t, const Vars& v) { return tape::relu(t, v[0]); }));
  BOOST_TEST(by_kind(Activation::leaky_relu) ==
             values_of({x}, [](auto& t, const Vars& v) { return tape::leaky_relu(t, v[0], 0.3); }));
  BOOST_TEST(by_kind(Activation::elu) == values_of({x}, [](auto& t, const Vars& v) { return tape::elu(t, v[0]); }));
  BOOST_TEST(by_kind(Activation::sigmoid) ==
             values_of({x}, [](auto& t, const Vars& v) { return tape::sigmoid(t, v[0]); }));
  BOOST_TEST(by_kind(Activation::tanh) ==
             values_of({x}, [](auto& t, const Vars& v) { return tape::hyperbolic_tangent(t, v[0]); }));
  BOOST_TEST(by_kind(Activation::softplus) ==
             values_of({x}, [](auto& t, const Vars& v) { return tape::softplus(t, v[0]); }));
}

BOOST_AUTO_TEST_CASE(kinks_have_gradient_zero_and_far_logits_stay_finite) {
  const auto slope = [](double at, auto build) {
    std::vector<Grid<double>> x{matrix(1, 1, {at})};
    const Build<double> one = build;
    return tape_gradients(x, one)[0].at(0, 0) / scaliser(0, 0);
  };
  BOOST_TEST(slope(0.0, [](auto& t, const Vars& v) { return tape::relu(t, v[0]); }) == 0.0);
  BOOST_TEST(slope(0.0, [](auto& t, const Vars& v) { return tape::absolute(t, v[0]); }) == 0.0);
  for (const double far : {-1000.0, 1000.0}) {
    const auto x = matrix(1, 1, {far});
    BOOST_TEST(values_of({x}, [](auto& t, const Vars& v) { return tape::softplus(t, v[0]); })[0] == std::max(far, 0.0));
    BOOST_TEST(std::isfinite(slope(far, [](auto& t, const Vars& v) { return tape::log_sigmoid(t, v[0]); })));
  }
}

BOOST_AUTO_TEST_CASE(gradients_are_stopped_and_reversed_while_values_pass) {
  const auto x = grid(3, 5, 1);
  BOOST_TEST(values_of({x}, [](auto& t, const Vars& v) { return tape::reverse_gradient(t, v[0], 0.3); }) ==
             x.numbers());
  BOOST_TEST(values_of({x}, [](auto& t, const Vars& v) { return tape::stop_gradient(t, v[0]); }) == x.numbers());
  std::vector<Grid<double>> inputs{x};
  const Build<double> stopped = [](tape::Tape<double>& t, const Vars& v) {
    return tape::add(t, tape::stop_gradient(t, tape::square(t, v[0])), v[0]);
  };
  const Build<double> plain = [](tape::Tape<double>& t, const Vars& v) { return tape::scale(t, v[0], 1.0); };
  check_close(tape_gradients(inputs, stopped), tape_gradients(inputs, plain), 0.0);
  const Build<double> reversed = [](tape::Tape<double>& t, const Vars& v) {
    return tape::square(t, tape::reverse_gradient(t, v[0], 0.3));
  };
  const Build<double> by_hand = [](tape::Tape<double>& t, const Vars& v) {
    return tape::scale(t, tape::square(t, v[0]), -0.3);
  };
  check_close(tape_gradients(inputs, reversed), tape_gradients(inputs, by_hand), 1e-15);
}

BOOST_AUTO_TEST_CASE(elementwise_shapes_that_do_not_fit_are_named_both) {
  const std::vector<Grid<double>> unequal{grid(2, 3, 1), grid(3, 2, 2)};
  BOOST_TEST(bug_of(unequal, [](auto& t, const Vars& v) { return tape::divide(t, v[0], v[1]); }) ==
             "tape: divide does not fit 2 x 3 and 3 x 2");
  BOOST_TEST(bug_of(unequal, [](auto& t, const Vars& v) { return tape::mix(t, v[0], v[0], v[1]); }) ==
             "tape: mix does not fit 2 x 3 and 3 x 2");
}

BOOST_AUTO_TEST_SUITE_END()
