#pragma once
#include <string>
#include <vector>

#include "spar/evaluate/results.hpp"

namespace spar::evaluate {

/// Runs that differ in the seed only, and where their metrics lie.
struct SeedGroup {
  std::string label;
  std::vector<std::size_t> runs;            ///< places in the list of runs
  std::vector<std::string> names;           ///< of the metrics that all its runs have
  std::vector<std::vector<double>> values;  ///< by metric, then run
  std::vector<Spread> spreads;              ///< by metric
};

std::vector<SeedGroup> seed_groups(const std::vector<RunResult>& runs);

/// Welch's tests of two groups with the same metrics, by metric.
std::vector<MeanTest> compare_seeds(const SeedGroup& first, const SeedGroup& second);

/// Names of runs in tables: the last part of the directory, or the whole where two would be alike.
std::vector<std::string> run_labels(const std::vector<RunResult>& runs);

}  // namespace spar::evaluate
