#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <vector>

#include "support/gradient_check.hpp"
#include "support/moments.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/game/decorrelation.hpp"
#include "spar/tape/score_moments.hpp"

namespace {

using namespace spar;
using table::Moments;
using test::Grid;
using test::moments_of;

std::vector<double> numbers(const Grid<double>& x) {
  std::vector<double> all;
  for (int r = 0; r < x.rows(); ++r) {
    for (int c = 0; c < x.columns(); ++c) all.push_back(x.at(r, c));
  }
  return all;
}

// Both moments of an item table, as matrices that a tape takes.
struct Matrices {
  Grid<double> mean;
  Grid<double> covariance;

  explicit Matrices(const Moments& m) : mean(1, m.columns), covariance(m.columns, m.columns) {
    for (int a = 0; a < m.columns; ++a) {
      mean.at(0, a) = m.mean[static_cast<std::size_t>(a)];
      for (int b = 0; b < m.columns; ++b) covariance.at(a, b) = m.covariance(a, b);
    }
  }
};

// Of users' scores over all items, mean^2 + variance^2, weighted by user.
tape::Var loss_of(tape::Tape<double>& tape, tape::Var users, tape::Var mean, tape::Var covariance, Grid<double>& by) {
  const tape::ScoreMoments moments = tape::score_moments(tape, users, mean, covariance);
  const tape::Var squares = tape::add(tape, tape::multiply(tape, moments.mean, moments.mean),
                                      tape::multiply(tape, moments.variance, moments.variance));
  return tape::sum(tape, tape::multiply(tape, squares, tape.constant(by.view())));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(decorrelation)

// Columns (1, 0, -1), (1, -2, 1), (2, 2, -1) - 1: C_12 = 0, C_13 = 1, C_23 = (1 - 2 - 2) / 3.
BOOST_AUTO_TEST_CASE(the_penalty_is_the_sum_of_squared_covariances_beside_the_diagonal_by_column) {
  Grid<double> x(3, 3);
  const double rows[3][3] = {{1, 1, 2}, {0, -2, 2}, {-1, 1, -1}};
  for (int r = 0; r < 3; ++r) {
    for (int c = 0; c < 3; ++c) x.at(r, c) = rows[r][c];
  }
  const Moments m = moments_of(x);
  BOOST_TEST(m.covariance(0, 1) == 0.0);
  BOOST_TEST(m.covariance(0, 2) == 1.0);
  BOOST_TEST(m.covariance(1, 2) == -1.0);
  BOOST_TEST(game::decorrelation_penalty(m) == 2.0 * (1.0 + 1.0) / 3.0);
  const auto gradients = game::decorrelation_gradients(m);
  const std::vector<double> expected{0, 0, 2.0 / 3, 0, 0, -2.0 / 3, 2.0 / 3, -2.0 / 3, 0};
  for (std::size_t k = 0; k < expected.size(); ++k) BOOST_TEST(gradients.covariance[k] == expected[k]);
  BOOST_TEST(gradients.mean.empty());
  BOOST_TEST(gradients.gram.empty());
}

BOOST_AUTO_TEST_CASE(its_gradient_at_the_rows_is_that_of_central_differences_through_mean_and_covariance) {
  for (const int columns : {1, 2, 7, 33}) {
    std::vector<Grid<double>> rows{Grid<double>(9, columns, 1.0, columns)};
    for (int r = 0; r < 9; ++r) rows[0].at(r, 0) += 3.0;
    const auto numeric = test::numeric_gradients(
        rows, [](std::vector<Grid<double>>& moved) { return 1.5 * game::decorrelation_penalty(moments_of(moved[0])); });
    const Moments moments = moments_of(rows[0]);
    const table::RowGradient<double> at_rows(moments, 0, game::decorrelation_gradients(moments), 1.5);
    std::vector<Grid<double>> got{Grid<double>(9, columns)};
    for (int r = 0; r < 9; ++r) at_rows.add(rows[0].row(r), &got[0].at(r, 0));
    test::check_close(got, numeric, 1e-7);
  }
}

BOOST_AUTO_TEST_CASE(a_loss_of_the_moments_of_scores_has_its_gradient_at_every_item_without_scoring_any) {
  constexpr int d = 6;
  Grid<double> users(4, d, 0.8, 1);
  Grid<double> by(4, 1, 1.0, 2);
  std::vector<Grid<double>> items{Grid<double>(11, d, 0.6, 3)};
  const auto value = [&](std::vector<Grid<double>>& moved) {
    Matrices m(moments_of(moved[0]));
    tape::Tape<double> tape;
    const tape::Var loss = loss_of(tape, tape.constant(users.view()), tape.constant(m.mean.view()),
                                   tape.constant(m.covariance.view()), by);
    return tape.value(loss).at(0, 0);
  };
  const auto numeric = test::numeric_gradients(items, value);
  const Moments moments = moments_of(items[0]);
  Matrices m(moments);
  Grid<double> of_mean(1, d);
  Grid<double> of_covariance(d, d);
  tape::Tape<double> tape;
  tape.backward(loss_of(tape, tape.constant(users.view()), tape.parameter(m.mean.view(), of_mean.view()),
                        tape.parameter(m.covariance.view(), of_covariance.view()), by));
  const table::RowGradient<double> at_rows(moments, 0, {numbers(of_mean), {}, numbers(of_covariance)});
  std::vector<Grid<double>> got{Grid<double>(11, d)};
  for (int r = 0; r < 11; ++r) at_rows.add(items[0].row(r), &got[0].at(r, 0));
  test::check_close(got, numeric, 1e-7);
}

BOOST_AUTO_TEST_CASE(every_kth_step_of_the_training_counts_k_times_and_the_others_do_not) {
  const game::Decorrelation each{Schedule(0.5), 1};
  const game::Decorrelation third{Schedule::parse("ramp 0 3 over 3 epochs"), 3};
  BOOST_TEST(each.at({7, 3, 5}) == 0.5);
  // Steps 0, 3, 6, 9 ... of the training; five an epoch.
  BOOST_TEST(third.at({0, 0, 5}) == 0.0);
  BOOST_TEST(third.at({1, 0, 5}) == 0.0);
  BOOST_TEST(third.at({1, 1, 5}) == 3.0 * 1.2, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(third.at({1, 2, 5}) == 0.0);
  BOOST_TEST(third.at({3, 0, 5}) == 9.0);
  BOOST_TEST(third.is_present());
  BOOST_TEST(!game::Decorrelation{}.is_present());
}

BOOST_AUTO_TEST_SUITE_END()
