#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "spar/evaluate/statistics.hpp"

using namespace spar::evaluate;

BOOST_AUTO_TEST_SUITE(statistics)

BOOST_AUTO_TEST_CASE(incomplete_beta_meets_its_closed_forms) {
  for (double x = 0.01; x < 1; x += 0.07) {
    BOOST_TEST(std::abs(incomplete_beta(1, 1, x) - x) < 1e-12);
    BOOST_TEST(std::abs(incomplete_beta(3, 1, x) - x * x * x) < 1e-12);
    BOOST_TEST(std::abs(incomplete_beta(1, 4, x) - (1 - std::pow(1 - x, 4))) < 1e-12);
    BOOST_TEST(std::abs(incomplete_beta(0.5, 0.5, x) - 2 / std::numbers::pi * std::asin(std::sqrt(x))) < 1e-12);
    BOOST_TEST(std::abs(incomplete_beta(7.5, 2.25, x) + incomplete_beta(2.25, 7.5, 1 - x) - 1) < 1e-12);
  }
  BOOST_TEST(incomplete_beta(2, 3, 0) == 0.0);
  BOOST_TEST(incomplete_beta(2, 3, 1) == 1.0);
}

BOOST_AUTO_TEST_CASE(student_p_meets_its_closed_forms_for_one_and_two_degrees) {
  for (const double t : {0.0, 0.1, 0.5, 1.0, 2.5, 12.7, 318.3}) {
    BOOST_TEST(std::abs(two_sided_p(t, 1) - (1 - 2 / std::numbers::pi * std::atan(t))) < 1e-12);
    BOOST_TEST(std::abs(two_sided_p(t, 2) - (1 - t / std::sqrt(2 + t * t))) < 1e-12);
    BOOST_TEST(two_sided_p(t, 5) == two_sided_p(-t, 5));
  }
}

// Critical values of printed tables: degrees, t, two-sided p.
BOOST_AUTO_TEST_CASE(student_p_meets_printed_tables) {
  struct Entry {
    double degrees, t, p;
  };
  const std::vector<Entry> table = {{1, 12.706, 0.05}, {5, 2.571, 0.05},  {10, 2.228, 0.05},  {10, 3.169, 0.01},
                                    {30, 2.042, 0.05}, {30, 2.750, 0.01}, {120, 1.980, 0.05}, {1e9, 1.959964, 0.05}};
  for (const Entry& entry : table)
    BOOST_TEST(std::abs(two_sided_p(entry.t, entry.degrees) - entry.p) < 5e-5, entry.degrees << " " << entry.t);
}

BOOST_AUTO_TEST_CASE(student_p_becomes_the_normal_one_for_many_degrees) {
  for (const double t : {0.3, 1.0, 2.0, 4.0})
    BOOST_TEST(std::abs(two_sided_p(t, 1e8) - std::erfc(t / std::numbers::sqrt2)) < 1e-7);
}

BOOST_AUTO_TEST_CASE(a_paired_test_meets_a_hand_computed_one, *boost::unit_test::tolerance(1e-12)) {
  // Differences 1, 2, 3, 4: mean 2.5, variance 5/3, t = 2.5 / sqrt(5/12), 3 degrees.
  const MeanTest test = paired_test(4, 10, 30);
  BOOST_TEST(test.difference == 2.5);
  BOOST_TEST(test.standard_error == std::sqrt(5.0 / 12.0));
  BOOST_TEST(test.t == 2.5 / std::sqrt(5.0 / 12.0));
  // For 3 degrees P(|T| > t) = 1 - 2/pi (atan(s) + s / (1 + s^2)) with s = t / sqrt(3).
  const double s = test.t / std::sqrt(3.0);
  BOOST_TEST(test.p == 1 - 2 / std::numbers::pi * (std::atan(s) + s / (1 + s * s)));
}

BOOST_AUTO_TEST_CASE(tests_without_spread_or_without_pairs_are_honest) {
  BOOST_TEST(paired_test(10, 0, 0).p == 1.0);
  BOOST_TEST(paired_test(10, 5, 2.5).p == 0.0);
  BOOST_TEST(std::isnan(paired_test(1, 0.5, 0.25).p));
  BOOST_TEST(std::isnan(paired_test(0, 0, 0).p));
  BOOST_TEST(std::isnan(welch_test(std::vector<double>{1.0}, std::vector<double>{1.0, 2.0}).p));
}

BOOST_AUTO_TEST_CASE(welch_meets_a_hand_computed_case, *boost::unit_test::tolerance(1e-12)) {
  // Equal sizes and variances: the degrees are those of the pooled test, 2n - 2.
  const std::vector<double> a = {1, 2, 3, 4};
  const std::vector<double> b = {3, 4, 5, 6};
  const MeanTest test = welch_test(a, b);
  BOOST_TEST(test.difference == 2.0);
  BOOST_TEST(test.standard_error == std::sqrt(5.0 / 6.0));
  BOOST_TEST(test.p == two_sided_p(2.0 / std::sqrt(5.0 / 6.0), 6));
}

BOOST_AUTO_TEST_CASE(spread_is_the_sample_standard_deviation, *boost::unit_test::tolerance(1e-12)) {
  const Spread spread = spread_of(std::vector<double>{2, 4, 4, 4, 5, 5, 7, 9});
  BOOST_TEST(spread.mean == 5.0);
  BOOST_TEST(spread.deviation == std::sqrt(32.0 / 7.0));
  BOOST_TEST(spread.least == 2.0);
  BOOST_TEST(spread.most == 9.0);
  BOOST_TEST(std::isnan(spread_of(std::vector<double>{3}).deviation));
}

BOOST_AUTO_TEST_SUITE_END()
