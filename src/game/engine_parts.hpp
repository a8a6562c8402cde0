#pragma once
#include <vector>

#include "stopwatch.hpp"

#include "spar/base/lanes.hpp"
#include "spar/game/pairwise_engine.hpp"
#include "spar/tape/pairwise.hpp"

namespace spar::game {

/// What one shard keeps from phase to phase of a step.
struct PairwiseEngine::Shard {
  data::TripleSampler sampler;
  std::array<data::MicroBatch, sets> batches;
  // Distinct users of the rank's shards before this one.
  std::array<std::size_t, sets> users_before{};
  // Users as they were before the updates in flight (pipeline).
  std::array<Buffer<float>, sets> user_rows;

  explicit Shard(data::TripleSampler s) : sampler(std::move(s)) {}
};

/// Scratch memory of one thread.
struct PairwiseEngine::Worker {
  tape::Tape<float> tape;
  std::vector<const float*> early_users;  // of the next shard, for the tape's early()
};

/// `width` floats, sixteen at a time, as a gradient for Updater::update_rows.
inline auto lanes_at(const float* row) {
  return [row](int c) { return load_lanes(row + c); };
}

inline tape::Triples triples_of(const data::MicroBatch& batch) {
  return {batch.user, batch.positive, batch.negative};
}

}  // namespace spar::game
