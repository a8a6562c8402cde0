#pragma once
#include <memory>
#include <vector>

#include "profile_sums.hpp"

#include "spar/data/triple_sampler.hpp"
#include "spar/systems/feature_attack.hpp"
#include "spar/table/row_exchange.hpp"
#include "spar/tape/tape.hpp"

/// The margins of attacks on profiles of users, and their gradients with respect to the scaled sums over these.
namespace spar::systems {

/// Rows of one table that the shards of this rank ask for, each shard its distinct ones.
class GatheredRows {
 public:
  /// `most`: rows of a shard; the table has its exchange from then on. Collective.
  GatheredRows(const comm::Communicator& communicator, const ShardLayout& layout, table::Table& table, std::size_t most,
               int tag);
  void begin();
  /// Whether a shard may want so many more rows.
  bool has_room(std::size_t shard, std::size_t more) const { return rows_[shard].size() + more <= most_; }
  /// The slot of a row.
  std::int32_t want(std::size_t shard, Index row);
  /// Collective; rows are there until the next barrier of all ranks.
  void pull();
  const float* row(std::size_t shard, std::int32_t slot) const {
    return exchange_->rows(0, static_cast<int>(shard))[slot];
  }

 private:
  std::size_t most_;
  std::unique_ptr<table::RowExchange> exchange_;
  std::vector<std::vector<Index>> rows_;
  std::vector<data::SlotFinder> finders_;
  std::int64_t wave_ = 0;
};

/// One item of one user: what his profile must do, and what was found.
struct ProfilePair {
  Index user = 0;  ///< local row
  Index item = 0;  ///< global row
  bool is_attacked = true;
  std::vector<Index> rivals{};             ///< goal list: candidates that the item competes with
  std::vector<Index> members{};            ///< entries outside the profile that may change
  std::vector<float> slope{};              ///< of the margin, at the profile as it was
  std::vector<std::int32_t> item_slots{};  ///< of the item, then of the rivals
  std::vector<std::int32_t> slots{};       ///< of the profile's members, then of `members`
  bool reached = false;
  double distortion = 0;
  std::int64_t changes = 0;
  std::vector<float> found{};  ///< the sum over the changed profile
};

/// A pair whose rows are at hand.
struct ProfileMargin {
  ProfilePair* pair = nullptr;
  std::vector<const float*> items{};  ///< sums over the profiles of the item and of the rivals
  Buffer<float> columns{};            ///< goal list: what stands for them in scores, one item a lane
};

/// What one thread works in.
struct MarginRoom {
  tape::Tape<float> tape{};
  Buffer<float> points{};  ///< scaled sums over profiles, a row a pair
  Buffer<float> gradients{};
  Buffer<float> scores{};
  Index stride = 0;

  void require(std::size_t pairs, int columns);
  float* point(std::size_t pair) { return points.data() + static_cast<Index>(pair) * stride; }
  float* gradient(std::size_t pair) { return gradients.data() + static_cast<Index>(pair) * stride; }
};

class ProfileMargins {
 public:
  /// Collective. `pairs` and `rivals`: the most of one shard at a time, and of one of its pairs.
  ProfileMargins(const comm::Communicator& communicator, const ShardLayout& layout, const FactorModel& model,
                 const Scoring& scoring, const ProfileSums& sums, const data::UserLists& train,
                 const FeatureAttackPlan& plan, std::size_t pairs, std::size_t rivals);

  void begin() { rows_.begin(); }
  /// Asks for the rows of a pair's item and rivals.
  void want(std::size_t shard, ProfilePair& pair);
  /// Collective.
  void pull() { rows_.pull(); }
  ProfileMargin open(std::size_t shard, ProfilePair& pair) const;
  /// The margins of pairs at the points of the room, and in its gradients those with respect to the points. A margin is
  /// that of docs/evaluation.md: the goal is reached below 0. With goal list the scores are those of the evaluation,
  /// bit by bit.
  std::vector<double> evaluate(const std::vector<ProfileMargin*>& pairs, MarginRoom& room) const;

 private:
  struct Example {
    std::size_t pair;
    const float* item;
    float weight;  // of its logit in the margin
    Index sample;
  };
  std::vector<Example> rank(const std::vector<ProfileMargin*>& pairs, MarginRoom& room,
                            std::vector<double>& margins) const;
  tape::Matrix<float> logits(const std::vector<ProfileMargin*>& pairs, const std::vector<Example>& examples,
                             MarginRoom& room) const;
  void sum_grams(const comm::Communicator& communicator, const ShardLayout& layout);

  const FactorModel& model_;
  const Scoring& scoring_;
  const data::UserLists& train_;
  const FeatureAttackPlan plan_;
  int columns_;
  table::Table items_;  // sums over their profiles; in a last column of how many members
  GatheredRows rows_;
  std::vector<Buffer<float>> gram_values_;
  std::vector<tape::Matrix<float>> grams_;
};

}  // namespace spar::systems
