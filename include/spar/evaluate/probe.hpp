#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "spar/base/sharding.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/table/row_block.hpp"

/// What frozen vectors of users tell of an attribute: classifiers that have seen nothing of the training learn it from
/// the vectors of some users and are judged on others (docs/evaluation.md, "Probing private attributes").
namespace spar::evaluate {

struct ProbeOptions {
  int folds = 5;           ///< every user is judged once, by classifiers that learned from the other folds; at least 2
  std::uint64_t seed = 1;  ///< deals users to folds and starts the classifiers
  int most_passes = 300;   ///< over the users that a classifier learns from
};

/// One kind of classifier over all folds.
struct ProbeScore {
  std::string classifier;        ///< "linear" (softmax regression) or "hidden" (one hidden layer of 64 ReLU units)
  double accuracy = 0;           ///< of the most probable value
  double balanced_accuracy = 0;  ///< mean recall of the values, taking the value whose probability grew most against
                                 ///< its share: 1 / values by chance
  double macro_f1 = 0;           ///< mean F1 of the values, of the same decisions
  std::optional<double> auc;     ///< of two values: mean over the folds, 1/2 by chance
};

struct ProbeResult {
  std::int64_t users = 0;                  ///< of all ranks, those that have a value
  std::vector<std::int64_t> value_counts;  ///< of all ranks
  double majority = 0;                     ///< share of the most frequent value: what a blind guess reaches
  std::vector<ProbeScore> scores;
};

/// Reads `classes` (of this rank's users, by row of `vectors`; -1: takes no part) out of the vectors. Users are dealt
/// to folds by random keys of (seed, row). A classifier follows Adam (Kingma and Ba, ICLR 2015) on the mean cross
/// entropy of all its users at once, over columns of mean 0 and deviation 1, and is taken from the pass where the loss
/// on a fifth of them, from which it does not learn, was least. Sums go along the tree of `layout`'s shards, so the
/// result is the same on any launch; nothing that grows with the users leaves a rank. Collective. Memory: 4 bytes a
/// column of the users that take part, and 512 bytes for each of the largest shard's. UserError where fewer than two
/// values have users, or fewer users than ten a fold.
ProbeResult probe(const comm::Communicator& communicator, const ShardLayout& layout, Index total_users,
                  const table::RowBlock& vectors, const std::vector<std::int32_t>& classes, int values,
                  const ProbeOptions& options);

}  // namespace spar::evaluate
