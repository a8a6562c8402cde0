#define BOOST_TEST_DYN_LINK
#include <cstring>

#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/memory.hpp"
#include "spar/tape/linear.hpp"

namespace {

using namespace spar;
using namespace spar::test;
using tape::Side;

struct Size {
  int rows;
  int depth;
  int columns;
};

// Remainders of every tile, several depth blocks, nothing at all.
const std::vector<Size> sizes{{1, 1, 1}, {3, 5, 7}, {9, 2, 17}, {17, 33, 49}, {0, 3, 4}, {2, 0, 3}, {2, 300, 3}};

std::vector<double> slow_product(const Grid<double>& a, const Grid<double>& b) {
  std::vector<double> c;
  for (int i = 0; i < a.rows(); ++i) {
    for (int j = 0; j < b.columns(); ++j) {
      double total = 0.0;
      for (int k = 0; k < a.columns(); ++k) total += a.at(i, k) * b.at(k, j);
      c.push_back(total);
    }
  }
  return c;
}

Grid<double> transposed(const Grid<double>& a) {
  Grid<double> b(a.columns(), a.rows());
  for (int r = 0; r < a.rows(); ++r) {
    for (int c = 0; c < a.columns(); ++c) b.at(c, r) = a.at(r, c);
  }
  return b;
}

template <class T>
std::vector<T> product_of(Grid<T>& a, Grid<T>& b, Side a_side, Side b_side) {
  tape::Tape<T> tape;
  const auto y = tape.value(tape::matmul(tape, tape.constant(a.view()), tape.constant(b.view()), a_side, b_side));
  std::vector<T> numbers;
  for (int r = 0; r < y.rows; ++r) numbers.insert(numbers.end(), y.row(r), y.row(r) + y.columns);
  return numbers;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(linear)

BOOST_AUTO_TEST_CASE(products_of_either_side_are_the_sums_over_the_depth) {
  for (const auto& [rows, depth, columns] :
       {Size{1, 1, 1}, {3, 5, 7}, {70, 129, 200}, {8, 48, 16}, {65, 700, 35}, {2, 0, 3}, {0, 3, 3}}) {
    const auto a = grid(rows, depth, 1);
    const auto b = grid(depth, columns, 2);
    const auto expected = slow_product(a, b);
    for (const bool left : {false, true}) {
      for (const bool right : {false, true}) {
        Grid<double> x = left ? transposed(a) : a;
        Grid<double> y = right ? transposed(b) : b;
        const Side xs = left ? Side::transposed : Side::plain;
        const Side ys = right ? Side::transposed : Side::plain;
        check_numbers(product_of(x, y, xs, ys), expected, 1e-12);
        Grid<float> xf = x.as<float>();
        Grid<float> yf = y.as<float>();
        const auto in_float = product_of(xf, yf, xs, ys);
        check_numbers({in_float.begin(), in_float.end()}, expected, 1e-4);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(products_have_the_gradients_of_central_differences) {
  for (const auto& [rows, depth, columns] : sizes) {
    const auto a = grid(rows, depth, 1);
    const auto b = grid(depth, columns, 2, 0.3);
    check_operation(
        {a, b}, [](auto& t, const Vars& v) { return tape::matmul(t, v[0], v[1]); }, 2e-8);
    check_operation(
        {transposed(a), b},
        [](auto& t, const Vars& v) { return tape::matmul(t, v[0], v[1], Side::transposed, Side::plain); }, 2e-8);
    check_operation(
        {a, transposed(b)},
        [](auto& t, const Vars& v) { return tape::matmul(t, v[0], v[1], Side::plain, Side::transposed); }, 2e-8);
    check_operation(
        {transposed(a), transposed(b)},
        [](auto& t, const Vars& v) { return tape::matmul(t, v[0], v[1], Side::transposed, Side::transposed); }, 2e-8);
  }
  check_operation({grid(5, 5, 1)}, [](auto& t, const Vars& v) { return tape::matmul(t, v[0], v[0]); });
}

BOOST_AUTO_TEST_CASE(a_linear_layer_has_the_gradients_of_central_differences) {
  for (const auto& [rows, depth, columns] : sizes) {
    const std::vector<Grid<double>> inputs{grid(rows, depth, 1), grid(depth, columns, 2, 0.3), grid(1, columns, 3)};
    check_operation(
        inputs, [](auto& t, const Vars& v) { return tape::linear(t, v[0], v[1], v[2]); }, 2e-8);
    check_operation(
        inputs, [](auto& t, const Vars& v) { return tape::linear(t, v[0], v[1], v[2], tape::Activation::tanh); }, 2e-8);
    check_operation(
        {inputs[0], inputs[1]}, [](auto& t, const Vars& v) { return tape::linear(t, v[0], v[1], {}); }, 2e-8);
  }
}

BOOST_AUTO_TEST_CASE(a_linear_layer_is_computed_by_hand) {
  check_numbers(values_of({matrix(2, 2, {1, 2, 3, 4}), matrix(2, 3, {1, 0, 2, -1, 1, 0.5}), matrix(1, 3, {10, 20, 30})},
                          [](auto& t, const Vars& v) { return tape::linear(t, v[0], v[1], v[2]); }),
                {9, 22, 33, 9, 24, 38});
  check_numbers(values_of({matrix(1, 2, {1, 2}), matrix(2, 2, {1, 0, -1, 1}), matrix(1, 2, {0.5, -3})},
                          [](auto& t, const Vars& v) {
                            return tape::linear(t, v[0], v[1], v[2], tape::Activation::leaky_relu, as(t, 0.5));
                          }),
                {-0.25, -0.5});
}

// What lets blocks be cut anywhere: an element is a function of its row and its column alone.
BOOST_AUTO_TEST_CASE(the_bits_of_an_element_do_not_depend_on_where_it_stands) {
  constexpr int depth = 301;
  Grid<float> a(67, depth, 1.0, 1);
  Grid<float> b(depth, 101, 1.0, 2);
  const auto whole = product_of(a, b, Side::plain, Side::plain);
  Grid<float> bt(101, depth);
  for (int k = 0; k < depth; ++k) {
    for (int j = 0; j < 101; ++j) bt.at(j, k) = b.at(k, j);
  }
  BOOST_TEST(whole == product_of(a, bt, Side::plain, Side::transposed));
  for (const int first : {1, 5, 66}) {
    const int rows = 67 - first;
    Grid<float> part(rows, depth);
    for (int r = 0; r < rows; ++r) std::memcpy(&part.at(r, 0), a.row(first + r), depth * sizeof(float));
    Grid<float> narrow(depth, 40);
    for (int k = 0; k < depth; ++k) std::memcpy(&narrow.at(k, 0), b.row(k) + 61, 40 * sizeof(float));
    const auto got = product_of(part, narrow, Side::plain, Side::plain);
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < 40; ++c) {
        if (got[static_cast<std::size_t>(r * 40 + c)] != whole[static_cast<std::size_t>((first + r) * 101 + 61 + c)])
          BOOST_ERROR("row " << r << ", column " << c << " of the part from row " << first << " differs");
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_bits_of_a_product_do_not_depend_on_addresses) {
  constexpr int rows = 33, depth = 45, columns = 50;
  Grid<float> a(rows, depth, 1.0, 1);
  Grid<float> b(depth, columns, 1.0, 2);
  const auto expected = product_of(a, b, Side::plain, Side::plain);
  Buffer<float> room(static_cast<std::size_t>(depth) * 64 + 64);
  for (const int offset : {1, 3, 8, 13}) {
    const tape::Matrix<float> moved{room.data() + offset, depth, columns, 64};
    for (int k = 0; k < depth; ++k) std::memcpy(moved.row(k), b.row(k), columns * sizeof(float));
    tape::Tape<float> tape;
    const auto y = tape.value(tape::matmul(tape, tape.constant(a.view()), tape.constant(moved)));
    for (int r = 0; r < rows; ++r)
      BOOST_TEST(std::memcmp(y.row(r), expected.data() + static_cast<std::ptrdiff_t>(r) * columns,
                             columns * sizeof(float)) == 0);
  }
}

BOOST_AUTO_TEST_CASE(rows_that_lie_anywhere_are_multiplied_like_others) {
  Grid<float> a(9, 20, 1.0, 1);
  Grid<float> b(20, 5, 1.0, 2);
  Grid<float> gradient(9, 20);
  Grid<float> apart(9, 20);
  std::vector<float*> places;
  std::vector<float*> apart_places;
  for (int r = 0; r < 9; ++r) {
    places.push_back(a.view().row(r));
    apart_places.push_back(apart.view().row(8 - r));
  }
  const auto step = [&](tape::Matrix<float> value, tape::Matrix<float> to) {
    tape::Tape<float> tape;
    const auto y = tape::matmul(tape, tape.parameter(value, to), tape.constant(b.view()));
    tape.backward(tape::squared_norm(tape, y));
    return tape.value(y).at(8, 4);
  };
  const float plain = step(a.view(), gradient.view());
  BOOST_TEST(step({nullptr, 9, 20, 32, places.data()}, {nullptr, 9, 20, 32, apart_places.data()}) == plain);
  for (int r = 0; r < 9; ++r) BOOST_TEST(std::memcmp(apart.row(8 - r), gradient.row(r), 20 * sizeof(float)) == 0);
}

BOOST_AUTO_TEST_CASE(products_that_do_not_fit_are_named) {
  const std::vector<Grid<double>> inputs{grid(2, 3, 1), grid(2, 4, 2), grid(1, 3, 3)};
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return tape::matmul(t, v[0], v[1]); }) ==
             "tape: matmul does not fit 2 x 3 and 2 x 4");
  BOOST_TEST(bug_of(inputs, [](auto& t, const Vars& v) { return tape::linear(t, v[0], v[1], {}); }) ==
             "tape: linear does not fit 2 x 3 and 2 x 4");
  BOOST_TEST(bug_of({grid(2, 2, 1), inputs[1], inputs[2]}, [](auto& t, const Vars& v) {
               return tape::linear(t, v[0], v[1], v[2]);
             }) == "tape: linear does not fit 2 x 4 and 1 x 3");
}

BOOST_AUTO_TEST_SUITE_END()
