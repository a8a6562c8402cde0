#define BOOST_TEST_DYN_LINK
#include <vector>

#include "support/gradient_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/tape/operations.hpp"

namespace {

using namespace spar;
using test::check_gradients;
using test::Grid;
using Vars = std::vector<tape::Var>;
using DoubleTape = tape::Tape<double>;

Grid<double> grid(int rows, int columns, int salt) {
  return {rows, columns, 1.3, salt};
}

std::string bug_of(const std::function<void(tape::Tape<float>&)>& action) {
  tape::Tape<float> tape;
  try {
    action(tape);
  } catch (const Bug& bug) {
    return bug.what();
  }
  return "no bug was thrown";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(operations)

BOOST_AUTO_TEST_CASE(elementwise_operations_have_the_gradients_of_central_differences) {
  for (const auto& [rows, columns] : {std::pair{1, 1}, {3, 5}, {7, 16}, {2, 20}}) {
    check_gradients({grid(rows, columns, 1), grid(rows, columns, 2)},
                    [](DoubleTape& t, const Vars& x) { return tape::add(t, x[0], x[1]); });
    check_gradients({grid(rows, columns, 1), grid(rows, columns, 2)},
                    [](DoubleTape& t, const Vars& x) { return tape::subtract(t, x[0], x[1]); });
    check_gradients({grid(rows, columns, 1), grid(rows, columns, 2)},
                    [](DoubleTape& t, const Vars& x) { return tape::multiply(t, x[0], x[1]); });
    check_gradients({grid(rows, columns, 1)}, [](DoubleTape& t, const Vars& x) { return tape::scale(t, x[0], -1.75); });
  }
}

BOOST_AUTO_TEST_CASE(gather_adds_the_gradients_of_a_row_that_is_taken_twice) {
  const std::vector<std::int32_t> slots{2, 0, 2, 2, 4};
  check_gradients({grid(5, 7, 1)}, [&](DoubleTape& t, const Vars& x) { return tape::gather(t, x[0], slots); });
}

BOOST_AUTO_TEST_CASE(row_products_sums_and_norms_have_the_gradients_of_central_differences) {
  check_gradients({grid(6, 19, 1), grid(6, 19, 2)},
                  [](DoubleTape& t, const Vars& x) { return tape::row_dot(t, x[0], x[1]); });
  check_gradients({grid(6, 19, 1)}, [](DoubleTape& t, const Vars& x) { return tape::sum(t, x[0]); });
  check_gradients({grid(6, 19, 1)}, [](DoubleTape& t, const Vars& x) { return tape::squared_norm(t, x[0]); });
}

BOOST_AUTO_TEST_CASE(the_logistic_loss_has_the_gradients_of_central_differences_on_both_sides_of_its_floor) {
  check_gradients({Grid<double>(4, 9, 12.0, 3)},
                  [](DoubleTape& t, const Vars& x) { return tape::logistic_loss(t, x[0], -80.0); });
  check_gradients({Grid<double>(4, 9, 12.0, 3)},
                  [](DoubleTape& t, const Vars& x) { return tape::logistic_loss(t, x[0], -2.5); });
}

BOOST_AUTO_TEST_CASE(a_value_that_is_used_in_several_places_gets_the_sum_of_its_gradients) {
  check_gradients({grid(4, 6, 1), grid(4, 6, 2)}, [](DoubleTape& t, const Vars& x) {
    const auto product = tape::multiply(t, x[0], x[0]);
    const auto mixed = tape::subtract(t, tape::multiply(t, product, x[1]), tape::scale(t, x[0], 0.5));
    return tape::add(t, mixed, tape::logistic_loss(t, tape::add(t, x[0], x[1]), -80.0));
  });
}

BOOST_AUTO_TEST_CASE(bpr_composed_of_small_operations_has_the_gradients_of_central_differences) {
  const std::vector<std::int32_t> users{0, 1, 1, 2};
  const std::vector<std::int32_t> positive{0, 1, 3, 4};
  const std::vector<std::int32_t> negative{1, 0, 2, 0};
  check_gradients({grid(3, 5, 1), grid(6, 5, 2)}, [&](DoubleTape& t, const Vars& x) {
    const auto u = tape::gather(t, x[0], users);
    const auto d = tape::subtract(t, tape::gather(t, x[1], positive), tape::gather(t, x[1], negative));
    return tape::logistic_loss(t, tape::row_dot(t, u, d), -80.0);
  });
}

BOOST_AUTO_TEST_CASE(a_tap_adds_its_perturbation_and_lets_the_gradient_through_unchanged) {
  Grid<double> delta = grid(3, 5, 9);
  const auto build = [&](DoubleTape& t, const Vars& x) {
    t.perturb("user", delta.view());
    return tape::row_dot(t, t.tap("user", x[0]), t.tap("item", x[1]));
  };
  check_gradients({grid(3, 5, 1), grid(3, 5, 2)}, build);

  DoubleTape tape;
  Grid<double> a = grid(3, 5, 1);
  Grid<double> untapped_gradient(3, 5);
  const auto x = tape.parameter(a.view(), untapped_gradient.view());
  BOOST_TEST(tape.tap("user", x).id == x.id);
  tape.perturb("user", delta.view());
  const auto moved = tape.tap("user", x);
  BOOST_TEST(tape.value(moved).at(2, 4) == a.at(2, 4) + delta.at(2, 4));
  BOOST_TEST(tape.tap("item", x).id == x.id);
  tape.reset();
  const auto again = tape.constant(a.view());
  BOOST_TEST(tape.tap("user", again).id == again.id);
}

BOOST_AUTO_TEST_CASE(shapes_that_do_not_fit_are_named_both) {
  Grid<float> a(2, 3);
  Grid<float> b(3, 2);
  const auto pair = [&](auto operation) {
    return bug_of([&](tape::Tape<float>& t) { operation(t, t.constant(a.view()), t.constant(b.view())); });
  };
  using T = tape::Tape<float>&;
  using V = tape::Var;
  BOOST_TEST(pair([](T t, V x, V y) { tape::add(t, x, y); }) == "tape: add does not fit 2 x 3 and 3 x 2");
  BOOST_TEST(pair([](T t, V x, V y) { tape::subtract(t, x, y); }) == "tape: subtract does not fit 2 x 3 and 3 x 2");
  BOOST_TEST(pair([](T t, V x, V y) { tape::multiply(t, x, y); }) == "tape: multiply does not fit 2 x 3 and 3 x 2");
  BOOST_TEST(pair([](T t, V x, V y) { tape::row_dot(t, x, y); }) == "tape: row_dot does not fit 2 x 3 and 3 x 2");
  const std::vector<std::int32_t> slots{1, 2};
  BOOST_TEST(bug_of([&](T t) { tape::gather(t, t.constant(a.view()), slots); }) == "tape: gather of row 2 from 2 x 3");
}

BOOST_AUTO_TEST_SUITE_END()
