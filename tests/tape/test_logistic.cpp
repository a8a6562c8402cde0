#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <limits>

#include <boost/test/unit_test.hpp>

#include "spar/tape/logistic.hpp"

namespace {

using namespace spar;

struct Terms {
  double loss;
  double weight;
};

template <class T>
Terms terms(double s, double floor = -80.0) {
  Lanes<T> loss;
  Lanes<T> weight;
  tape::logistic_terms(all_lanes(static_cast<T>(s)), static_cast<T>(floor), loss, weight);
  for (int k = 1; k < lanes; ++k) {
    BOOST_TEST(loss[k] == loss[0]);
    BOOST_TEST(weight[k] == weight[0]);
  }
  return {static_cast<double>(loss[0]), static_cast<double>(weight[0])};
}

// In long double, from the margin as float has it.
Terms exact(double s) {
  const long double x = s;
  const long double e = std::exp(-std::abs(x));
  return {static_cast<double>((x < 0 ? -x : 0.0L) + std::log1p(e)),
          static_cast<double>((x < 0 ? 1.0L : e) / (1.0L + e))};
}

double relative(double got, double expected) {
  return std::abs(got - expected) / expected;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(logistic)

BOOST_AUTO_TEST_CASE(float_terms_are_those_of_the_mathematical_library_over_the_whole_range) {
  double worst_loss = 0.0;
  double worst_weight = 0.0;
  for (int k = -80'000; k <= 86'500; ++k) {
    const auto s = static_cast<double>(static_cast<float>(k * 1e-3));
    const Terms got = terms<float>(s);
    const Terms expected = exact(s);
    worst_loss = std::max(worst_loss, relative(got.loss, expected.loss));
    worst_weight = std::max(worst_weight, relative(got.weight, expected.weight));
  }
  BOOST_TEST_MESSAGE("worst relative errors: loss " << worst_loss << ", weight " << worst_weight);
  BOOST_TEST(worst_loss < 5e-7);
  BOOST_TEST(worst_weight < 5e-7);
}

BOOST_AUTO_TEST_CASE(double_terms_are_exact_to_rounding) {
  for (int k = -800; k <= 7000; ++k) {
    const double s = k * 0.1;
    BOOST_TEST(relative(terms<double>(s).loss, exact(s).loss) < 1e-15);
    BOOST_TEST(relative(terms<double>(s).weight, exact(s).weight) < 1e-15);
  }
}

BOOST_AUTO_TEST_CASE(far_margins_end_in_zero_and_in_the_floor) {
  for (const double s : {87.5, 100.0, 1e10, std::numeric_limits<double>::infinity()}) {
    BOOST_TEST(terms<float>(s).loss < 2e-38);
    BOOST_TEST(terms<float>(s).weight < 2e-38);
  }
  BOOST_TEST(terms<float>(-80.0).loss == 80.0);
  BOOST_TEST(terms<float>(-80.0).weight == 1.0);
  for (const double s : {-80.001, -1e10, -std::numeric_limits<double>::infinity()}) {
    BOOST_TEST(terms<float>(s).loss == 80.0);
    BOOST_TEST(terms<float>(s).weight == 0.0);
    BOOST_TEST(terms<double>(s).loss == 80.0);
    BOOST_TEST(terms<double>(s).weight == 0.0);
  }
  BOOST_TEST(terms<float>(-3.0, -2.0).loss == static_cast<double>(static_cast<float>(exact(-2.0).loss)),
             boost::test_tools::tolerance(3e-7));
  BOOST_TEST(terms<float>(-3.0, -2.0).weight == 0.0);
}

BOOST_AUTO_TEST_CASE(zero_is_log_two_and_one_half) {
  BOOST_TEST(terms<float>(0.0).weight == 0.5);
  BOOST_TEST(terms<float>(0.0).loss == std::log(2.0), boost::test_tools::tolerance(1e-7));
  BOOST_TEST(terms<float>(-0.0).weight == 0.5);
}

// A margin that is not a number must reach the check of the training loop.
BOOST_AUTO_TEST_CASE(nan_stays_nan) {
  for (const double s : {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::quiet_NaN()}) {
    Lanes<float> loss;
    Lanes<float> weight;
    tape::logistic_terms(all_lanes(1.0F) * static_cast<float>(s), -80.0F, loss, weight);
    BOOST_TEST(std::isnan(loss[0]));
    BOOST_TEST(std::isnan(weight[0]));
  }
}

BOOST_AUTO_TEST_CASE(lanes_do_not_see_each_other) {
  Lanes<float> s;
  for (int k = 0; k < lanes; ++k) s[k] = static_cast<float>(k * k) * 0.3F - 20.0F;
  Lanes<float> loss;
  Lanes<float> weight;
  tape::logistic_terms(s, -80.0F, loss, weight);
  for (int k = 0; k < lanes; ++k) {
    BOOST_TEST(static_cast<double>(loss[k]) == terms<float>(static_cast<double>(s[k])).loss);
    BOOST_TEST(static_cast<double>(weight[k]) == terms<float>(static_cast<double>(s[k])).weight);
  }
}

BOOST_AUTO_TEST_SUITE_END()
