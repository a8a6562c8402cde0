#include "spar/game/decorrelation.hpp"

#include <cstddef>

namespace spar::game {

double Decorrelation::at(const Moment& moment) const {
  if ((moment.epoch * moment.steps + moment.step) % every != 0) return 0.0;
  return weight.at(moment) * static_cast<double>(every);
}

double decorrelation_penalty(const table::Moments& moments) {
  double sum = 0.0;
  for (int a = 0; a < moments.columns; ++a) {
    for (int b = 0; b < a; ++b) sum += moments.covariance(a, b) * moments.covariance(a, b);
  }
  return moments.columns == 0 ? 0.0 : 2.0 * sum / moments.columns;
}

table::MomentGradients decorrelation_gradients(const table::Moments& moments) {
  table::MomentGradients gradients;
  for (int a = 0; a < moments.columns; ++a) {
    for (int b = 0; b < moments.columns; ++b)
      gradients.covariance.push_back(a == b ? 0.0 : 2.0 * moments.covariance(a, b) / moments.columns);
  }
  return gradients;
}

}  // namespace spar::game
