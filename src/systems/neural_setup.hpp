#pragma once
#include "spar/game/neural_engine.hpp"
#include "spar/systems/factor_model.hpp"

namespace spar::systems {

/// What every engine over a network needs, for training and for attacks: its tables, the lists that its examples come
/// from, and what completes micro-batches where users and items are known by their profiles. The caller adds the batch
/// size, the seed and what belongs to training. Collective; model and lists must outlive the engine.
game::NeuralSetup neural_setup(const comm::Communicator& communicator, const ShardLayout& layout, FactorModel& model,
                               const data::UserLists& train, const data::PostRows* posts);

}  // namespace spar::systems
