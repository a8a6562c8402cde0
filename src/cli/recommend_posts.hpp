#pragma once
#include "spar/cli/options.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/systems/run_directory.hpp"

namespace spar::cli {

/// Prints the best tags for the posts that the options name, in their order: each of --users with each of --items, and
/// the lines of --posts. Collective. UserError where none is named, or a user or item is not in the data set.
void recommend_tags(const comm::Communicator& communicator, const RecommendOptions& options,
                    const systems::OpenRun& run);

}  // namespace spar::cli
