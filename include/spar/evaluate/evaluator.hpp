#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "spar/base/types.hpp"
#include "spar/catalogue/pair_function.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/interactions.hpp"
#include "spar/data/posts.hpp"
#include "spar/table/row_block.hpp"

/// Full-ranking evaluation of inner-product scorers, sharded: users stay, item blocks go round
/// (docs/evaluation.md).
namespace spar::evaluate {

enum class Ties { by_id, pessimistic, optimistic, mean };
enum class Protocol { full, sampled, reranked };

struct EvaluationOptions {
  std::vector<std::int64_t> cutoffs{10, 50, 100};
  /// hr, ndcg, precision, recall, recall_min, f1, map, map_per_hit, mrr (at every cut-off); auc, rmse, mae (no
  /// cut-off).
  std::vector<std::string> metrics{"hr", "ndcg", "precision", "recall", "map", "mrr"};
  Ties ties = Ties::by_id;
  Protocol protocol = Protocol::full;
  std::int64_t retrieved = 0;  ///< Protocol::reranked: candidates of each user; at least the greatest cut-off
  bool cold_items = true;      ///< items never seen in training stay candidates
  bool per_user = false;       ///< keep every user's values
};

/// What is scored: this rank's users and items (whole blocks of shards). Any table may stand in the place of the users,
/// who ask, and any in that of the items, which are ranked; where posts ask (EvaluationLists::posts), `users` holds the
/// vectors of this rank's posts, first_row is 0 and total_users still counts users. score(u, i) = in-order FMA sum over
/// the dim columns, then + item_bias[i] where there is one. item_bias may point into the rows (bias_stride = the rows'
/// stride).
struct Scorer {
  table::RowBlock users;
  table::RowBlock items;
  const float* item_bias = nullptr;
  Index bias_stride = 1;
  Index total_users = 0;
  Index total_items = 0;
  const catalogue::PairFunction* pairs = nullptr;  ///< the score in place of the inner product, before the bias
};

/// How scores become predicted ratings: they are clipped to [low, high]. An item or a user that training never saw has
/// no score of its own and is predicted `unknown`.
struct RatingScale {
  float low = 1;
  float high = 5;
  float unknown = 3;
};

/// The lists of this rank's users that an evaluation needs. All have the same first_user and users(); where posts ask,
/// they are lists of posts, but for chosen_users.
struct EvaluationLists {
  const data::UserLists* targets = nullptr;     ///< what must be found
  std::vector<const data::UserLists*> masked;   ///< never candidates: training; when testing also validation
  const data::UserLists* fold_in = nullptr;     ///< what is told of users held out of training; among `masked`, too
  const data::UserLists* candidates = nullptr;  ///< Protocol::sampled: the fixed negatives
  const Scorer* retriever = nullptr;            ///< Protocol::reranked: whose best items are the candidates
  const std::vector<std::uint8_t>* seen_items =
      nullptr;  ///< this rank's items: 1 where training has the item (for cold_items = false, rmse and mae)
  std::optional<RatingScale> scale{};  ///< for rmse and mae, which need the ratings of the targets and seen_items
  const std::vector<std::uint8_t>* chosen_users =
      nullptr;                            ///< this rank's users: 1 where the user takes part; nullptr: all
  const data::PostRows* posts = nullptr;  ///< who asks, where it is not the users themselves

  /// The global row of the user who asks in row k of the lists.
  Index user_of(const Scorer& scorer, Index k) const {
    return posts == nullptr ? scorer.users.first_row + k
                            : static_cast<Index>(posts->users[static_cast<std::size_t>(k)]);
  }
  bool takes_part(Index k) const {
    if (chosen_users == nullptr) return true;
    const Index user = posts == nullptr ? k : posts->users[static_cast<std::size_t>(k)] - posts->first_user;
    return (*chosen_users)[static_cast<std::size_t>(user)] != 0;
  }
};

/// The mean over the users for whom the metric is defined (all, but for AUC of users without other candidates), and its
/// standard error, sd / sqrt(n); NaN where no user, or only one, has a value. rmse and mae are over all ratings alike,
/// whoever gave them: rmse = sqrt(m) for the mean m of squared errors, with the standard error of m over 2 sqrt(m).
struct MetricValue {
  double mean = 0;
  double standard_error = 0;
};

struct EvaluationResult {
  Index users = 0;                             ///< users (or posts) with at least one target, over all ranks
  Index skipped = 0;                           ///< those without
  std::map<std::string, MetricValue> metrics;  ///< "ndcg@10" -> value; the same on every rank and any launch
  std::vector<std::string> names;              ///< per-user columns, in the order asked for
  std::vector<Index> user_rows;                ///< per_user: this rank's evaluated users (global rows), ascending
  std::vector<Index> item_rows;                ///< per_user: the items of their posts; empty where users ask
  std::vector<double> user_values;             ///< per_user: user_rows.size() x names.size()
};

/// What the names of metrics begin with: "", "sampled-", "reranked@100-".
std::string protocol_prefix(const EvaluationOptions& options);

/// Evaluates. Collective. `shards` fixes the sums; memory beyond the inputs is bounded by evaluation_bytes(). With
/// Protocol::sampled every metric's name begins with "sampled-". With Protocol::reranked (retrieve, then re-rank) the
/// candidates of a user are the `retrieved` best items by the retriever, whose rows lie as the scorer's do; a target
/// that is not among them is missed, and with as many candidates as items the values are those of the full ranking, bit
/// for bit. All ranks throw the same Error: of code diverged where a score is not finite (the sentence names user and
/// item), of code usage for wrong options (MetricColumns), missing candidates, a metric that needs whole rankings of
/// Protocol::reranked, or when no chosen user has a target.
EvaluationResult evaluate(const comm::Communicator& communicator, int shards, const Scorer& scorer,
                          const EvaluationLists& lists, const EvaluationOptions& options);

/// The working memory of evaluate() on one rank, in bytes, for `spar plan`.
std::int64_t evaluation_bytes(int dim, Index rank_users, Index rank_items, const EvaluationOptions& options);

/// One recommended item.
struct Recommendation {
  Index item = 0;
  float score = 0;
};

/// The `top` best items for chosen users (score descending, then smaller item row), masked items left out; one list per
/// chosen user, in ascending user order (of posts: one for each, in their order). Where lists.seen_items is given,
/// items with 0 are left out too. Collective; fails as evaluate() does.
std::vector<std::vector<Recommendation>> recommend(const comm::Communicator& communicator, const Scorer& scorer,
                                                   const EvaluationLists& lists, int top);

/// The same lists when only the `retrieved` (>= top) best items of each user by lists.retriever are candidates, scored
/// and ordered by `scorer`. `shards`: those that users and items lie by. Collective.
std::vector<std::vector<Recommendation>> recommend_reranked(const comm::Communicator& communicator, int shards,
                                                            const Scorer& scorer, const EvaluationLists& lists,
                                                            int retrieved, int top);

}  // namespace spar::evaluate
