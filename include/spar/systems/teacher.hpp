#pragma once
#include "spar/base/settings.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/systems/factor_model.hpp"

namespace spar::systems {

/// Copies the best epoch of the run that teacher.run names into the teacher's part of a model: the columns behind the
/// student's, and the dense parameters "teacher.*". Nothing where the recipe names none. Collective. UserError where
/// the run is of another system, form or data, or is a student itself.
void load_teacher(const comm::Communicator& communicator, const Recipe& recipe, const data::DatasetHeader& header,
                  FactorModel& model);

}  // namespace spar::systems
