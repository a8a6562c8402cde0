#pragma once
#include "spar/systems/factor_model.hpp"

namespace spar::systems {

/// The most rows of items that represent_histories() pulls for one shard at a time.
std::int64_t pulled_history_rows(int length, Index total_items, int shards);

/// Writes what stands for each of this rank's chosen users with a history: row k of `out` (stride floats apart, zero
/// before) is the state behind the history of local user k. The rows of items are pulled as in training, a wave of
/// users at a time: a rank holds the rows, and each thread the layers, of a bounded number of histories. A state is a
/// function of the history alone, whoever else is in the wave. Collective.
void represent_histories(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
                         const evaluate::EvaluationLists& lists, float* out, Index stride);

}  // namespace spar::systems
