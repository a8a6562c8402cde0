#pragma once
#include <memory>

#include "spar/game/engine.hpp"
#include "spar/systems/attack.hpp"

namespace spar::systems {

/// What makes the passes of an attack over the training examples at `model`, whose tables it only reads once it has a
/// sink: the engine of the system's training, with draws of its own. Collective; the lists must outlive it. `posts`: of
/// models that learn from posts.
std::unique_ptr<game::Engine> attack_engine(const comm::Communicator& communicator, const ShardLayout& layout,
                                            FactorModel& model, const data::UserLists& train,
                                            std::int64_t total_positives, const AttackPlan& plan,
                                            const data::PostRows* posts);

/// One pass; the same examples each time.
void run_pass(game::Engine& engine);

}  // namespace spar::systems
