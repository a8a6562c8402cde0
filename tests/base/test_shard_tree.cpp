#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <string>

#include <boost/test/unit_test.hpp>

#include "spar/base/shard_tree.hpp"
#include "spar/base/sharding.hpp"

namespace {

/// The tree written out: the sum over [begin, begin + size) is left half + right half, absent halves skipped. Slow and
/// obvious.
std::string spelled(const std::vector<int>& present, int begin, int size) {
  if (size == 1) return std::find(present.begin(), present.end(), begin) == present.end() ? "" : std::to_string(begin);
  const std::string left = spelled(present, begin, size / 2);
  const std::string right = spelled(present, begin + size / 2, size / 2);
  if (left.empty()) return right;
  return right.empty() ? left : "(" + left + "+" + right + ")";
}

std::string reduced(const std::vector<int>& present) {
  std::vector<std::string> slots;
  for (const int shard : present) slots.push_back(std::to_string(shard));
  spar::tree_reduce(
      static_cast<int>(present.size()), [&](int k) { return present[static_cast<std::size_t>(k)]; },
      [&](int left, int right) {
        auto& kept = slots[static_cast<std::size_t>(left)];
        kept = "(" + kept + "+" + slots[static_cast<std::size_t>(right)] + ")";
      });
  return slots.empty() ? "" : slots.front();
}

std::vector<double> numbers_of_very_different_size(int count) {
  std::mt19937_64 generator(7);
  std::vector<double> values;
  for (int k = 0; k < count; ++k) {
    values.push_back(
        std::ldexp(std::uniform_real_distribution<double>(-1, 1)(generator), static_cast<int>(generator() % 60)));
  }
  return values;
}

bool same_bits(double a, double b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(shard_tree)

BOOST_AUTO_TEST_CASE(sums_follow_the_written_tree_for_every_set_of_present_shards) {
  for (unsigned set = 0; set < 256; ++set) {
    std::vector<int> present;
    for (int shard = 0; shard < 8; ++shard) {
      if ((set >> shard & 1U) != 0) present.push_back(shard);
    }
    BOOST_TEST(reduced(present) == spelled(present, 0, 8));
  }
}

BOOST_AUTO_TEST_CASE(sums_follow_the_written_tree_for_random_sets_of_1024_shards) {
  std::mt19937 generator(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<int> present;
    const unsigned rarity = 1 + generator() % 64;
    for (int shard = 0; shard < 1024; ++shard) {
      if (generator() % rarity == 0) present.push_back(shard);
    }
    if (reduced(present) != spelled(present, 0, 1024)) BOOST_ERROR("another order for a set of " << present.size());
  }
}

BOOST_AUTO_TEST_CASE(partial_sums_of_the_ranks_subtrees_give_the_same_bits_on_any_rank_count) {
  constexpr int shards = 64;
  const std::vector<double> values = numbers_of_very_different_size(shards);
  const double expected = spar::tree_sum(values);
  for (int ranks = 1; ranks <= shards; ++ranks) {
    std::vector<int> begins;
    std::vector<double> partial;
    for (const spar::Subtree& subtree : spar::aligned_subtrees({shards, ranks})) {
      const auto begin = values.begin() + subtree.begin;
      begins.push_back(subtree.begin);
      partial.push_back(spar::tree_sum(std::vector<double>(begin, begin + (subtree.end - subtree.begin))));
    }
    spar::tree_reduce(
        static_cast<int>(begins.size()), [&](int k) { return begins[static_cast<std::size_t>(k)]; },
        [&](int left, int right) {
          partial[static_cast<std::size_t>(left)] += partial[static_cast<std::size_t>(right)];
        });
    BOOST_TEST(same_bits(partial.front(), expected));
  }
}

BOOST_AUTO_TEST_CASE(an_empty_sum_is_zero_and_a_sum_of_one_is_that_number) {
  BOOST_TEST(spar::tree_sum({}) == 0.0);
  const double minus_zero = -0.0;
  BOOST_TEST(std::signbit(spar::tree_sum(std::span(&minus_zero, 1))));
}

BOOST_AUTO_TEST_SUITE_END()
