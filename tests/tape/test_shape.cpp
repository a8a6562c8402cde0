#define BOOST_TEST_DYN_LINK
#include <array>

#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/shape.hpp"

namespace {

using namespace spar;
using namespace spar::test;

template <class T>
tape::Var beside(tape::Tape<T>& t, tape::Var a, tape::Var b, tape::Var c) {
  const std::array parts{a, b, c};
  return tape::concat_columns<T>(t, parts);
}

template <class T>
tape::Var below(tape::Tape<T>& t, tape::Var a, tape::Var b, tape::Var c) {
  const std::array parts{a, b, c};
  return tape::concat_rows<T>(t, parts);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(shape)

BOOST_AUTO_TEST_CASE(joining_and_cutting_have_the_gradients_of_central_differences) {
  for (const auto& [rows, columns] : shapes) {
    check_operation({grid(rows, columns, 1), grid(rows, 17, 2)},
                    [](auto& t, const Vars& v) { return beside(t, v[0], v[1], v[0]); });
    check_operation({grid(rows, columns, 1), grid(3, columns, 2)},
                    [](auto& t, const Vars& v) { return below(t, v[0], v[1], v[0]); });
    check_operation({grid(rows, columns, 1)}, [columns = columns](auto& t, const Vars& v) {
      return tape::slice_columns(t, v[0], columns / 3, columns - columns / 3);
    });
    check_operation({grid(rows, columns, 1)}, [rows = rows](auto& t, const Vars& v) {
      return tape::slice_rows(t, v[0], rows / 3, (rows + 1) / 2);
    });
  }
  check_operation({grid(4, 9, 1)}, [](auto& t, const Vars& v) {
    return tape::add(t, tape::slice_columns(t, v[0], 1, 5), tape::slice_columns(t, v[0], 3, 5));
  });
}

BOOST_AUTO_TEST_CASE(rearranging_and_repeating_have_the_gradients_of_central_differences) {
  for (const auto& [rows, columns] : shapes) {
    check_operation({grid(rows, columns, 1)}, [](auto& t, const Vars& v) { return tape::transpose(t, v[0]); });
    check_operation({grid(rows, columns, 1)}, [rows = rows, columns = columns](auto& t, const Vars& v) {
      return tape::reshape(t, v[0], columns, rows);
    });
    check_operation({grid(rows, columns, 1)}, [](auto& t, const Vars& v) { return tape::tile_rows(t, v[0], 3); });
    check_operation({grid(rows, columns, 1)}, [](auto& t, const Vars& v) { return tape::repeat_rows(t, v[0], 3); });
  }
}

BOOST_AUTO_TEST_CASE(broadcasts_have_the_gradients_of_central_differences) {
  for (const auto& [rows, columns] : shapes) {
    const auto x = grid(rows, columns, 1);
    const auto row = grid(1, columns, 2);
    const auto column = grid(rows, 1, 3);
    check_operation({x, row}, [](auto& t, const Vars& v) { return tape::add_row(t, v[0], v[1]); });
    check_operation({x, row}, [](auto& t, const Vars& v) { return tape::multiply_row(t, v[0], v[1]); });
    check_operation({x, column}, [](auto& t, const Vars& v) { return tape::add_column(t, v[0], v[1]); });
    check_operation({x, column}, [](auto& t, const Vars& v) { return tape::multiply_column(t, v[0], v[1]); });
  }
}

BOOST_AUTO_TEST_CASE(every_number_goes_where_the_shape_says) {
  const auto x = matrix(2, 3, {1, 2, 3, 4, 5, 6});
  const auto y = matrix(2, 1, {7, 8});
  const auto z = matrix(1, 3, {7, 8, 9});
  const auto check = [](const std::vector<Grid<double>>& inputs, auto build, const std::vector<double>& expected) {
    BOOST_TEST(values_of(inputs, build) == expected, boost::test_tools::per_element());
  };
  check({x, y}, [](auto& t, const Vars& v) { return beside(t, v[0], v[1], v[1]); }, {1, 2, 3, 7, 7, 4, 5, 6, 8, 8});
  check({x, z}, [](auto& t, const Vars& v) { return below(t, v[1], v[0], v[1]); },
        {7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  check({x}, [](auto& t, const Vars& v) { return tape::slice_columns(t, v[0], 1, 2); }, {2, 3, 5, 6});
  check({x}, [](auto& t, const Vars& v) { return tape::slice_rows(t, v[0], 1, 1); }, {4, 5, 6});
  check({x}, [](auto& t, const Vars& v) { return tape::transpose(t, v[0]); }, {1, 4, 2, 5, 3, 6});
  check({x}, [](auto& t, const Vars& v) { return tape::reshape(t, v[0], 3, 2); }, {1, 2, 3, 4, 5, 6});
  check({y}, [](auto& t, const Vars& v) { return tape::tile_rows(t, v[0], 2); }, {7, 8, 7, 8});
  check({y}, [](auto& t, const Vars& v) { return tape::repeat_rows(t, v[0], 2); }, {7, 7, 8, 8});
  check({x, z}, [](auto& t, const Vars& v) { return tape::add_row(t, v[0], v[1]); }, {8, 10, 12, 11, 13, 15});
  check({x, z}, [](auto& t, const Vars& v) { return tape::multiply_row(t, v[0], v[1]); }, {7, 16, 27, 28, 40, 54});
  check({x, y}, [](auto& t, const Vars& v) { return tape::add_column(t, v[0], v[1]); }, {8, 9, 10, 12, 13, 14});
  check({x, y}, [](auto& t, const Vars& v) { return tape::multiply_column(t, v[0], v[1]); }, {7, 14, 21, 32, 40, 48});
}

BOOST_AUTO_TEST_CASE(shapes_that_do_not_fit_are_named) {
  const std::vector<Grid<double>> inputs{grid(2, 3, 1), grid(3, 2, 2)};
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return beside(t, v[0], v[1], v[0]); }) ==
             "tape: concat_columns does not fit 2 x 3 and 3 x 2");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return below(t, v[0], v[1], v[0]); }) ==
             "tape: concat_rows does not fit 2 x 3 and 3 x 2");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return tape::slice_columns(t, v[0], 2, 2); }) ==
             "tape: slice_columns does not fit 2 x 3 with columns 2 to 4");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return tape::slice_rows(t, v[0], -1, 2); }) ==
             "tape: slice_rows does not fit 2 x 3 with rows -1 to 1");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return tape::reshape(t, v[0], 2, 2); }) ==
             "tape: reshape does not fit 2 x 3 with 2 x 2");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return tape::tile_rows(t, v[0], -1); }) ==
             "tape: tile_rows does not fit 2 x 3 with -1 repeats");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return tape::add_row(t, v[0], v[1]); }) ==
             "tape: add_row does not fit 2 x 3 and 3 x 2");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return tape::multiply_column(t, v[0], v[1]); }) ==
             "tape: multiply_column does not fit 2 x 3 and 3 x 2");
}

BOOST_AUTO_TEST_SUITE_END()
