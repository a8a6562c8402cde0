#include "spar/evaluate/evaluator.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "item_rows.hpp"
#include "ring.hpp"
#include "tasks.hpp"
#include "wave.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/sharding.hpp"
#include "spar/base/threads.hpp"
#include "spar/evaluate/metrics.hpp"

namespace spar::evaluate {

namespace {

// Sums over the users of each shard of this rank, in the order of users.
class ShardSums {
 public:
  ShardSums(const ShardLayout& layout, int rank, Index total_users, const MetricColumns& columns)
      : users_{total_users, layout.shards},
        first_shard_(layout.first_shard(rank)),
        columns_(columns),
        values_(static_cast<std::size_t>(layout.shard_count(rank)) * width()) {}

  std::size_t width() const { return columns_.count() * MetricColumns::moments; }
  void add(Index user, std::span<const double> row, const RatingErrors& errors) {
    columns_.add_moments(row, errors,
                         &values_[static_cast<std::size_t>(users_.part_of(user) - first_shard_) * width()]);
  }
  std::span<const double> values() const { return values_; }

 private:
  Partition users_;
  int first_shard_;
  const MetricColumns& columns_;
  std::vector<double> values_;
};

float greatest(const float* values, Index count, Index stride, int columns) {
  float most = 0.0F;
  for (Index k = 0; k < count; ++k) {
    for (int c = 0; c < columns; ++c) {
      const float x = std::abs(values[k * stride + c]);
      // Not std::max: a NaN must win.
      if (!(x <= most)) most = x;
      if (std::isnan(most)) return most;
    }
  }
  return most;
}

// Collective.
ItemBounds bound_items(const comm::Communicator& communicator, const Scorer& scorer) {
  ItemBounds bounds;
  comm::agree(communicator, [&] {
    bounds.row = greatest(scorer.items.data, scorer.items.rows, scorer.items.stride, scorer.items.dim);
    if (scorer.item_bias != nullptr) bounds.bias = greatest(scorer.item_bias, scorer.items.rows, scorer.bias_stride, 1);
    if (std::isfinite(bounds.row) && std::isfinite(bounds.bias)) return;
    for (Index k = 0; k < scorer.items.rows; ++k) {
      const float row = greatest(scorer.items.row(k), 1, scorer.items.stride, scorer.items.dim);
      const float bias = scorer.item_bias != nullptr ? scorer.item_bias[k * scorer.bias_stride] : 0.0F;
      if (std::isfinite(row) && std::isfinite(bias)) continue;
      throw DivergenceError(fmt::format("item row {} holds {}: the model's values have left the finite numbers",
                                        scorer.items.first_row + k, std::isfinite(row) ? bias : row));
    }
  });
  return {static_cast<float>(communicator.max(static_cast<double>(bounds.row))),
          static_cast<float>(communicator.max(static_cast<double>(bounds.bias)))};
}

void check_reranked(const EvaluationLists& lists, const Scorer& scorer, const EvaluationOptions& options,
                    const MetricColumns& columns) {
  SPAR_ASSERT(lists.retriever != nullptr && lists.posts == nullptr);
  SPAR_ASSERT(lists.retriever->users.first_row == scorer.users.first_row);
  SPAR_ASSERT(lists.retriever->users.rows == scorer.users.rows);
  SPAR_ASSERT(lists.retriever->items.rows == scorer.items.rows);
  if (columns.needs_auc() || columns.needs_ratings()) {
    throw UserError(
        "auc, rmse and mae judge whole rankings: of re-ranked candidates choose metrics with a cut-off, such as ndcg");
  }
  if (options.retrieved < columns.last_cutoff()) {
    throw UserError(
        fmt::format("{} candidates cannot fill lists of {} places: retrieve at least as many items as the "
                    "greatest of evaluate.cutoffs",
                    options.retrieved, columns.last_cutoff()));
  }
}

void check_lists(const EvaluationLists& lists, const Scorer& scorer, const EvaluationOptions& options,
                 const MetricColumns& columns) {
  SPAR_ASSERT(lists.targets != nullptr);
  SPAR_ASSERT(scorer.users.rows == 0 || scorer.items.rows == 0 || scorer.users.dim == scorer.items.dim);
  SPAR_ASSERT(lists.targets->users() == scorer.users.rows);
  SPAR_ASSERT(lists.posts == nullptr || lists.posts->count() == scorer.users.rows);
  for (const data::UserLists* mask : lists.masked) SPAR_ASSERT(mask->users() == scorer.users.rows);
  SPAR_ASSERT(options.cold_items || lists.seen_items != nullptr);
  if (columns.needs_ratings() && !lists.scale) {
    throw UserError(
        "rmse and mae compare predicted ratings with given ones: they need a system that predicts ratings, such as "
        "autorec, so choose other evaluate.metrics and evaluate.select_by");
  }
  SPAR_ASSERT(!lists.scale || lists.targets->ratings.size() == lists.targets->items.size());
  if (options.protocol == Protocol::reranked) check_reranked(lists, scorer, options, columns);
  if (options.protocol == Protocol::sampled && lists.candidates == nullptr) {
    throw UserError(
        "the sampled protocol needs fixed candidates for each user, which the data set lacks: use the full ranking, or "
        "import a set that has them");
  }
}

// The metrics of a wave's users, into the sums and, if asked for, the result.
void collect(Wave& wave, const MetricColumns& columns, const Scorer& scorer, const EvaluationLists& lists,
             bool per_user, ShardSums& sums, EvaluationResult& result) {
  const std::size_t width = columns.count();
  std::vector<double> values(wave.size() * width);
  for_user_ranges(wave.size(), most_users_in_task, [&](std::size_t first, std::size_t last, int) {
    std::vector<double> places;
    for (std::size_t k = first; k < last; ++k)
      columns.values(wave.ranks(k, places), std::span(values).subspan(k * width, width));
  });
  for (std::size_t k = 0; k < wave.size(); ++k) {
    const Index list = wave.user(k).list;
    const Index user = lists.user_of(scorer, list);
    const auto row = std::span<const double>(values).subspan(k * width, width);
    sums.add(user, row, wave.user(k).errors);
    if (!per_user) continue;
    result.user_rows.push_back(user);
    if (lists.posts != nullptr) result.item_rows.push_back(lists.posts->items[static_cast<std::size_t>(list)]);
    result.user_values.insert(result.user_values.end(), row.begin(), row.end());
  }
  result.users += static_cast<Index>(wave.size());
  result.skipped += wave.skipped();
}

}  // namespace

EvaluationResult evaluate(const comm::Communicator& communicator, int shards, const Scorer& scorer,
                          const EvaluationLists& lists, const EvaluationOptions& options) {
  std::optional<MetricColumns> parsed;
  comm::agree(communicator, [&] {
    parsed.emplace(options);
    check_lists(lists, scorer, options, *parsed);
  });
  const MetricColumns& columns = *parsed;
  const bool reranked = options.protocol == Protocol::reranked;
  const CountRules rules{options.ties, columns.needs_auc(), reranked ? options.retrieved : 0, columns.last_cutoff()};
  const std::vector<std::uint8_t>* const seen = options.cold_items ? nullptr : lists.seen_items;
  const ItemBounds bounds = bound_items(communicator, scorer);

  EvaluationResult result;
  result.names = columns.names();
  ShardSums sums(ShardLayout{shards, communicator.size()}, communicator.rank(), scorer.total_users, columns);
  ItemRows rows(communicator, shards, scorer, columns.needs_ratings() ? lists.seen_items : seen);
  ItemRing ring(communicator, scorer, seen);
  WorkerScans scans(scorer, lists.masked);
  Wave wave(scorer, lists, options.cold_items, rules, bounds);
  const Index end = lists.targets->users();
  for (Index next = 0; communicator.any(next < end);) {
    next = wave.fill(next);
    if (reranked) wave.retrieve(communicator);
    wave.score_targets(communicator, rows, options.protocol);
    if (options.protocol == Protocol::full && columns.needs_ranks()) {
      ring.each_block([&](const catalogue::ItemBlock& block) {
        for_user_ranges(wave.size(), most_users_in_task, [&](std::size_t first, std::size_t last, int worker) {
          wave.count(scans.of(worker), block, first, last);
        });
      });
      wave.close(scorer.total_items);
    }
    collect(wave, columns, scorer, lists, options.per_user, sums, result);
  }

  result.users = communicator.sum(result.users);
  result.skipped = communicator.sum(result.skipped);
  comm::agree(communicator, [&] {
    if (result.users > 0) return;
    throw UserError(
        "nothing to evaluate: none of the chosen users has an item to find that is not masked too, so use a split that "
        "holds items back");
  });
  const std::vector<double> totals =
      comm::tree_sum(communicator, shards, sums.values(), static_cast<int>(sums.width()));
  for (std::size_t c = 0; c < columns.count(); ++c)
    result.metrics[columns.names()[c]] = columns.summarise(c, &totals[c * MetricColumns::moments]);
  return result;
}

std::int64_t evaluation_bytes(int dim, Index rank_users, Index rank_items, const EvaluationOptions& options) {
  const auto columns = static_cast<std::int64_t>(MetricColumns(options).count());
  const std::int64_t value_bytes = columns * static_cast<std::int64_t>(sizeof(double));
  const std::int64_t per_user =
      options.per_user ? rank_users * (value_bytes + static_cast<std::int64_t>(sizeof(Index))) : 0;
  const std::int64_t wave =
      Wave::bytes(rank_users, options) + std::min<std::int64_t>(rank_users, Wave::most_users) * value_bytes;
  return wave + per_user + ItemRows::bytes(dim) + ItemRing::bytes(dim, rank_items) + WorkerScans::bytes(dim);
}

}  // namespace spar::evaluate
