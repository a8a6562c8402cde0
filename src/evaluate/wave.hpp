#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "item_rows.hpp"

#include "spar/catalogue/scan.hpp"
#include "spar/evaluate/evaluator.hpp"
#include "spar/evaluate/metrics.hpp"

namespace spar::evaluate {

/// An item to be found, and how many candidates stand before it so far.
struct Target {
  ItemId item = 0;
  float rating = 0;  ///< where ratings are predicted
  float score = 0;
  float below = 0;             ///< the next float below score
  std::uint32_t before = 0;    ///< candidates with a greater score, or the same and a smaller id
  std::uint32_t greater = 0;   ///< candidates with a greater score
  std::uint32_t at_least = 0;  ///< candidates with the same score or a greater one, the target itself included
};

struct WaveUser {
  Index list = 0;         ///< local position in the lists
  std::size_t begin = 0;  ///< its targets are [begin, end)
  std::size_t end = 0;
  std::size_t open = 0;  ///< targets [begin, open) may still come to a place that matters
  Index excluded = 0;    ///< items that are no candidates
  Index candidates = 0;
  bool bounded = false;  ///< none of its scores can overflow
  Index missed = 0;      ///< targets at the end of the list that were not retrieved
  RatingErrors errors;

  Index targets() const { return static_cast<Index>(end - begin); }
};

/// Which counts an evaluation needs, and when a target is out of the game.
struct CountRules {
  Ties ties = Ties::by_id;
  bool auc = false;
  std::int64_t retrieved = 0;   ///< Protocol::reranked: candidates of each user
  std::int64_t last_place = 0;  ///< a target with so many candidates before it matters no more

  bool needs_ties() const { return auc || ties != Ties::by_id; }
};

/// The greatest absolute values of all items' rows and biases.
struct ItemBounds {
  float row = 0;
  float bias = 0;
};

/// Users that are evaluated together, with their targets: bounded memory, whatever the number of users.
class Wave {
 public:
  /// At most this many users, and no further user after so many targets.
  static constexpr std::size_t most_users = 65'536;
  static constexpr std::size_t most_targets = 1'048'576;
  /// With Protocol::reranked, no further user after so many candidates.
  static constexpr std::int64_t most_retrieved = 4'194'304;

  Wave(const Scorer& scorer, const EvaluationLists& lists, bool cold_items, const CountRules& rules,
       const ItemBounds& bounds);

  /// Takes chosen users with targets from local position `next` on; returns where the next wave begins.
  Index fill(Index next);
  /// Protocol::reranked: finds the candidates of its users. Collective.
  void retrieve(const comm::Communicator& communicator);
  /// Learns the targets' scores, and but for Protocol::full also what stands before them. Collective.
  void score_targets(const comm::Communicator& communicator, ItemRows& rows, Protocol protocol);
  /// Counts what stands before the open targets of users [first, last) in a block; one range is one worker's.
  void count(catalogue::BlockScan& scan, const catalogue::ItemBlock& block, std::size_t first, std::size_t last);
  /// With Protocol::full: who is no candidate is known when all blocks are counted.
  void close(Index total_items);
  /// What user k's metrics depend on. `places` is scratch memory that the result points into.
  UserRanks ranks(std::size_t k, std::vector<double>& places);

  std::size_t size() const { return users_.size(); }
  const WaveUser& user(std::size_t k) const { return users_[k]; }
  Index skipped() const {
    return skipped_;
  }  ///< chosen users of this wave's range without targets, once the targets are scored

  static std::int64_t bytes(Index rank_users, const EvaluationOptions& options);

 private:
  std::span<Target> targets_of(const WaveUser& user) {
    return std::span(targets_).subspan(user.begin, user.end - user.begin);
  }
  std::size_t take_items(std::size_t first, Protocol protocol, Index most, std::vector<ItemId>& items) const;
  bool is_masked(Index list, ItemId item) const;
  void score_user(WaveUser& user, const ItemRows& rows);
  bool has_profile(Index list) const;
  std::span<const ItemId> candidates_of(std::size_t k) const;
  void count_fixed_candidates(std::size_t k, const ItemRows& rows);
  void count_retrieved(std::size_t k, const ItemRows& rows);
  void count_among(const WaveUser& user, std::span<Target> targets, std::span<const ItemId> others,
                   const ItemRows& rows);
  bool count_piece(WaveUser& user, const catalogue::ScoredItems& scored, std::vector<float>& thresholds,
                   std::vector<std::uint32_t>& above);
  void drop_hopeless(WaveUser& user);

  const Scorer* scorer_;
  const EvaluationLists* lists_;
  bool cold_items_;
  CountRules rules_;
  ItemBounds bounds_;
  std::vector<WaveUser> users_;
  std::vector<Target> targets_;
  std::vector<ItemId> retrieved_;          // Protocol::reranked: of all users, ascending for each
  std::vector<std::size_t> retrieved_to_;  // by user: where its own end
  Index skipped_ = 0;
};

}  // namespace spar::evaluate
