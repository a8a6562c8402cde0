#pragma once
#include "spar/base/settings.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/interactions.hpp"
#include "spar/store/array_file.hpp"
#include "spar/systems/factor_model.hpp"

/// Attributes of users that a training hides: read by the rank that owns a user, kept beside the rows of its users, and
/// sent nowhere. What all ranks learn are sums over all users: how many have which value.
namespace spar::systems {

/// The table that holds them, as game::FrozenTable that stays with its owner. With m attributes its columns are
///   2k      the value of attribute k: 1, 2 ..., 0 where the user has none or no training interactions
///   2k + 1  what a user of that value counts: of all the mean is 1 over the users that have a value
///   2m      the mean number of training interactions of a user over his own, so that triples of his make up one user
/// where means are over users with training interactions.
inline constexpr const char* private_table = "user_private";

/// Writes what the data set says into a recipe that hides attributes: privacy.attributes where its only name is empty,
/// privacy.classes where it is 0. Does nothing for other recipes. Any rank may call it alone. UserError: no attributes,
/// none of that name, several and no name, one twice, one with a single value, another number of values.
void resolve_attributes(Recipe& recipe, const store::ArrayFile& file);

/// Fills the model's private table, where it has one, for this rank's users, whose training lists are `train`.
/// Collective. UserError: damage, or an attribute that has fewer than two values among users with interactions.
void load_attributes(const comm::Communicator& communicator, const store::ArrayFile& file, const Recipe& recipe,
                     const data::UserLists& train, FactorModel& model);

}  // namespace spar::systems
