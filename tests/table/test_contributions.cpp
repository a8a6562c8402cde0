#define BOOST_TEST_DYN_LINK
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "slow_tree.hpp"
#include <boost/test/unit_test.hpp>
#include <rapidcheck.h>

#include "spar/base/memory.hpp"
#include "spar/base/random.hpp"
#include "spar/table/contributions.hpp"

namespace {

using namespace spar;
using test::FloatRow;

constexpr int width = 16;

// Values whose sums round differently in every order.
float number(std::uint64_t seed, int contribution, int column) {
  const auto block = RandomStream(seed, Purpose::synthetic)
                         .block(static_cast<std::uint32_t>(contribution), static_cast<std::uint32_t>(column));
  const double size = std::pow(10.0, static_cast<double>(block[0] % 7) - 3.0);
  return static_cast<float>(size * (2.0 * unit(word64(block, 1)) - 1.0));
}

struct Entry {
  int slot;
  int shard;
};

// Contributions in order of shards, each slot at most once a shard.
void check(const std::vector<Entry>& entries, int slots, int shards, std::uint64_t seed,
           table::Contributions& contributions) {
  std::vector<FloatRow> rows;
  std::vector<std::map<int, FloatRow>> by_slot(static_cast<std::size_t>(slots));
  contributions.reset(std::max(entries.size(), static_cast<std::size_t>(slots)));
  contributions.grow(slots);
  for (std::size_t k = 0; k < entries.size(); ++k) {
    FloatRow row(width);
    for (int c = 0; c < width; ++c) row[static_cast<std::size_t>(c)] = number(seed, static_cast<int>(k), c);
    by_slot[static_cast<std::size_t>(entries[k].slot)][entries[k].shard] = row;
    rows.push_back(row);
    contributions.add(entries[k].slot, static_cast<std::int32_t>(k), entries[k].shard);
  }
  std::vector<float*> sums(static_cast<std::size_t>(slots));
  // In two ranges, as threads would.
  const auto row = [&](std::int32_t c) { return rows[static_cast<std::size_t>(c)].data(); };
  const int shared = contributions.shared();
  contributions.list_rows(row, sums.data());
  contributions.reduce(shared / 2, shared, width, row, sums.data());
  contributions.reduce(0, shared / 2, width, row, sums.data());
  for (int slot = 0; slot < slots; ++slot) {
    const FloatRow expected = test::slow_tree_sum(by_slot[static_cast<std::size_t>(slot)], 0, shards);
    const float* sum = sums[static_cast<std::size_t>(slot)];
    RC_ASSERT((sum == nullptr) == expected.empty());
    if (sum != nullptr) RC_ASSERT(std::equal(expected.begin(), expected.end(), sum));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(contributions)

BOOST_AUTO_TEST_CASE(sums_follow_the_shard_tree_bit_for_bit_whatever_is_present) {
  table::Contributions reused;
  BOOST_TEST(rc::check("contributions", [&] {
    const int shards = 1 << *rc::gen::inRange(0, 9);
    const int slots = *rc::gen::inRange(1, 12);
    const int density = *rc::gen::inRange(1, 100);
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    std::vector<Entry> entries;
    for (int shard = 0; shard < shards; ++shard) {
      for (int slot = 0; slot < slots; ++slot) {
        const auto block = RandomStream(seed, Purpose::dropout)
                               .block(static_cast<std::uint32_t>(shard), static_cast<std::uint32_t>(slot));
        if (static_cast<int>(block[0] % 100) < density) entries.push_back({slot, shard});
      }
    }
    check(entries, slots, shards, seed, reused);
  }));
}

BOOST_AUTO_TEST_CASE(the_sum_of_a_contribution_alone_is_the_contribution_itself) {
  table::Contributions contributions;
  contributions.reset(2);
  contributions.grow(2);
  contributions.add(1, 0, 5);
  BOOST_TEST(contributions.shared() == 0);
  FloatRow row(width, -0.0F);
  std::vector<float*> sums(2);
  contributions.list_rows([&](std::int32_t) { return row.data(); }, sums.data());
  BOOST_TEST(sums[0] == nullptr);
  BOOST_TEST(sums[1] == row.data());
  BOOST_TEST(std::signbit(sums[1][0]));
}

BOOST_AUTO_TEST_CASE(rows_are_added_with_and_without_a_factor) {
  Buffer<float> left(2 * width);
  Buffer<float> right(2 * width);
  std::iota(left.begin(), left.end(), 1.0F);
  std::fill(right.begin(), right.end(), 0.5F);
  table::add_row(left.data(), right.data(), 2 * width);
  BOOST_TEST(left[31] == 32.5F);
  table::add_scaled_row(left.data(), -2.0F, right.data(), width);
  BOOST_TEST(left[15] == 15.5F);
  BOOST_TEST(left[16] == 17.5F);
}

BOOST_AUTO_TEST_SUITE_END()
