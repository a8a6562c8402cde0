#pragma once
#include "spar/comm/communicator.hpp"
#include "spar/data/posts.hpp"
#include "spar/systems/factor_model.hpp"

namespace spar::systems {

/// The posts whose items' rows are pulled in one go, over all shards.
inline constexpr int posts_per_wave = 16384;

/// Writes what stands for each of this rank's posts, row by row with `stride` floats: made of the row of its user, who
/// is the rank's own, and of the pulled row of its item. Collective.
void represent_posts(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
                     const data::PostRows& posts, float* out, Index stride);

}  // namespace spar::systems
