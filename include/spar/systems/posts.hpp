#pragma once
#include "spar/base/settings.hpp"
#include "spar/data/dataset_file.hpp"

namespace spar::systems {

/// Whether the recipe's system learns from posts and ranks tags.
bool learns_from_posts(const Recipe& recipe);

/// How many things the recipe's system has to find in a part of the data set: posts or interactions.
Index targets_of(const Recipe& recipe, const data::DatasetHeader& data, data::Part part);

/// UserError where the recipe's system learns from posts and the data set has none in training, naming the option of
/// spar import that brings them, or where its protocol needs candidates that posts do not have. Any rank may call it
/// alone.
void require_posts(const Recipe& recipe, const data::DatasetHeader& data);

}  // namespace spar::systems
