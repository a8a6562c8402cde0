#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <limits>

#include <boost/test/unit_test.hpp>

#include "spar/tape/functions.hpp"

namespace {

using namespace spar;

using Function = Lanes<float> (*)(Lanes<float>);
using Exact = double (*)(double);

Lanes<float> lane_exp_of(Lanes<float> x) {
  return tape::lane_exp(x);
}
Lanes<float> lane_log_of(Lanes<float> x) {
  return tape::lane_log(x);
}
Lanes<float> lane_log1p_of(Lanes<float> x) {
  return tape::lane_log1p(x);
}
Lanes<float> lane_tanh_of(Lanes<float> x) {
  return tape::lane_tanh(x);
}
Lanes<float> lane_sigmoid_of(Lanes<float> x) {
  return tape::lane_sigmoid(x);
}
Lanes<float> lane_softplus_of(Lanes<float> x) {
  return tape::lane_softplus(x);
}

float one(Function f, float x) {
  const Lanes<float> y = f(all_lanes(x));
  for (int k = 1; k < lanes; ++k) BOOST_REQUIRE((y[k] == y[0] || (y[k] != y[k] && y[0] != y[0])));
  return y[0];
}

// The distance between neighbours at the exact result.
double ulp(double y) {
  const auto at = static_cast<float>(std::abs(y));
  return static_cast<double>(std::nextafter(at, std::numeric_limits<float>::infinity())) - static_cast<double>(at);
}

// The largest error over [low, high], `steps` numbers evenly spaced.
double worst_ulp(Function f, Exact exact, double low, double high, int steps) {
  double worst = 0.0;
  for (int k = 0; k <= steps; ++k) {
    const auto x = static_cast<float>(low + (high - low) * k / steps);
    const double expected = exact(static_cast<double>(x));
    worst = std::max(worst, std::abs(static_cast<double>(one(f, x)) - expected) / ulp(expected));
  }
  BOOST_TEST_MESSAGE("worst error in ulp over " << low << " to " << high << ": " << worst);
  return worst;
}

double exact_sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}
double exact_softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

Lanes<float> sines() {
  Lanes<float> v;
  for (int k = 0; k < lanes; ++k) v[k] = std::sin(1.0F + static_cast<float>(k)) * 3.0F;
  return v;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(functions)

BOOST_AUTO_TEST_CASE(float_functions_stay_within_their_stated_errors) {
  BOOST_TEST(worst_ulp(&lane_exp_of, &std::exp, -87.0, 88.3, 400'000) <= 1.5);
  BOOST_TEST(worst_ulp(&lane_log_of, &std::log, 1e-3, 4.0, 400'000) <= 2.0);
  BOOST_TEST(worst_ulp(&lane_log_of, &std::log, 1e-30, 1e30, 200'000) <= 2.0);
  BOOST_TEST(worst_ulp(&lane_log1p_of, &std::log1p, -0.999, 3.0, 400'000) <= 4.0);
  BOOST_TEST(worst_ulp(&lane_log1p_of, &std::log1p, -1e-4, 1e-4, 100'000) <= 4.0);
  BOOST_TEST(worst_ulp(&lane_tanh_of, &std::tanh, -10.0, 10.0, 400'000) <= 3.0);
  BOOST_TEST(worst_ulp(&lane_sigmoid_of, &exact_sigmoid, -86.0, 30.0, 400'000) <= 3.0);
  BOOST_TEST(worst_ulp(&lane_softplus_of, &exact_softplus, -86.0, 90.0, 400'000) <= 4.0);
}

BOOST_AUTO_TEST_CASE(far_arguments_end_in_their_limits) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const float x : {88.5F, 1e10F, infinity}) {
    BOOST_TEST(one(&lane_exp_of, x) == infinity);
    BOOST_TEST(one(&lane_exp_of, -x) == 0.0F);
    BOOST_TEST(one(&lane_tanh_of, x) == 1.0F);
    BOOST_TEST(one(&lane_tanh_of, -x) == -1.0F);
    BOOST_TEST(one(&lane_sigmoid_of, x) == 1.0F);
    BOOST_TEST(one(&lane_sigmoid_of, -x) == 0.0F);
    BOOST_TEST(one(&lane_softplus_of, x) == x);
    BOOST_TEST(one(&lane_softplus_of, -x) == 0.0F);
  }
  BOOST_TEST(one(&lane_exp_of, 0.0F) == 1.0F);
  BOOST_TEST(one(&lane_log_of, 1.0F) == 0.0F);
  BOOST_TEST(one(&lane_log_of, 0.0F) == -infinity);
  BOOST_TEST(one(&lane_log_of, infinity) == infinity);
  BOOST_TEST(std::isnan(one(&lane_log_of, -1.0F)));
  BOOST_TEST(one(&lane_log1p_of, 0.0F) == 0.0F);
  BOOST_TEST(one(&lane_log1p_of, infinity) == infinity);
  BOOST_TEST(one(&lane_tanh_of, 0.0F) == 0.0F);
  BOOST_TEST(one(&lane_sigmoid_of, 0.0F) == 0.5F);
}

BOOST_AUTO_TEST_CASE(nan_stays_nan_in_every_function) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Function f :
       {&lane_exp_of, &lane_log_of, &lane_log1p_of, &lane_tanh_of, &lane_sigmoid_of, &lane_softplus_of})
    BOOST_TEST(std::isnan(one(f, nan)));
}

BOOST_AUTO_TEST_CASE(a_lane_does_not_see_its_neighbours) {
  for (const Function f : {&lane_exp_of, &lane_tanh_of, &lane_sigmoid_of, &lane_softplus_of}) {
    const Lanes<float> all = f(sines());
    for (int k = 0; k < lanes; ++k) BOOST_TEST(all[k] == one(f, sines()[k]));
  }
}

BOOST_AUTO_TEST_SUITE_END()
