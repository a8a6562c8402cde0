#pragma once
#include <string>

#include "spar/systems/factor_model.hpp"

namespace spar::cli {

/// How large an adversary's perturbations are beside the rows that they enter, for the tables among its taps: " = 12%
/// of the median user row, ...". Collective.
std::string tap_sizes(const comm::Communicator& communicator, int shards, const systems::FactorModel& model,
                      const game::Adversary& adversary);

}  // namespace spar::cli
