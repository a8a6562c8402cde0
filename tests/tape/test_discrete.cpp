#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <limits>
#include <numeric>

#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/discrete.hpp"
#include "spar/tape/noise.hpp"
#include "spar/tape/softmax.hpp"

namespace {

using namespace spar;
using namespace spar::test;

// One matrix in both kinds, for noise.
struct Both {
  explicit Both(const Grid<double>& m) : in_double(m), in_float(m.as<float>()) {}
  tape::Matrix<double> of(const tape::Tape<double>&) { return in_double.view(); }
  tape::Matrix<float> of(const tape::Tape<float>&) { return in_float.view(); }

  Grid<double> in_double;
  Grid<float> in_float;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(discrete)

BOOST_AUTO_TEST_CASE(reparameterised_draws_have_the_gradients_of_central_differences) {
  for (const auto& [rows, columns] : shapes) {
    Both noise(grid(rows, columns, 9));
    check_operation({grid(rows, columns, 1), grid(rows, columns, 2)},
                    [&](auto& t, const Vars& v) { return tape::gaussian_sample(t, v[0], v[1], noise.of(t)); });
    check_operation({grid(rows, columns, 1)}, [&](auto& t, const Vars& v) {
      return tape::gumbel_softmax(t, v[0], noise.of(t), as(t, 0.7), false);
    });
  }
}

BOOST_AUTO_TEST_CASE(a_hard_draw_is_one_hot_and_has_the_gradient_of_the_soft_one) {
  std::vector<Grid<double>> x{grid(5, 7, 1)};
  Grid<double> noise = grid(5, 7, 9);
  const Build<double> soft = [&](tape::Tape<double>& t, const Vars& v) {
    return tape::gumbel_softmax(t, v[0], noise.view(), 0.7, false);
  };
  const Build<double> hard = [&](tape::Tape<double>& t, const Vars& v) {
    return tape::gumbel_softmax(t, v[0], noise.view(), 0.7, true);
  };
  check_close(tape_gradients(x, hard), tape_gradients(x, soft), 0.0);
  const auto y = values_of(x, hard);
  const auto p = values_of(x, soft);
  for (std::size_t r = 0; r < 5; ++r) {
    const auto best = std::max_element(p.begin() + static_cast<std::ptrdiff_t>(r) * 7,
                                       p.begin() + static_cast<std::ptrdiff_t>(r) * 7 + 7) -
                      p.begin();
    for (std::size_t c = r * 7; c < r * 7 + 7; ++c)
      BOOST_TEST(y[c] == (static_cast<std::ptrdiff_t>(c) == best ? 1.0 : 0.0));
  }
  check_numbers(
      values_of({matrix(1, 3, {2, 5, 5})}, [](auto& t, const Vars& v) { return tape::straight_through(t, v[0]); }),
      {0, 1, 0});
}

BOOST_AUTO_TEST_CASE(a_gaussian_sample_is_that_computed_by_hand) {
  Grid<double> noise = matrix(1, 2, {1, -2});
  check_numbers(values_of({matrix(1, 2, {3, 4}), matrix(1, 2, {0, 2 * std::log(5.0)})},
                          [&](auto& t, const Vars& v) { return tape::gaussian_sample(t, v[0], v[1], noise.view()); }),
                {4, -6});
}

BOOST_AUTO_TEST_CASE(the_first_k_fall_and_ties_go_to_the_smaller_column) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Grid<double> x = matrix(3, 4, {1, 3, 3, 2, nan, -1, nan, 0, 7, 7, 7, 7});
  std::vector<std::int32_t> list(9);
  tape::top_k(x.view(), 3, std::span(list));
  BOOST_TEST(list == (std::vector<std::int32_t>{1, 2, 3, 3, 1, 0, 0, 1, 2}), boost::test_tools::per_element());
  std::vector<std::int32_t> longer(6 * 3);
  tape::top_k(x.view(), 6, std::span(longer));
  BOOST_TEST(longer[4] == -1);
  BOOST_TEST(longer[6 + 3] == 2);
}

BOOST_AUTO_TEST_CASE(draws_come_as_often_as_the_softmax_says) {
  constexpr int draws = 20'000;
  Grid<float> logits(draws, 4);
  for (int r = 0; r < draws; ++r) {
    for (int c = 0; c < 4; ++c) logits.at(r, c) = std::log(static_cast<float>(c + 1) / 10.0F);
  }
  Grid<float> gumbel(draws, 4);
  std::vector<Index> samples(draws);
  std::iota(samples.begin(), samples.end(), Index{0});
  tape::fill_gumbel(tape::NoiseKey{.seed = 3, .purpose = Purpose::sampled_candidates}, {samples, 1}, gumbel.view());
  std::vector<std::int32_t> columns(draws);
  tape::sample_rows(logits.view(), gumbel.view(), std::span(columns));
  double chi_square = 0.0;
  for (int c = 0; c < 4; ++c) {
    const double expected = draws * (c + 1) / 10.0;
    const auto found = static_cast<double>(std::count(columns.begin(), columns.end(), c));
    chi_square += (found - expected) * (found - expected) / expected;
  }
  // Three degrees of freedom: beyond 16.27 with probability 0.001.
  BOOST_TEST(chi_square < 16.27);
}

BOOST_AUTO_TEST_CASE(draws_that_do_not_fit_are_named) {
  Grid<double> noise(3, 2);
  const std::vector<Grid<double>> inputs{grid(2, 3, 1)};
  BOOST_TEST(bug_of(inputs, [&](auto& t, const Vars& v) {
               return tape::gaussian_sample(t, v[0], v[0], noise.view());
             }) == "tape: gaussian_sample does not fit 2 x 3 and 3 x 2");
  BOOST_TEST(bug_of(inputs, [&](auto& t, const Vars& v) {
               return tape::gumbel_softmax(t, v[0], noise.view(), 1.0, false);
             }) == "tape: gumbel_softmax does not fit 2 x 3 and 3 x 2");
  std::vector<std::int32_t> few(1);
  BOOST_CHECK_THROW(tape::top_k(noise.view(), 2, std::span(few)), Bug);
  BOOST_CHECK_THROW(tape::sample_rows(noise.view(), noise.view(), std::span(few)), Bug);
}

BOOST_AUTO_TEST_SUITE_END()
