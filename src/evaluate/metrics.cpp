#include "spar/evaluate/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "spar/base/error.hpp"

namespace spar::evaluate {

namespace {

// Gains of ideal lists are kept up to here; a longer one is summed when it is met.
constexpr std::int64_t kept_gains = 4096;

double gain(double place) {
  return 1.0 / std::log2(place + 2.0);
}

}  // namespace

const std::vector<std::string>& metric_names() {
  static const std::vector<std::string> names = {"hr",  "ndcg",        "precision", "recall", "recall_min", "f1",
                                                 "map", "map_per_hit", "mrr",       "auc",    "rmse",       "mae"};
  return names;
}

bool is_error(const std::string& metric) {
  return metric == "rmse" || metric == "mae";
}

void RatingErrors::add(double error) {
  const double square = error * error;
  ++count;
  absolute += std::abs(error);
  squared += square;
  fourth += square * square;
}

MetricColumns::Metric MetricColumns::parse(const std::string& name) {
  const auto& names = metric_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    throw UserError(
        fmt::format("unknown metric \"{}\" in evaluate.metrics: choose from {}", name, fmt::join(names, ", ")));
  return static_cast<Metric>(found - names.begin());
}

std::string protocol_prefix(const EvaluationOptions& options) {
  if (options.protocol == Protocol::sampled) return "sampled-";
  if (options.protocol == Protocol::reranked) return fmt::format("reranked@{}-", options.retrieved);
  return "";
}

MetricColumns::MetricColumns(const EvaluationOptions& options) {
  if (options.metrics.empty())
    throw UserError(fmt::format("evaluate.metrics is empty: choose from {}", fmt::join(metric_names(), ", ")));
  const std::string prefix = protocol_prefix(options);
  for (const std::int64_t cutoff : options.cutoffs) {
    if (cutoff < 1) throw UserError(fmt::format("evaluate.cutoffs has {}, but a list has at least 1 place", cutoff));
  }
  for (const std::string& name : options.metrics) {
    const Metric metric = parse(name);
    const bool of_ratings = metric == Metric::rmse || metric == Metric::mae;
    if (of_ratings || metric == Metric::auc) {
      columns_.push_back({metric, 0});
      names_.push_back((of_ratings ? "" : prefix) + name);
      (of_ratings ? needs_ratings_ : needs_auc_) = true;
      needs_ranks_ = needs_ranks_ || !of_ratings;
      continue;
    }
    needs_ranks_ = true;
    if (options.cutoffs.empty())
      throw UserError(fmt::format("evaluate.cutoffs is empty, but {} needs one: for example [10]", name));
    for (const std::int64_t cutoff : options.cutoffs) {
      columns_.push_back({metric, cutoff});
      names_.push_back(fmt::format("{}{}@{}", prefix, name, cutoff));
      last_cutoff_ = std::max(last_cutoff_, cutoff);
    }
  }
  std::set<std::string> distinct;
  for (const std::string& name : names_) {
    if (!distinct.insert(name).second)
      throw UserError(
          fmt::format("{} is asked for twice: evaluate.metrics and evaluate.cutoffs must not repeat", name));
  }
  ideal_.push_back(0.0);
  for (std::int64_t k = 0; k < std::min(last_cutoff_, kept_gains); ++k)
    ideal_.push_back(ideal_.back() + gain(static_cast<double>(k)));
}

double MetricColumns::value(const Column& column, const UserRanks& user) const {
  if (column.cutoff == 0) return value_without_cutoff(column, user);
  const auto cutoff = static_cast<double>(column.cutoff);
  const auto found = std::lower_bound(user.places.begin(), user.places.end(), cutoff) - user.places.begin();
  const auto hits = user.places.first(static_cast<std::size_t>(found));
  const auto count = static_cast<double>(hits.size());
  const auto targets = static_cast<double>(user.targets);
  const auto best = static_cast<double>(std::min(user.targets, column.cutoff));
  const double precision = count / cutoff;
  const double recall = count / targets;
  double sum = 0.0;
  switch (column.metric) {
    case Metric::hr:
      return hits.empty() ? 0.0 : 1.0;
    case Metric::precision:
      return precision;
    case Metric::recall:
      return recall;
    case Metric::recall_min:
      return count / best;
    case Metric::f1:
      return hits.empty() ? 0.0 : 2.0 * precision * recall / (precision + recall);
    case Metric::mrr:
      return hits.empty() ? 0.0 : 1.0 / (hits.front() + 1.0);
    case Metric::ndcg: {
      for (const double place : hits) sum += gain(place);
      const auto ideal = static_cast<std::size_t>(std::min(user.targets, column.cutoff));
      if (ideal < ideal_.size()) return sum / ideal_[ideal];
      double all = ideal_.back();
      for (std::size_t k = ideal_.size() - 1; k < ideal; ++k) all += gain(static_cast<double>(k));
      return sum / all;
    }
    case Metric::map:
    case Metric::map_per_hit: {
      for (std::size_t k = 0; k < hits.size(); ++k) sum += static_cast<double>(k + 1) / (hits[k] + 1.0);
      if (column.metric == Metric::map) return sum / best;
      return hits.empty() ? 0.0 : sum / count;
    }
    case Metric::auc:
    case Metric::rmse:
    case Metric::mae:
      break;
  }
  SPAR_ASSERT(false);
}

double MetricColumns::value_without_cutoff(const Column& column, const UserRanks& user) {
  if (column.metric == Metric::auc) return user.auc;
  if (user.errors.count == 0) return std::numeric_limits<double>::quiet_NaN();
  const auto ratings = static_cast<double>(user.errors.count);
  return column.metric == Metric::mae ? user.errors.absolute / ratings : std::sqrt(user.errors.squared / ratings);
}

void MetricColumns::add_moments(std::span<const double> values, const RatingErrors& errors, double* sums) const {
  for (std::size_t c = 0; c < columns_.size(); ++c, sums += moments) {
    const bool is_rmse = columns_[c].metric == Metric::rmse;
    if (is_rmse || columns_[c].metric == Metric::mae) {
      sums[0] += static_cast<double>(errors.count);
      sums[1] += is_rmse ? errors.squared : errors.absolute;
      sums[2] += is_rmse ? errors.fourth : errors.squared;
    } else if (!std::isnan(values[c])) {
      sums[0] += 1.0;
      sums[1] += values[c];
      sums[2] += values[c] * values[c];
    }
  }
}

MetricValue MetricColumns::summarise(std::size_t column, const double* sums) const {
  const double count = sums[0];
  constexpr double undefined = std::numeric_limits<double>::quiet_NaN();
  MetricValue value{undefined, undefined};
  if (count > 0) value.mean = sums[1] / count;
  if (count > 1) {
    const double variance = std::max(0.0, sums[2] - count * value.mean * value.mean) / (count - 1.0);
    value.standard_error = std::sqrt(variance / count);
  }
  if (columns_[column].metric != Metric::rmse) return value;
  value.mean = std::sqrt(value.mean);
  value.standard_error = value.mean > 0 ? value.standard_error / (2.0 * value.mean) : 0.0;
  return value;
}

void MetricColumns::values(const UserRanks& user, std::span<double> out) const {
  for (std::size_t c = 0; c < columns_.size(); ++c) out[c] = value(columns_[c], user);
}

}  // namespace spar::evaluate
