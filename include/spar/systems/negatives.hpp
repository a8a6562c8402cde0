#pragma once
#include <memory>

#include "spar/base/settings.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/interactions.hpp"
#include "spar/data/item_law.hpp"

namespace spar::systems {

/// The law of the recipe's negatives, counted over the training interactions of all ranks; nullptr where it is uniform
/// over the items that a user lacks. `dislikes`: of the same users, where the recipe draws them (draws_dislikes).
/// Collective.
std::shared_ptr<const data::ItemLaw> negative_law(const comm::Communicator& communicator, const ShardLayout& layout,
                                                  const Recipe& recipe, const data::UserLists& train, Index total_items,
                                                  const std::shared_ptr<const data::UserLists>& dislikes);

/// UserError where the recipe's system cannot draw by the law that is asked for.
void check_negatives(const Recipe& recipe);

}  // namespace spar::systems
