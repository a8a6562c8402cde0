#include <cmath>
#include <vector>

#include "support/gradient_check.hpp"
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "spar/tape/pointwise.hpp"

namespace {

using namespace spar;
using test::Grid;

// Twenty examples, more than a vector of lanes holds; rows that occur often, once and never.
struct Examples {
  std::vector<std::int32_t> user;
  std::vector<std::int32_t> item;
  std::vector<float> labels;
  Examples() {
    for (int k = 0; k < 20; ++k) {
      user.push_back(k * k % 3);
      item.push_back(k * 7 % 5);
      labels.push_back(k % 3 == 0 ? 1.0F : 0.0F);
    }
  }
  tape::Points points() const { return {user, item, labels}; }
};

const Examples examples;

template <class T>
std::vector<Grid<T>> inputs(int dim) {
  std::vector<Grid<T>> grids{{4, dim + 1, 0.4, 1}, {6, dim + 1, 0.5, 2}, {1, 1, 0.3, 3}};
  // What stands behind a row must not count.
  grids[0].pad_with(T{7});
  grids[1].pad_with(T{-5});
  return grids;
}

// Around the widths of a line, and of the four lines that are summed together.
const std::vector<int> widths{1, 7, 15, 16, 17, 64, 79};

}  // namespace

BOOST_AUTO_TEST_SUITE(pointwise)

BOOST_DATA_TEST_CASE(its_gradients_are_those_of_central_differences, boost::unit_test::data::make(widths), dim) {
  test::check_gradients(inputs<double>(dim), [&](tape::Tape<double>& tape, const std::vector<tape::Var>& in) {
    return tape::pointwise_logistic(tape, in[0], in[1], in[2], examples.points(), 0.07);
  });
}

BOOST_DATA_TEST_CASE(it_is_the_formula_of_the_paper, boost::unit_test::data::make(widths), dim) {
  auto in = inputs<double>(dim);
  constexpr double l2 = 0.07;
  double expected = 0.0;
  for (std::size_t k = 0; k < examples.labels.size(); ++k) {
    double z = in[2].at(0, 0) + in[0].at(examples.user[k], dim) + in[1].at(examples.item[k], dim);
    double squares = in[2].at(0, 0) * in[2].at(0, 0);
    for (int c = 0; c <= dim; ++c) {
      const double p = in[0].at(examples.user[k], c);
      const double q = in[1].at(examples.item[k], c);
      if (c < dim) z += p * q;
      squares += p * p + q * q;
    }
    expected += std::log1p(std::exp(examples.labels[k] > 0 ? -z : z)) + 0.5 * l2 * squares;
  }
  const auto loss = [&]<class T>(std::vector<Grid<T>> grids) {
    tape::Tape<T> tape;
    const auto out = tape::pointwise_logistic(tape, tape.constant(grids[0].view()), tape.constant(grids[1].view()),
                                              tape.constant(grids[2].view()), examples.points(), l2);
    return static_cast<double>(tape.value(out).at(0, 0));
  };
  BOOST_TEST(std::abs(loss(in) - expected) < 1e-12 * expected);
  BOOST_TEST(std::abs(loss(inputs<float>(dim)) - expected) < 3e-6 * expected);
}

BOOST_AUTO_TEST_CASE(gradients_leave_zeros_behind_the_rows_and_in_rows_without_examples) {
  auto in = inputs<float>(17);
  const auto gradients = test::tape_gradients<float>(in, [&](tape::Tape<float>& tape, const std::vector<tape::Var>& v) {
    return tape::pointwise_logistic(tape, v[0], v[1], v[2], examples.points(), 0.07);
  });
  for (const auto& gradient : gradients) BOOST_TEST(gradient.padding_is_zero());
  for (int c = 0; c <= 17; ++c) {
    BOOST_TEST(gradients[0].at(3, c) == 0.0F);
    BOOST_TEST(gradients[1].at(5, c) == 0.0F);
  }
}

BOOST_AUTO_TEST_SUITE_END()
