#pragma once
#include "spar/systems/factor_model.hpp"

namespace spar::systems {

/// Writes what an auto-encoder makes of each of this rank's chosen users: row k of `out` (padded(output_width) floats,
/// zero before) is the hidden row behind the training profile of local user k, the first of lists.masked, or what is
/// folded in of a user without one, who then has no node either. Values are the ratings where the model predicts some.
/// Works in waves of a bounded number of users. A row is a function of the profile (and the user's node) alone.
/// Collective.
void represent_profiles(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
                        const evaluate::EvaluationLists& lists, float* out);

}  // namespace spar::systems
