#pragma once
#include "spar/base/memory.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/evaluate/evaluator.hpp"
#include "spar/systems/factor_model.hpp"

namespace spar::systems {

/// What stands for this rank's users and items in a model that reads profiles: `columns` floats a row (padded), the
/// scaled sum over the training profile.
struct ProfileSums {
  int columns = 0;
  Buffer<float> users;
  Buffer<float> items;
  const float* user(Index k) const { return users.data() + k * padded(columns); }
  const float* item(Index k) const { return items.data() + k * padded(columns); }
};

/// Sums over the first of the lists that are masked, the training's: of the chosen users (others stay 0) and of all
/// items. Each sum is a chain of additions in ascending order of the members, so that its bits depend on the profile
/// alone. Collective. Works in waves of 65,536 members a shard, whose rows are pulled; holds the lists of the rank's
/// items, 4 bytes an interaction, unless the model has them.
ProfileSums sum_profiles(const comm::Communicator& communicator, int shards, const FactorModel& model,
                         const evaluate::EvaluationLists& lists);

}  // namespace spar::systems
