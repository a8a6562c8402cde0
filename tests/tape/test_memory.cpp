#define BOOST_TEST_DYN_LINK
#include <cmath>

#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/elementwise.hpp"
#include "spar/tape/linear.hpp"
#include "spar/tape/memory.hpp"
#include "spar/tape/reduce.hpp"
#include "spar/tape/softmax.hpp"

using namespace spar;
using namespace spar::test;

BOOST_AUTO_TEST_SUITE(memory)

BOOST_AUTO_TEST_CASE(distances_have_the_gradients_of_central_differences) {
  for (const auto& [rows, columns] : shapes) {
    const std::vector<Grid<double>> inputs{grid(rows, columns, 1), grid(4, columns, 2)};
    check_operation(inputs, [](auto& t, const Vars& v) { return tape::distances(t, v[0], v[1]); });
    check_operation(inputs, [](auto& t, const Vars& v) { return tape::squared_distances(t, v[0], v[1]); });
  }
  check_operation({grid(3, 5, 1)}, [](auto& t, const Vars& v) { return tape::squared_distances(t, v[0], v[0]); });
}

BOOST_AUTO_TEST_CASE(writes_have_the_gradients_of_central_differences) {
  for (const int events : {0, 1, 3}) {
    for (const int columns : {1, 5, 20}) {
      check_operation(
          {grid(4, columns, 1), grid(events, 4, 2, 0.5), grid(events, columns, 3, 0.5), grid(events, columns, 4)},
          [](auto& t, const Vars& v) { return tape::memory_write(t, v[0], v[1], v[2], v[3]); });
    }
  }
}

// Keys (1, 0), (0, 1), query (1, 0): weights 0.804430, 0.195570; values (2, 0), (0, 2); erase 0.5, add (1, -1).
BOOST_AUTO_TEST_CASE(reading_and_writing_are_those_computed_by_hand) {
  const auto keys = matrix(2, 2, {1, 0, 0, 1});
  const auto query = matrix(1, 2, {1, 0});
  const auto values = matrix(2, 2, {2, 0, 0, 2});
  const auto weigh = [](auto& t, const Vars& v) {
    return tape::softmax(t, tape::scale(t, tape::distances(t, v[0], v[1]), as(t, -1.0)));
  };
  check_numbers(values_of({query, keys}, weigh), {0.804430, 0.195570}, 1e-6);
  check_numbers(
      values_of({query, keys, values}, [&](auto& t, const Vars& v) { return tape::matmul(t, weigh(t, v), v[2]); }),
      {1.608859, 0.391141}, 1e-6);
  check_numbers(values_of({query, keys, values, matrix(1, 2, {0.5, 0.5}), matrix(1, 2, {1, -1})},
                          [&](auto& t, const Vars& v) { return tape::memory_write(t, v[2], weigh(t, v), v[3], v[4]); }),
                {2.0, -0.804430, 0.195570, 1.608859}, 1e-6);
}

// v = (0, 0), prototypes (1, 0) and (0, 2): the squared distance to their mean under softmax(-squared distances).
BOOST_AUTO_TEST_CASE(the_distance_to_weighted_prototypes_is_that_computed_by_hand) {
  check_numbers(values_of({matrix(1, 2, {0, 0}), matrix(2, 2, {1, 0, 0, 2})},
                          [](auto& t, const Vars& v) {
                            const auto d = tape::squared_distances(t, v[0], v[1]);
                            const auto mean = tape::matmul(t, tape::softmax(t, tape::scale(t, d, as(t, -1.0))), v[1]);
                            return tape::squared_distances(t, v[0], mean);
                          }),
                {0.916394}, 1e-6);
}

BOOST_AUTO_TEST_CASE(a_distance_of_zero_has_gradient_zero) {
  std::vector<Grid<double>> inputs{matrix(1, 2, {1, 2}), matrix(1, 2, {1, 2})};
  const Build<double> build = [](tape::Tape<double>& t, const Vars& v) { return tape::distances(t, v[0], v[1]); };
  for (const auto& gradient : tape_gradients(inputs, build)) {
    for (const double g : gradient.numbers()) BOOST_TEST(g == 0.0);
  }
}

BOOST_AUTO_TEST_CASE(writes_of_nothing_change_nothing) {
  const auto values = grid(4, 3, 1);
  BOOST_TEST(values_of({values, grid(2, 4, 2), matrix(2, 3, {0, 0, 0, 0, 0, 0}), matrix(2, 3, {0, 0, 0, 0, 0, 0})},
                       [](auto& t, const Vars& v) { return tape::memory_write(t, v[0], v[1], v[2], v[3]); }) ==
             values.numbers());
}

BOOST_AUTO_TEST_CASE(memories_that_do_not_fit_are_named) {
  const std::vector<Grid<double>> inputs{grid(4, 3, 1), grid(2, 4, 2), grid(2, 2, 3)};
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return tape::distances(t, v[0], v[1]); }) ==
             "tape: distances does not fit 4 x 3 and 2 x 4");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return tape::memory_write(t, v[0], v[2], v[2], v[2]); }) ==
             "tape: memory_write does not fit 4 x 3 and 2 x 2");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return tape::memory_write(t, v[0], v[1], v[2], v[2]); }) ==
             "tape: memory_write does not fit 4 x 3 and 2 x 2");
}

BOOST_AUTO_TEST_SUITE_END()
