#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <limits>

#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/softmax.hpp"

namespace {

using namespace spar;
using namespace spar::test;

// Marks about two cells of three; none of the last row's.
template <class T>
Grid<T> some_mask(int rows, int columns) {
  Grid<T> mask(rows, columns);
  for (int r = 0; r + 1 < rows; ++r) {
    for (int c = 0; c < columns; ++c) mask.at(r, c) = (r + 2 * c) % 3 == 0 ? T{} : T{1};
  }
  return mask;
}

// A mask of the tape's kind that outlives it.
struct Masks {
  Grid<double> in_double;
  Grid<float> in_float;

  tape::Matrix<double> of(const tape::Tape<double>&) { return in_double.view(); }
  tape::Matrix<float> of(const tape::Tape<float>&) { return in_float.view(); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(softmax)

BOOST_AUTO_TEST_CASE(softmaxes_have_the_gradients_of_central_differences) {
  for (const auto& [rows, columns] : shapes) {
    const auto x = grid(rows, columns, 1, 2.0);
    check_operation({x}, [](auto& t, const Vars& v) { return tape::softmax(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::log_softmax(t, v[0]); });
    check_operation({x}, [](auto& t, const Vars& v) { return tape::log_sum_exp(t, v[0]); });
    Masks mask{some_mask<double>(rows, columns), some_mask<float>(rows, columns)};
    check_operation({x}, [&](auto& t, const Vars& v) { return tape::softmax(t, v[0], mask.of(t)); });
    check_operation({x}, [&](auto& t, const Vars& v) { return tape::log_softmax(t, v[0], mask.of(t)); });
    check_operation({x}, [&](auto& t, const Vars& v) { return tape::log_sum_exp(t, v[0], mask.of(t)); });
  }
}

BOOST_AUTO_TEST_CASE(values_are_those_computed_by_hand) {
  const auto x = matrix(1, 3, {0.0, std::log(2.0), std::log(5.0)});
  Grid<double> mask = matrix(1, 3, {1, 0, 1});
  check_numbers(values_of({x}, [](auto& t, const Vars& v) { return tape::softmax(t, v[0]); }), {0.125, 0.25, 0.625});
  check_numbers(values_of({x}, [&](auto& t, const Vars& v) { return tape::softmax(t, v[0], mask.view()); }),
                {1.0 / 6, 0.0, 5.0 / 6});
  check_numbers(values_of({x}, [](auto& t, const Vars& v) { return tape::log_softmax(t, v[0]); }),
                {std::log(0.125), std::log(0.25), std::log(0.625)});
  check_numbers(values_of({x}, [](auto& t, const Vars& v) { return tape::log_sum_exp(t, v[0]); }), {std::log(8.0)});
  check_numbers(values_of({x}, [&](auto& t, const Vars& v) { return tape::log_sum_exp(t, v[0], mask.view()); }),
                {std::log(6.0)});
}

BOOST_AUTO_TEST_CASE(a_row_without_any_cell_gives_zeros) {
  Grid<double> none(1, 3);
  for (const auto& numbers :
       {values_of({grid(1, 3, 1)}, [&](auto&t, const Vars&v) { return tape::softmax(t, v[0], none.view()); }),
        values_of({grid(1, 3, 1)}, [&](auto&t, const Vars&v) { return tape::log_softmax(t, v[0], none.view()); }),
        values_of({grid(1, 3, 1)}, [&](auto&t, const Vars&v) { return tape::log_sum_exp(t, v[0], none.view()); })}) {
    for (const double number : numbers) BOOST_TEST(number == 0.0);
  }
}

BOOST_AUTO_TEST_CASE(large_logits_do_not_overflow_and_a_shift_changes_nothing) {
  const auto x = matrix(1, 3, {1000.0, 1001.0, 999.0});
  const auto y = matrix(1, 3, {0.0, 1.0, -1.0});
  const auto p = [](auto& t, const Vars& v) { return tape::softmax(t, v[0]); };
  check_numbers(values_of({x}, p), values_of({y}, p));
}

BOOST_AUTO_TEST_CASE(nan_reaches_the_whole_row) {
  const auto x = matrix(1, 3, {0.0, std::numeric_limits<double>::quiet_NaN(), 1.0});
  for (const double p : values_of({x}, [](auto&t, const Vars&v) { return tape::softmax(t, v[0]); }))
    BOOST_TEST(std::isnan(p));
}

BOOST_AUTO_TEST_CASE(masks_that_do_not_fit_are_named) {
  Grid<double> mask(3, 2);
  BOOST_TEST(bug_of({grid(2, 3, 1)}, [&](auto& t, const Vars& v) { return tape::softmax(t, v[0], mask.view()); }) ==
             "tape: softmax does not fit 2 x 3 and 3 x 2");
}

BOOST_AUTO_TEST_SUITE_END()
