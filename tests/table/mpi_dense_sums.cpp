#include <cmath>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "slow_tree.hpp"
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "spar/base/random.hpp"
#include "spar/table/dense_sums.hpp"

namespace {

using namespace spar;
namespace bdata = boost::unit_test::data;

// Sizes over six decades, so that any other order of summation shows.
float part_of(int shard, std::size_t c, int step) {
  const auto block =
      RandomStream(5, Purpose::synthetic)
          .block(static_cast<std::uint32_t>(shard), static_cast<std::uint32_t>(c), static_cast<std::uint32_t>(step));
  return static_cast<float>(std::pow(10.0, static_cast<double>(block[0] % 7) - 3.0) *
                            (2.0 * unit(word64(block, 1)) - 1.0));
}

std::vector<float> expected(int shards, std::size_t floats, int step) {
  std::map<int, test::FloatRow> present;
  for (int s = 0; s < shards; ++s) {
    for (std::size_t c = 0; c < floats; ++c) present[s].push_back(part_of(s, c, step));
  }
  return test::slow_tree_sum(present, 0, shards);
}

// Shards of this rank finish in another order each step, by `threads` threads.
void fill(table::DenseSums& sums, const ShardLayout& layout, std::size_t floats, int step, int threads) {
  const int rank = comm::Communicator::world().rank();
  std::vector<int> order(static_cast<std::size_t>(layout.shard_count(rank)));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::minstd_rand(static_cast<unsigned>(step + 7 * rank)));
  const auto work = [&](std::size_t thread) {
    for (std::size_t at = thread; at < order.size(); at += static_cast<std::size_t>(threads)) {
      const int k = order[at];
      for (std::size_t c = 0; c < floats; ++c) sums.room(k)[c] = part_of(layout.first_shard(rank) + k, c, step);
      sums.finish(k);
    }
  };
  std::vector<std::thread> others;
  for (int t = 1; t < threads; ++t) others.emplace_back(work, static_cast<std::size_t>(t));
  work(0);
  for (std::thread& other : others) other.join();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(dense_sums)

BOOST_DATA_TEST_CASE(gradients_of_all_shards_are_summed_along_the_tree_whoever_finishes_first,
                     bdata::make({4, 8, 64}) * bdata::make({16, 48, 1040}) * bdata::make({true, false}), shards, count,
                     in_place) {
  const auto world = comm::Communicator::world();
  const ShardLayout layout{shards, world.size()};
  const auto floats = static_cast<std::size_t>(count);
  table::DenseSums sums(world, layout, floats, {.tag = 16, .deadline_seconds = 60, .node_memory = in_place});
  for (int step = 0; step < 3; ++step) {
    fill(sums, layout, floats, step, 1 + step);
    sums.send();
    const float* total = sums.receive(step);
    BOOST_TEST((std::vector<float>(total, total + floats) == expected(shards, floats, step)));
  }
}

BOOST_AUTO_TEST_CASE(a_rank_gives_twice_the_gradient_at_most_where_ranks_are_a_power_of_two) {
  const auto world = comm::Communicator::world();
  constexpr std::size_t floats = 1200;
  const ShardLayout layout{16, world.size()};
  table::DenseSums sums(world, layout, floats, {.tag = 16, .deadline_seconds = 60});
  fill(sums, layout, floats, 0, 1);
  sums.send();
  sums.receive(0);
  const auto total = world.sum(sums.bytes_sent());
  const auto others = static_cast<std::int64_t>(world.size()) - 1;
  const auto half = static_cast<std::int64_t>(floats * sizeof(float)) * others;
  if (world.size() == 3) {
    BOOST_TEST(total > 2 * half);
  } else {
    BOOST_TEST(total == 2 * half);
  }
}

BOOST_AUTO_TEST_CASE(rooms_are_as_many_as_levels_where_shards_finish_in_order) {
  const auto world = comm::Communicator::world();
  constexpr std::size_t floats = 64;
  const ShardLayout layout{256, world.size()};
  table::DenseSums sums(world, layout, floats, {.tag = 16, .deadline_seconds = 60});
  std::size_t rooms = 0;
  for (int step = 0; step < 3; ++step) {
    for (int k = 0; k < layout.shard_count(world.rank()); ++k) {
      std::fill_n(sums.room(k), floats, 1.0F);
      sums.finish(k);
    }
    sums.send();
    BOOST_TEST(sums.receive(step)[63] == 256.0F);
    if (step == 1) rooms = sums.rooms();
  }
  BOOST_TEST(sums.rooms() == rooms);
  BOOST_TEST(rooms <= 20U);
}

BOOST_AUTO_TEST_SUITE_END()
