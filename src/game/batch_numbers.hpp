#pragma once
#include "spar/game/neural_batch.hpp"

namespace spar::game {

/// Numbers of an epoch's examples that do not depend on the launch: shards have 2^32 each.
inline Index first_sample(int shard, std::int64_t entry, std::int64_t per_entry) {
  return (static_cast<Index>(shard) << 32) + entry * per_entry;
}

/// An empty batch of so many tables and roles.
inline void reset(NeuralBatch& batch, std::size_t tables, std::size_t roles) {
  batch.rows.resize(tables);
  batch.slots.resize(roles);
  for (auto& rows : batch.rows) rows.clear();
  for (auto& slots : batch.slots) slots.clear();
  batch.labels.clear();
  batch.samples.clear();
  batch.examples = 0;
  batch.contest.each = 1;
  batch.contest.examples.clear();
  batch.contest.slots.clear();
}

}  // namespace spar::game
