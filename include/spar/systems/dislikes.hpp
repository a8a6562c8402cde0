#pragma once
#include "spar/base/settings.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/interactions.hpp"
#include "spar/store/array_file.hpp"
#include "spar/systems/factor_model.hpp"

/// Trainings that learn from what users have rated low.
namespace spar::systems {

/// Whether the recipe's negatives are drawn from users' dislikes, too.
bool draws_dislikes(const Recipe& recipe);

/// UserError that names the option of spar import where the recipe draws dislikes and the data set keeps none.
void require_dislikes(const Recipe& recipe, const data::DatasetHeader& data);

/// Reads the dislikes of this rank's users into the model, where the recipe draws them. Collective. UserError: damage,
/// such as an item that is in the training list of a user who dislikes it.
void load_dislikes(const comm::Communicator& communicator, const store::ArrayFile& file, const Recipe& recipe,
                   const data::UserLists& train, FactorModel& model);

}  // namespace spar::systems
