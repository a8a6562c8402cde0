#pragma once
#include <cstdint>

#include "spar/base/schedule.hpp"
#include "spar/table/row_gradient.hpp"
#include "spar/table/statistics.hpp"

/// The penalty that keeps the columns of a table's vectors uncorrelated over its rows, so that they do not collapse
/// into few directions: with C the covariance (of the population) of n rows of d columns,
///   1/d sum_{a != b} C_ab^2,
/// the covariance term of VICReg (Bardes, Ponce and LeCun, ICLR 2022, eq. 3 and 4, which divide C by n - 1), taken over
/// a whole table instead of a batch. Barlow Twins (Zbontar et al., ICML 2021) has the same of correlations.
namespace spar::game {

/// How much of it a training has.
struct Decorrelation {
  Schedule weight{0.0};
  /// Steps from one that has it to the next. It counts as often there, so that the objective stays the same on average
  /// (the lazy regularisation of StyleGAN2, Karras et al., CVPR 2020).
  std::int64_t every = 1;

  bool is_present() const { return !weight.is_zero(); }
  /// What a step counts it: weight x every, or 0.
  double at(const Moment& moment) const;
};

/// The penalty of rows of these moments; 0 of no rows and of one column.
double decorrelation_penalty(const table::Moments& moments);
/// Its gradient with respect to the covariance: 2 C_ab / d beside the diagonal.
table::MomentGradients decorrelation_gradients(const table::Moments& moments);

}  // namespace spar::game
