#include "spar/evaluate/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace spar::evaluate {

namespace {

constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

// The continued fraction of I_x(a, b), which converges fast for x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double tiny = 1e-300;
  constexpr int most_terms = 100'000;
  const auto guarded = [](double value) { return std::abs(value) < tiny ? tiny : value; };
  double c = 1.0;
  double d = 1.0 / guarded(1.0 - (a + b) * x / (a + 1.0));
  double fraction = d;
  for (int m = 1; m <= most_terms; ++m) {
    const double k = m;
    const double even = k * (b - k) * x / ((a + 2.0 * k - 1.0) * (a + 2.0 * k));
    d = 1.0 / guarded(1.0 + even * d);
    c = guarded(1.0 + even / c);
    fraction *= d * c;
    const double odd = -(a + k) * (a + b + k) * x / ((a + 2.0 * k) * (a + 2.0 * k + 1.0));
    d = 1.0 / guarded(1.0 + odd * d);
    c = guarded(1.0 + odd / c);
    fraction *= d * c;
    if (std::abs(d * c - 1.0) < 1e-15) break;
  }
  return fraction;
}

MeanTest test_of(std::int64_t count, double difference, double standard_error, double degrees) {
  MeanTest test{count, difference, standard_error, undefined, undefined};
  if (standard_error > 0) {
    test.t = difference / standard_error;
    test.p = two_sided_p(test.t, degrees);
  } else if (standard_error == 0) {
    test.t = difference == 0 ? 0.0 : std::copysign(std::numeric_limits<double>::infinity(), difference);
    test.p = difference == 0 ? 1.0 : 0.0;
  }
  return test;
}

}  // namespace

double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0.0;
  if (x >= 1) return 1.0;
  const double front =
      std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1.0) / (a + b + 2.0)) return front * beta_fraction(a, b, x) / a;
  return 1.0 - front * beta_fraction(b, a, 1.0 - x) / b;
}

double two_sided_p(double t, double degrees) {
  if (std::isnan(t) || !(degrees > 0)) return undefined;
  if (std::isinf(t)) return 0.0;
  return incomplete_beta(0.5 * degrees, 0.5, degrees / (degrees + t * t));
}

MeanTest paired_test(std::int64_t pairs, double sum, double squares) {
  const auto n = static_cast<double>(pairs);
  if (pairs == 0) return test_of(0, undefined, undefined, 0);
  const double mean = sum / n;
  if (pairs == 1) return test_of(1, mean, undefined, 0);
  const double variance = std::max(0.0, squares - n * mean * mean) / (n - 1.0);
  return test_of(pairs, mean, std::sqrt(variance / n), n - 1.0);
}

MeanTest welch_test(std::span<const double> first, std::span<const double> second) {
  const Spread a = spread_of(first);
  const Spread b = spread_of(second);
  const double difference = b.mean - a.mean;
  if (a.count < 2 || b.count < 2) return test_of(a.count + b.count, difference, undefined, 0);
  const double va = a.deviation * a.deviation / static_cast<double>(a.count);
  const double vb = b.deviation * b.deviation / static_cast<double>(b.count);
  const double parts = va * va / static_cast<double>(a.count - 1) + vb * vb / static_cast<double>(b.count - 1);
  return test_of(a.count + b.count, difference, std::sqrt(va + vb), parts > 0 ? (va + vb) * (va + vb) / parts : 0);
}

Spread spread_of(std::span<const double> values) {
  Spread spread{static_cast<std::int64_t>(values.size()), undefined, undefined, undefined, undefined};
  if (values.empty()) return spread;
  double sum = 0;
  for (const double x : values) sum += x;
  spread.mean = sum / static_cast<double>(values.size());
  spread.least = *std::min_element(values.begin(), values.end());
  spread.most = *std::max_element(values.begin(), values.end());
  if (values.size() < 2) return spread;
  double squares = 0;
  for (const double x : values) squares += (x - spread.mean) * (x - spread.mean);
  spread.deviation = std::sqrt(squares / static_cast<double>(values.size() - 1));
  return spread;
}

}  // namespace spar::evaluate
