#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "spar/base/random.hpp"
#include "spar/catalogue/shard_sums.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/interactions.hpp"

/// Batches of users that every rank works on together.
namespace spar::game {

/// The users of one step, those of shard 0 first; the same on every rank.
struct UserBatch {
  catalogue::RowsByShard rows;
  std::vector<Index> users;   ///< global
  std::vector<float> totals;  ///< n_u = sum of x_ui
  std::uint32_t flags = 0;    ///< the union of what the ranks gave to gather()
};

/// Cuts each epoch's permutation of each shard's users into steps, so that all shards end together: in step t of T,
/// shard s gives entries floor(t n_s / T) to floor((t + 1) n_s / T) of its n_s users that have interactions. Memory: 12
/// bytes a user of the rank.
class UserBatches {
 public:
  /// `train`: this rank's users; `values` one for each of its items, or none (then 1). Collective.
  UserBatches(const comm::Communicator& communicator, const ShardLayout& layout, Index users,
              const data::UserLists& train, std::span<const float> values, std::int64_t batch_users,
              std::uint64_t seed);

  /// ceil(users with interactions / batch_users), at least 1.
  std::int64_t steps() const { return steps_; }
  /// Own users that no batch has, having no interactions.
  std::int64_t without_interactions() const { return without_; }

  /// Permutes each shard's users by (seed, epoch, shard).
  void begin_epoch(std::int64_t epoch);
  /// Tells every rank the users of a step; 8 bytes a user travel. Collective.
  void gather(std::int64_t step, std::uint32_t flags, UserBatch& batch);
  std::int64_t bytes_sent() const { return bytes_sent_; }

 private:
  const comm::Communicator& communicator_;
  ShardLayout layout_;
  Partition partition_;
  Index first_user_;
  RandomStream stream_;
  std::int64_t steps_ = 1;
  std::int64_t without_ = 0;
  std::vector<std::int64_t> counts_;                // of all shards
  std::vector<std::vector<std::uint32_t>> users_;   // by own shard, ascending; rows within the rank
  std::vector<std::vector<std::uint32_t>> orders_;  // of the epoch
  std::vector<float> totals_;                       // of own users
  std::int64_t bytes_sent_ = 0;
};

}  // namespace spar::game
