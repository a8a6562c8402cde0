#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "spar/base/types.hpp"
#include "spar/evaluate/evaluator.hpp"

/// Ranking metrics of one user, from the places of its targets (docs/evaluation.md). With h_k = 1 where
/// place k holds a target, c the number of targets in the first N places and T the number of targets:
///   hr          1 if c >= 1                       precision   c / N, also where there are fewer than N candidates
///   recall      c / T                             recall_min  c / min(N, T)
///   f1          2PR / (P + R), 0 if both are 0    mrr         1 / place of the first target, 0 if none
///   ndcg        sum h_k / log2(k+1) over the same sum for the ideal list of min(N, T) targets (Jarvelin and
///   Kekalainen, ACM TOIS 2002) map         sum of precision@k * h_k / min(N, T)      map_per_hit  the same sum / c, 0
///   if c = 0 auc         share of (target, other candidate) pairs in the right order, ties half (no cut-off);
///   undefined without other candidates
/// and of predicted ratings: rmse, the root of the mean squared error, and mae, the mean absolute error.
namespace spar::evaluate {

/// Errors of a user's predicted ratings, summed over the targets in the order of items.
struct RatingErrors {
  Index count = 0;
  double absolute = 0;
  double squared = 0;
  double fourth = 0;  ///< of e^4: for the standard error of the mean of e^2

  void add(double error);
};

/// What a user's metrics depend on.
struct UserRanks {
  std::span<const double> places;  ///< 0-based places of found targets, ascending; those beyond the last cut-off may be
                                   ///< missing; half places occur with Ties::mean
  Index targets = 0;               ///< at least 1
  double auc = 0;                  ///< NaN where undefined; used only if asked for
  RatingErrors errors{};
};

/// The columns that options ask for, and their values.
class MetricColumns {
 public:
  /// UserError, one sentence: an unknown metric, a metric or a cut-off given twice, a cut-off below 1, none at all.
  explicit MetricColumns(const EvaluationOptions& options);

  /// "ndcg@10", "auc"; with Protocol::sampled "sampled-ndcg@10", with Protocol::reranked "reranked@100-ndcg@10": its
  /// figures must never stand beside those of a full ranking.
  const std::vector<std::string>& names() const { return names_; }
  std::size_t count() const { return names_.size(); }
  bool needs_auc() const { return needs_auc_; }
  bool needs_ranks() const { return needs_ranks_; }          ///< some metric looks at places
  bool needs_ratings() const { return needs_ratings_; }      ///< some metric looks at predicted ratings
  std::int64_t last_cutoff() const { return last_cutoff_; }  ///< 0 where no metric has a cut-off

  /// One user's values, in the order of names(). NaN: undefined for this user.
  void values(const UserRanks& user, std::span<double> out) const;

  /// Numbers of one column that are summed over users: count, sum and sum of squares of the users' values, or of the
  /// errors that rmse and mae are means of.
  static constexpr std::size_t moments = 3;
  /// Adds one user's to `sums`, count() x moments; `values` as from values().
  void add_moments(std::span<const double> values, const RatingErrors& errors, double* sums) const;
  MetricValue summarise(std::size_t column, const double* sums) const;

 private:
  enum class Metric { hr, ndcg, precision, recall, recall_min, f1, map, map_per_hit, mrr, auc, rmse, mae };
  struct Column {
    Metric metric;
    std::int64_t cutoff;
  };
  static Metric parse(const std::string& name);
  double value(const Column& column, const UserRanks& user) const;
  static double value_without_cutoff(const Column& column, const UserRanks& user);

  std::vector<Column> columns_;
  std::vector<std::string> names_;
  std::vector<double> ideal_;  // ideal_[k]: the gain of k targets in the first k places
  std::int64_t last_cutoff_ = 0;
  bool needs_auc_ = false;
  bool needs_ranks_ = false;
  bool needs_ratings_ = false;
};

/// The names that EvaluationOptions::metrics may hold.
const std::vector<std::string>& metric_names();
/// Whether a metric ("rmse", "ndcg@10") is better where it is smaller.
bool is_error(const std::string& metric);

}  // namespace spar::evaluate
