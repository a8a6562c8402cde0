#pragma once
#include "spar/base/schedule.hpp"
#include "spar/optim/update.hpp"

namespace spar::game {

/// Gives the updater the learning rate of a step, where it changes; else leaves it alone.
inline void follow_rate(const Schedule& rate, const Moment& moment, optim::Updater& updater) {
  if (rate.is_constant()) return;
  optim::OptimizerSettings settings = updater.settings();
  settings.learning_rate = static_cast<float>(rate.at(moment));
  updater = optim::Updater(settings);
}

}  // namespace spar::game
