#define BOOST_TEST_DYN_LINK
#include <cmath>

#include "support/gradient_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/score_moments.hpp"
#include "spar/tape/shape.hpp"

namespace {

using namespace spar;
using test::Grid;

tape::Var both(tape::Tape<double>& tape, const std::vector<tape::Var>& in) {
  const tape::ScoreMoments moments = tape::score_moments(tape, in[0], in[1], in[2]);
  const tape::Var parts[] = {moments.mean, moments.variance};
  return tape::concat_columns(tape, parts);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(score_moments)

BOOST_AUTO_TEST_CASE(moments_of_scores_are_those_of_all_scores_written_out) {
  constexpr int items = 13;
  constexpr int d = 5;
  const Grid<double> users(3, d, 1.0, 1);
  const Grid<double> q(items, d, 0.7, 2);
  Grid<double> mean(1, d);
  Grid<double> covariance(d, d);
  for (int i = 0; i < items; ++i) {
    for (int a = 0; a < d; ++a) mean.at(0, a) += q.at(i, a) / items;
  }
  for (int i = 0; i < items; ++i) {
    for (int a = 0; a < d; ++a) {
      for (int b = 0; b < d; ++b)
        covariance.at(a, b) += (q.at(i, a) - mean.at(0, a)) * (q.at(i, b) - mean.at(0, b)) / items;
    }
  }
  tape::Tape<double> tape;
  Grid<double> p = users;
  const auto got =
      tape::score_moments(tape, tape.constant(p.view()), tape.constant(mean.view()), tape.constant(covariance.view()));
  for (int u = 0; u < 3; ++u) {
    double sum = 0.0;
    double square = 0.0;
    for (int i = 0; i < items; ++i) {
      double score = 0.0;
      for (int c = 0; c < d; ++c) score += users.at(u, c) * q.at(i, c);
      sum += score / items;
      square += score * score / items;
    }
    BOOST_TEST(tape.value(got.mean).at(u, 0) == sum, boost::test_tools::tolerance(1e-12));
    BOOST_TEST(tape.value(got.variance).at(u, 0) == square - sum * sum, boost::test_tools::tolerance(1e-10));
  }
}

// Items (1), (-1), (0), (2) and a user (1), the example of DPR's sheet: 2 KL(N(mu, s^2) || N(0, 1)) of his scores.
BOOST_AUTO_TEST_CASE(scores_1_minus_1_0_2_have_mean_a_half_variance_1_25_and_dprs_divergence) {
  Grid<double> one(1, 1);
  one.at(0, 0) = 1.0;
  Grid<double> mean(1, 1);
  mean.at(0, 0) = 0.5;
  Grid<double> covariance(1, 1);
  covariance.at(0, 0) = 1.25;
  tape::Tape<double> tape;
  const auto got = tape::score_moments(tape, tape.constant(one.view()), tape.constant(mean.view()),
                                       tape.constant(covariance.view()));
  const double mu = tape.value(got.mean).at(0, 0);
  const double variance = tape.value(got.variance).at(0, 0);
  BOOST_TEST(mu == 0.5);
  BOOST_TEST(variance == 1.25);
  BOOST_TEST(mu * mu + variance - std::log(variance) - 1.0 == 0.2768564, boost::test_tools::tolerance(1e-6));
}

BOOST_AUTO_TEST_CASE(gradients_go_to_users_mean_and_covariance) {
  for (const int d : {1, 4, 19})
    test::check_gradients({Grid<double>(3, d, 1.0, 1), Grid<double>(1, d, 0.5, 2), Grid<double>(d, d, 0.4, 3)}, both);
}

BOOST_AUTO_TEST_SUITE_END()
