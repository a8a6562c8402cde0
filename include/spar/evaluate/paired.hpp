#pragma once
#include <string>
#include <vector>

#include "spar/comm/communicator.hpp"
#include "spar/evaluate/evaluator.hpp"
#include "spar/evaluate/statistics.hpp"

/// Two evaluations of the same users, compared user by user.
namespace spar::evaluate {

/// For each column of `names` (in both results) Student's paired test of second minus first, over the users that have a
/// value in both. Both results hold per-user values; the two may have been made with other shards, hence with other
/// users on this rank: values go to the rank that holds the user in `shards` shards. The same on any launch.
/// Collective.
std::vector<MeanTest> compare_users(const comm::Communicator& communicator, int shards, Index total_users,
                                    const EvaluationResult& first, const EvaluationResult& second,
                                    const std::vector<std::string>& names);

}  // namespace spar::evaluate
