#include "spar/evaluate/paired.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "spar/base/error.hpp"
#include "spar/base/sharding.hpp"

namespace spar::evaluate {

namespace {

constexpr std::size_t moments = 3;

// Values of users in ascending order, `width` each.
struct UserValues {
  std::vector<Index> users;
  std::vector<double> values;
};

std::vector<std::size_t> places_of(const std::vector<std::string>& names, const EvaluationResult& result) {
  std::vector<std::size_t> places;
  for (const std::string& name : names) {
    const auto found = std::find(result.names.begin(), result.names.end(), name);
    SPAR_ASSERT(found != result.names.end());
    places.push_back(static_cast<std::size_t>(found - result.names.begin()));
  }
  return places;
}

// Brings the chosen columns of each user to the rank that holds the user.
UserValues distribute(const comm::Communicator& communicator, const ShardLayout& layout, const Partition& users,
                      const EvaluationResult& result, const std::vector<std::string>& names) {
  const auto places = places_of(names, result);
  const std::size_t record = sizeof(Index) + places.size() * sizeof(double);
  std::vector<std::vector<std::byte>> outgoing(static_cast<std::size_t>(communicator.size()));
  for (std::size_t k = 0; k < result.user_rows.size(); ++k) {
    auto& bytes = outgoing[static_cast<std::size_t>(layout.rank_of(users.part_of(result.user_rows[k])))];
    const std::size_t begin = bytes.size();
    bytes.resize(begin + record);
    std::memcpy(&bytes[begin], &result.user_rows[k], sizeof(Index));
    for (std::size_t c = 0; c < places.size(); ++c) {
      std::memcpy(&bytes[begin + sizeof(Index) + c * sizeof(double)],
                  &result.user_values[k * result.names.size() + places[c]], sizeof(double));
    }
  }
  UserValues values;
  // Ranks hold ascending ranges of users in every layout, so what comes from rank after rank ascends.
  for (const auto& bytes : communicator.exchange(outgoing)) {
    for (std::size_t begin = 0; begin < bytes.size(); begin += record) {
      values.users.emplace_back();
      std::memcpy(&values.users.back(), &bytes[begin], sizeof(Index));
      const std::size_t filled = values.values.size();
      values.values.resize(filled + places.size());
      std::memcpy(values.values.data() + filled, bytes.data() + begin + sizeof(Index), places.size() * sizeof(double));
    }
  }
  return values;
}

}  // namespace

std::vector<MeanTest> compare_users(const comm::Communicator& communicator, int shards, Index total_users,
                                    const EvaluationResult& first, const EvaluationResult& second,
                                    const std::vector<std::string>& names) {
  const ShardLayout layout{shards, communicator.size()};
  const Partition users{total_users, shards};
  const UserValues a = distribute(communicator, layout, users, first, names);
  const UserValues b = distribute(communicator, layout, users, second, names);
  const std::size_t width = names.size();
  const int first_shard = layout.first_shard(communicator.rank());
  std::vector<double> sums(static_cast<std::size_t>(layout.shard_count(communicator.rank())) * width * moments);
  std::size_t other = 0;
  for (std::size_t k = 0; k < a.users.size(); ++k) {
    while (other < b.users.size() && b.users[other] < a.users[k]) ++other;
    if (other == b.users.size() || b.users[other] != a.users[k]) continue;
    // Posts of one user stand in the same order in both.
    const std::size_t same = other++;
    double* to = &sums[static_cast<std::size_t>(users.part_of(a.users[k]) - first_shard) * width * moments];
    for (std::size_t c = 0; c < width; ++c, to += moments) {
      const double difference = b.values[same * width + c] - a.values[k * width + c];
      if (std::isnan(difference)) continue;
      to[0] += 1.0;
      to[1] += difference;
      to[2] += difference * difference;
    }
  }
  const auto totals = comm::tree_sum(communicator, shards, sums, static_cast<int>(width * moments));
  std::vector<MeanTest> tests;
  for (std::size_t c = 0; c < width; ++c) {
    const double* moment = &totals[c * moments];
    tests.push_back(paired_test(static_cast<std::int64_t>(moment[0]), moment[1], moment[2]));
  }
  return tests;
}

}  // namespace spar::evaluate
