#pragma once
#include "spar/base/settings.hpp"
#include "spar/game/decorrelation.hpp"
#include "spar/game/neural_model.hpp"

namespace spar::systems {

/// What the owners of rows add by the recipe's objective.l2 and objective.l2_form; `factor`: what the gradient of the
/// system's own penalty has of objective.l2 times the row for each occurrence. Where the loss has it, its weight is 0.
game::RowPenalty row_penalty_of(const Recipe& recipe, double factor);

/// The penalty that the loss of a network has: 0 where the owners add it. UserError where its form is APR's mean over
/// the batch.
double loss_penalty_of(const Recipe& recipe);

/// What the owners add to keep vectors decorrelated, by objective.decorrelation; nothing where the system has no such
/// setting.
game::Decorrelation decorrelation_of(const Recipe& recipe);

}  // namespace spar::systems
