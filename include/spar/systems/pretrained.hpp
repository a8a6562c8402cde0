#pragma once
#include "spar/base/settings.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/systems/factor_model.hpp"

namespace spar::systems {

/// Starts neumf from the best epochs of a run of gmf and a run of mlp (He et al., WWW 2017, section 3.4.1): their
/// vectors, the perceptron's layers, and as output layer h = [a h_gmf; (1 - a) h_mlp] with the bias a b_gmf + (1 - a)
/// b_mlp, where a is pretrained.share; so the first scores are a times those of gmf plus 1 - a times those of mlp.
/// Nothing where the recipe names no runs. Collective. UserError where one is named without the other, is of another
/// system, form or data.
void load_pretrained(const comm::Communicator& communicator, const Recipe& recipe, const data::DatasetHeader& header,
                     FactorModel& model);

}  // namespace spar::systems
