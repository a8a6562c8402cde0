#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "catalogue/support.hpp"

#include "spar/evaluate/evaluator.hpp"

/// The slow, obvious evaluator: every score of every user, a full sort, the textbook formulas. What the fast one is
/// compared with.
namespace spar::test {

/// A whole catalogue on one rank, with lists of any shape.
struct World {
  Index users = 0;
  Index items = 0;
  int dim = 0;
  Rows user_rows{0, 1, 0};
  Rows item_rows{0, 1, 0};
  std::vector<float> bias;  ///< empty: none
  std::vector<std::set<ItemId>> train, validation, test;
  std::vector<std::vector<ItemId>> negatives;
  std::vector<std::uint8_t> seen;

  float score(Index user, ItemId item) const {
    const float product = reference_score(user_rows.row(user), item_rows.row(item), dim);
    return bias.empty() ? product : product + bias[item];
  }
};

/// Users' lists and rows depend on `seed` only. With `levels` > 0 the scores are small integers, so that many are
/// equal.
inline World make_world(Index users, Index items, int dim, std::uint64_t seed, int levels, bool biased) {
  World world;
  world.users = users;
  world.items = items;
  world.dim = dim;
  world.user_rows = Rows(users, dim, seed + 1);
  world.item_rows = Rows(items, dim, seed + 2);
  if (levels > 0) {
    for (Rows* rows : {&world.user_rows, &world.item_rows}) {
      for (float& x : rows->values) x = std::round(x * static_cast<float>(levels) * 0.5F);
    }
  }
  const Rows noise(items, 1, seed + 3);
  if (biased) world.bias = noise.values;
  if (biased && levels > 0) {
    for (float& x : world.bias) x = std::round(x);
  }
  world.train.resize(static_cast<std::size_t>(users));
  world.validation.resize(static_cast<std::size_t>(users));
  world.test.resize(static_cast<std::size_t>(users));
  world.negatives.resize(static_cast<std::size_t>(users));
  world.seen.assign(static_cast<std::size_t>(items), 0);
  const RandomStream stream(seed, Purpose::synthetic);
  for (Index u = 0; u < users; ++u) {
    const auto k = static_cast<std::size_t>(u);
    const auto draw = [&](std::uint32_t purpose, std::uint32_t index, std::uint64_t range) {
      return bounded(word64(stream.block(static_cast<std::uint32_t>(u), purpose, index), 0), range);
    };
    // Every seventh user has no test item, every eleventh none in training; some have more than the catalogue can hide.
    const auto many = draw(0, 0, 3) == 0 ? static_cast<std::uint64_t>(items) : 12;
    for (std::uint32_t n = 0; n < (u % 11 == 5 ? 0 : draw(1, 0, many)); ++n)
      world.train[k].insert(static_cast<ItemId>(draw(2, n, static_cast<std::uint64_t>(items))));
    for (std::uint32_t n = 0; n < draw(3, 0, 4); ++n)
      world.validation[k].insert(static_cast<ItemId>(draw(4, n, static_cast<std::uint64_t>(items))));
    for (std::uint32_t n = 0; n < (u % 7 == 3 ? 0 : 1 + draw(5, 0, 9)); ++n)
      world.test[k].insert(static_cast<ItemId>(draw(6, n, static_cast<std::uint64_t>(items))));
    for (std::uint32_t n = 0; n < (u % 13 == 2 ? 0 : 15); ++n)
      world.negatives[k].push_back(static_cast<ItemId>(draw(7, n, static_cast<std::uint64_t>(items))));
    for (const ItemId item : world.train[k]) {
      if (item % 4 != 1) world.seen[item] = 1;
    }
  }
  // Training items that the flags call unseen would be a contradiction: take them out.
  for (auto& list : world.train) std::erase_if(list, [&](ItemId item) { return world.seen[item] == 0; });
  return world;
}

/// The candidates of a user and the targets among them.
struct Question {
  std::vector<ItemId> candidates;
  std::set<ItemId> targets;
};

inline Question question(const World& world, Index user, const evaluate::EvaluationOptions& options) {
  const auto u = static_cast<std::size_t>(user);
  const auto is_candidate = [&](ItemId item) {
    return world.train[u].count(item) == 0 && world.validation[u].count(item) == 0 &&
           (options.cold_items || world.seen[item] != 0);
  };
  Question q;
  for (const ItemId item : world.test[u]) {
    if (is_candidate(item)) q.targets.insert(item);
  }
  std::set<ItemId> candidates = q.targets;
  if (options.protocol == evaluate::Protocol::sampled) {
    for (const ItemId item : world.negatives[u]) {
      if (is_candidate(item)) candidates.insert(item);
    }
    if (candidates.size() == q.targets.size()) q.targets.clear();
  } else {
    for (ItemId item = 0; item < static_cast<ItemId>(world.items); ++item) {
      if (is_candidate(item)) candidates.insert(item);
    }
  }
  q.candidates.assign(candidates.begin(), candidates.end());
  return q;
}

/// 0-based places of the targets, ascending: candidates with a better score, then of the equal ones what the rule puts
/// before them.
inline std::vector<double> reference_places(const World& world, Index user, const Question& q, evaluate::Ties ties) {
  std::vector<double> places;
  for (const ItemId target : q.targets) {
    const float score = world.score(user, target);
    double before = 0;
    for (const ItemId item : q.candidates) {
      const float other = world.score(user, item);
      const bool equal = item != target && other == score;
      if (other > score) before += 1;
      if (!equal) continue;
      const bool other_is_target = q.targets.count(item) > 0;
      if (ties == evaluate::Ties::by_id || other_is_target) {
        before += item < target ? 1 : 0;
      } else if (ties == evaluate::Ties::pessimistic) {
        before += 1;
      } else if (ties == evaluate::Ties::mean) {
        before += 0.5;
      }
    }
    places.push_back(before);
  }
  std::sort(places.begin(), places.end());
  return places;
}

inline double reference_auc(const World& world, Index user, const Question& q) {
  double wins = 0;
  double pairs = 0;
  for (const ItemId item : q.candidates) {
    if (q.targets.count(item) > 0) continue;
    for (const ItemId target : q.targets) {
      const float p = world.score(user, target);
      const float n = world.score(user, item);
      wins += p > n ? 1.0 : p == n ? 0.5 : 0.0;
      pairs += 1;
    }
  }
  return pairs > 0 ? wins / pairs : std::numeric_limits<double>::quiet_NaN();
}

/// One user's metrics by name, without a prefix for the protocol.
inline std::map<std::string, double> reference_metrics(const std::vector<double>& places, std::size_t targets,
                                                       const std::vector<std::int64_t>& cutoffs) {
  std::map<std::string, double> values;
  for (const std::int64_t cutoff : cutoffs) {
    const auto n = static_cast<double>(cutoff);
    double hits = 0, dcg = 0, idcg = 0, sum = 0, first = 0;
    for (const double place : places) {
      if (place >= n) continue;
      hits += 1;
      dcg += 1 / std::log2(place + 2);
      sum += hits / (place + 1);
      if (first == 0) first = 1 / (place + 1);
    }
    const double best = std::min(n, static_cast<double>(targets));
    for (double k = 0; k < best; ++k) idcg += 1 / std::log2(k + 2);
    const double precision = hits / n;
    const double recall = hits / static_cast<double>(targets);
    const std::string at = std::string("@").append(std::to_string(cutoff));
    values["hr" + at] = hits > 0 ? 1 : 0;
    values["precision" + at] = precision;
    values["recall" + at] = recall;
    values["recall_min" + at] = hits / best;
    values["f1" + at] = hits > 0 ? 2 * precision * recall / (precision + recall) : 0;
    values["ndcg" + at] = dcg / idcg;
    values["map" + at] = sum / best;
    values["map_per_hit" + at] = hits > 0 ? sum / hits : 0;
    values["mrr" + at] = first;
  }
  return values;
}

struct ReferenceResult {
  Index users = 0;
  Index skipped = 0;
  std::map<std::string, evaluate::MetricValue> metrics;
  std::vector<Index> user_rows;
  std::vector<std::map<std::string, double>> user_values;
};

inline ReferenceResult reference_evaluate(const World& world, const evaluate::EvaluationOptions& options) {
  ReferenceResult result;
  for (Index user = 0; user < world.users; ++user) {
    const Question q = question(world, user, options);
    if (q.targets.empty()) {
      ++result.skipped;
      continue;
    }
    auto values = reference_metrics(reference_places(world, user, q, options.ties), q.targets.size(), options.cutoffs);
    values["auc"] = reference_auc(world, user, q);
    result.user_rows.push_back(user);
    result.user_values.push_back(values);
    ++result.users;
  }
  if (result.users == 0) return result;
  for (const auto& [name, ignored] : result.user_values.front()) {
    double count = 0, sum = 0, squares = 0;
    for (const auto& values : result.user_values) {
      if (std::isnan(values.at(name))) continue;
      count += 1;
      sum += values.at(name);
    }
    const double mean = sum / count;
    for (const auto& values : result.user_values) {
      if (!std::isnan(values.at(name))) squares += (values.at(name) - mean) * (values.at(name) - mean);
    }
    result.metrics[name] = {mean, std::sqrt(squares / (count - 1) / count)};
  }
  return result;
}

}  // namespace spar::test
