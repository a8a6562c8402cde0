#pragma once
#include <cstdint>
#include <span>

/// Whether a difference is more than chance: what the comparison of runs prints.
namespace spar::evaluate {

/// The regularised incomplete beta function I_x(a, b) for a, b > 0 and x in [0, 1], by its continued fraction (Lentz
/// 1976; DLMF 8.17.22); absolute error below 1e-12.
double incomplete_beta(double a, double b, double x);

/// The probability that Student's t with `degrees` > 0 degrees of freedom lies further from 0 than t: the two-sided
/// p-value. NaN for NaN; 0 for an infinite t.
double two_sided_p(double t, double degrees);

/// A test of a difference of means.
struct MeanTest {
  std::int64_t count = 0;     ///< pairs, or values of both samples
  double difference = 0;      ///< mean of the second minus mean of the first
  double standard_error = 0;  ///< of the difference
  double t = 0;
  double p = 1;  ///< two-sided; NaN where fewer than two values make a test impossible; 1 where all differences are 0
};

/// Student's paired test from the number of pairs, the sum of their differences and the sum of the differences'
/// squares.
MeanTest paired_test(std::int64_t pairs, double sum, double squares);

/// Welch's test of two independent samples (Biometrika 1947), for example of seeds.
MeanTest welch_test(std::span<const double> first, std::span<const double> second);

/// Where several values lie.
struct Spread {
  std::int64_t count = 0;
  double mean = 0;
  double deviation = 0;  ///< sample standard deviation (n - 1); NaN for one value
  double least = 0;
  double most = 0;
};
Spread spread_of(std::span<const double> values);

}  // namespace spar::evaluate
