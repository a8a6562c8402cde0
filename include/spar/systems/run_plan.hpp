#pragma once
#include <cstdint>
#include <string>

#include "spar/base/settings.hpp"
#include "spar/data/dataset_file.hpp"

/// What a run will take, before it starts: computed from the sizes that the run itself allocates by.
namespace spar::systems {

struct RunPlan {
  int ranks = 1;
  int threads = 1;
  int shards = 8;
  std::int64_t batch_size = 0;
  // Bytes of the fullest rank.
  std::int64_t tables = 0;      ///< values and optimiser state
  std::int64_t pairs = 0;       ///< interactions: lists, their order, their users
  std::int64_t buffers = 0;     ///< of a training step
  std::int64_t evaluation = 0;  ///< of a validation
  std::int64_t program = 0;     ///< program, libraries, MPI
  std::int64_t bytes_per_rank() const { return tables + pairs + buffers + evaluation + program; }
  std::int64_t sent_per_step = 0;  ///< bytes that the fullest rank sends, at most
  std::int64_t checkpoint = 0;     ///< bytes of one checkpoint, all ranks
  int checkpoints_kept = 0;        ///< the newest and the best of each stage
  double validation_seconds = 0;   ///< of the sample, estimated
  double full_evaluation_seconds = 0;
};

/// Resolves parallel.shards in `recipe`; UserError where ranks > shards.
RunPlan plan_run(Recipe& recipe, const data::DatasetHeader& data, int ranks, int threads);

}  // namespace spar::systems
