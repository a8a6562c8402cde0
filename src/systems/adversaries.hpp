#pragma once
#include "spar/base/settings.hpp"
#include "spar/game/engine.hpp"
#include "spar/game/neural_model.hpp"

namespace spar::systems {

/// The adversary of a recipe that has one. `network`: nullptr for factor models. UserError where its settings do not
/// fit together, naming those that would.
game::Adversary adversary_of(const Recipe& recipe, const game::NeuralModel* network);

}  // namespace spar::systems
