#define BOOST_TEST_DYN_LINK
#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/reduce.hpp"

using namespace spar;
using namespace spar::test;

BOOST_AUTO_TEST_SUITE(reduce)

BOOST_AUTO_TEST_CASE(sums_means_and_norms_have_the_gradients_of_central_differences) {
  for (const auto& [rows, columns] : shapes) {
    const auto x = grid(rows, columns, 1);
    check_operation({x}, [](auto& t, const Vars& v) { return tape::row_sum(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::row_mean(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::column_sum(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::column_mean(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::mean(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::row_norm(t, v[0], as(t, 1e-3)); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::l2_normalise(t, v[0], as(t, 1e-12)); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::l2_normalise(t, v[0], as(t, 2.0)); });
  }
}

BOOST_AUTO_TEST_CASE(position_sums_have_the_gradients_of_central_differences) {
  check_operation({grid(6, 5, 1), grid(4, 3, 2)},
                  [](auto& t, const Vars& v) { return tape::position_sums(t, v[0], v[1], 3); });
  check_operation({grid(0, 5, 1), grid(1, 3, 2)},
                  [](auto& t, const Vars& v) { return tape::position_sums(t, v[0], v[1], 3); });
  check_numbers(values_of({matrix(4, 2, {1, 2, 3, 4, 5, 6, 7, 8}), matrix(2, 2, {1, 0, 0.5, 2})},
                          [](auto& t, const Vars& v) { return tape::position_sums(t, v[0], v[1], 2); }),
                {1, 2, 6.5, 9, 5, 6, 16.5, 19});
}

BOOST_AUTO_TEST_CASE(values_are_those_computed_by_hand) {
  const auto x = matrix(2, 3, {1, 2, 2, 0, -3, 4});
  const auto check = [&](auto build, const std::vector<double>& expected) {
    check_numbers(values_of({x}, build), expected);
  };
  check([](auto& t, const Vars& v) { return tape::row_sum(t, v[0]); }, {5, 1});
  check([](auto& t, const Vars& v) { return tape::row_mean(t, v[0]); }, {5.0 / 3, 1.0 / 3});
  check([](auto& t, const Vars& v) { return tape::column_sum(t, v[0]); }, {1, -1, 6});
  check([](auto& t, const Vars& v) { return tape::column_mean(t, v[0]); }, {0.5, -0.5, 3});
  check([](auto& t, const Vars& v) { return tape::mean(t, v[0]); }, {1});
  check([](auto& t, const Vars& v) { return tape::row_norm(t, v[0], 0.0); }, {3, 5});
  check([](auto& t, const Vars& v) { return tape::l2_normalise(t, v[0], 4.0); }, {0.25, 0.5, 0.5, 0, -0.6, 0.8});
}

BOOST_AUTO_TEST_CASE(a_row_of_zeros_has_norm_and_gradient_zero) {
  std::vector<Grid<double>> x{matrix(1, 3, {0, 0, 0})};
  const Build<double> norm = [](tape::Tape<double>& t, const Vars& v) { return tape::row_norm(t, v[0], 0.0); };
  const Build<double> unit = [](tape::Tape<double>& t, const Vars& v) { return tape::l2_normalise(t, v[0], 1e-12); };
  for (int c = 0; c < 3; ++c) BOOST_TEST(tape_gradients(x, norm)[0].at(0, c) == 0.0);
  for (int c = 0; c < 3; ++c) BOOST_TEST(std::isfinite(tape_gradients(x, unit)[0].at(0, c)));
  check_numbers(values_of(x, unit), {0, 0, 0});
}

BOOST_AUTO_TEST_CASE(means_of_nothing_are_zero) {
  check_numbers(values_of({grid(0, 3, 1)}, [](auto& t, const Vars& v) { return tape::mean(t, v[0]); }), {0});
  check_numbers(values_of({grid(0, 3, 1)}, [](auto& t, const Vars& v) { return tape::column_mean(t, v[0]); }),
                {0, 0, 0});
  check_numbers(values_of({grid(2, 0, 1)}, [](auto& t, const Vars& v) { return tape::row_mean(t, v[0]); }), {0, 0});
}

BOOST_AUTO_TEST_CASE(shapes_that_do_not_fit_are_named) {
  BOOST_TEST(bug_of({grid(5, 2, 1), grid(2, 3, 2)}, [](auto& t, const Vars& v) {
               return tape::position_sums(t, v[0], v[1], 3);
             }) == "tape: position_sums does not fit 5 x 2 and 2 x 3");
}

BOOST_AUTO_TEST_SUITE_END()
