#include "comparison.hpp"

#include <algorithm>
#include <set>

namespace spar::evaluate {

namespace {

// What the labels of a group begin with, without a trailing "-seed-": "apr-seed-1" and "apr-seed-2" are "apr".
std::string common_label(const std::vector<std::string>& labels, const std::vector<std::size_t>& runs,
                         const std::string& fallback) {
  if (runs.size() == 1) return labels[runs.front()];
  std::string common = labels[runs.front()];
  for (const std::size_t run : runs) {
    const auto differs = std::mismatch(common.begin(), common.end(), labels[run].begin(), labels[run].end()).first;
    common.erase(differs, common.end());
  }
  const auto trim = [&common] {
    while (!common.empty() && std::string("-_./ =").find(common.back()) != std::string::npos) common.pop_back();
  };
  trim();
  for (const std::string word : {"seed", "s"}) {
    const std::size_t rest = common.size() - std::min(common.size(), word.size());
    const bool stands_alone = rest > 0 && std::string("-_./").find(common[rest - 1]) != std::string::npos;
    if (stands_alone && common.compare(rest, word.size(), word) == 0) {
      common.erase(rest);
      trim();
    }
  }
  return common.empty() ? fallback : common;
}

std::vector<std::string> shared_names(const std::vector<RunResult>& runs, const std::vector<std::size_t>& members) {
  std::vector<std::string> names;
  for (const std::string& name : runs[members.front()].values.names) {
    const bool shared = std::all_of(members.begin(), members.end(),
                                    [&](std::size_t run) { return runs[run].values.metrics.count(name) > 0; });
    if (shared) names.push_back(name);
  }
  return names;
}

}  // namespace

std::vector<std::vector<std::size_t>> groups_of(const std::vector<RunResult>& runs) {
  std::vector<std::vector<std::size_t>> groups;
  for (std::size_t run = 0; run < runs.size(); ++run) {
    const auto same = std::find_if(groups.begin(), groups.end(),
                                   [&](const auto& group) { return runs[group.front()].group == runs[run].group; });
    if (same == groups.end()) {
      groups.push_back({run});
    } else {
      same->push_back(run);
    }
  }
  return groups;
}

std::vector<std::string> run_labels(const std::vector<RunResult>& runs) {
  std::vector<std::string> labels;
  std::set<std::string> distinct;
  for (const RunResult& run : runs) {
    labels.push_back(run.label());
    distinct.insert(labels.back());
  }
  if (distinct.size() == runs.size()) return labels;
  for (std::size_t k = 0; k < runs.size(); ++k) labels[k] = runs[k].run;
  return labels;
}

std::vector<SeedGroup> seed_groups(const std::vector<RunResult>& runs) {
  std::vector<SeedGroup> groups;
  const auto labels = run_labels(runs);
  for (const auto& members : groups_of(runs)) {
    SeedGroup group;
    group.label = common_label(labels, members, runs[members.front()].system);
    group.runs = members;
    group.names = shared_names(runs, members);
    for (const std::string& name : group.names) {
      std::vector<double> values;
      for (const std::size_t run : members) values.push_back(runs[run].values.metrics.at(name).mean);
      group.spreads.push_back(spread_of(values));
      group.values.push_back(std::move(values));
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

std::vector<MeanTest> compare_seeds(const SeedGroup& first, const SeedGroup& second) {
  std::vector<MeanTest> tests;
  for (std::size_t c = 0; c < first.names.size(); ++c) tests.push_back(welch_test(first.values[c], second.values[c]));
  return tests;
}

}  // namespace spar::evaluate
