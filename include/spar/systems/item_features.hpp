#pragma once
#include "spar/base/settings.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/store/array_file.hpp"
#include "spar/systems/factor_model.hpp"

/// The features of a data set's items as the frozen table of a model.
namespace spar::systems {

/// Writes what the data set says into a recipe that takes item features: features.name where it is empty and there is
/// one set of them, features.columns where it is "auto". Does nothing for other recipes. Any rank may call it alone.
/// UserError: no item features, none of that name, several and no name, another number of columns.
void resolve_features(Recipe& recipe, const store::ArrayFile& file);

/// Reads the features of this rank's items into the model's frozen tables and divides them, where features.scale is
/// "largest", by the largest absolute value of all items (Tang et al., TKDE 2019); one that is 0 divides nothing. Reads
/// each row once, shard by shard. Does nothing for models without frozen tables. Collective. UserError: damage, or
/// values that are not finite.
void load_features(const comm::Communicator& communicator, const store::ArrayFile& file, const Recipe& recipe,
                   FactorModel& model);

/// Writes 1 into the rows of the frozen table item_seen, where the model has it, of items that occur in some rank's
/// training list. Collective.
void mark_seen_items(const comm::Communicator& communicator, const data::UserLists& train, FactorModel& model);

}  // namespace spar::systems
