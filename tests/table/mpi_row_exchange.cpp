#include <cstring>

#include "exchange_case.hpp"
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "spar/base/threads.hpp"

namespace {

using namespace spar;
using test::ExchangeCase;
using test::ExchangeRank;

// Tables of prime sizes, some smaller than the number of shards; every rank count makes other lanes.
const ExchangeCase cases[] = {
    {.rows = 97, .shards = 8, .dim = 5, .has_bias = false, .most = 12, .seed = 1},
    {.rows = 1009, .shards = 16, .dim = 20, .has_bias = true, .most = 90, .seed = 2},
    {.rows = 10'007, .shards = 64, .dim = 64, .has_bias = false, .most = 40, .seed = 3},
    {.rows = 7, .shards = 16, .dim = 3, .has_bias = false, .most = 7, .seed = 4},
    {.rows = 2, .shards = 32, .dim = 16, .has_bias = true, .most = 2, .seed = 5},
    {.rows = 4001, .shards = 4, .dim = 16, .has_bias = false, .most = 700, .seed = 6},
};

constexpr int steps = 8;

const auto all_cases = boost::unit_test::data::xrange(std::size(cases));
const auto thread_counts = boost::unit_test::data::make({1, 2});
// Ranks of one node read each other's memory, or all goes by message.
const auto transports = boost::unit_test::data::make({true, false});

}  // namespace

BOOST_AUTO_TEST_SUITE(row_exchange)

BOOST_DATA_TEST_CASE(pulled_rows_and_pushed_sums_are_those_of_one_process, all_cases* thread_counts* transports, which,
                     thread_count, node_memory) {
  set_threads(thread_count);
  const auto world = comm::Communicator::world();
  const ExchangeCase& c = cases[which];
  ExchangeRank mine(world, c, false, node_memory);
  const auto width = static_cast<std::size_t>(c.shape().width());
  mine.request(0, 0);
  BOOST_TEST(mine.exchange.serve(0, 0) == 0U);
  mine.exchange.send_rows(0, 0);
  for (std::int64_t step = 0; step < steps; ++step) {
    const int set = ExchangeRank::set(step);
    mine.exchange.receive_rows(set, step);
    BOOST_TEST(mine.wrong_rows(step, mine.whole) == 0);
    // Each rank raises its own flag in turn; all get the union in the same step.
    const auto flag = world.rank() == step % world.size() ? 1U << (step % 20) : 0U;
    if (step + 1 < steps) mine.request(step + 1, flag | 0x80000000U);
    mine.exchange.progress();

    mine.push(step, 0);
    mine.exchange.finish_push(set, 0, step);
    BOOST_TEST(mine.wrong_totals(step, 0) == 0);

    // What the owner makes of a sum comes back to whoever asked for the row.
    float* answers = mine.exchange.return_room(set);
    for (int t = 0; t < mine.exchange.touched(set); ++t) {
      for (std::size_t k = 0; k < width; ++k) *answers++ = 3.0F * mine.exchange.total(set, 0, t)[k];
    }
    mine.exchange.return_rows(set, step);
    const auto sums = c.sums(step, 0);
    std::int64_t wrong = 0;
    for (int k = 0; k < mine.local_shards(); ++k) {
      const auto list = c.wanted(step, mine.first_shard() + k);
      for (std::size_t j = 0; j < list.size(); ++j) {
        for (std::size_t column = 0; column < width; ++column)
          wrong +=
              mine.exchange.returned(set, k, static_cast<int>(j))[column] == 3.0F * sums.at(list[j])[column] ? 0 : 1;
      }
    }
    BOOST_TEST(wrong == 0);
    BOOST_TEST(mine.wrong_rows(step, mine.whole) == 0);

    mine.push(step, 1);
    mine.exchange.finish_push(set, 1, step);
    BOOST_TEST(mine.wrong_totals(step, 1) == 0);
    // The first channel's sums are still there.
    BOOST_TEST(mine.wrong_totals(step, 0) == 0);

    if (step + 1 < steps)
      BOOST_TEST(mine.exchange.serve(ExchangeRank::set(step + 1), step + 1) == (0x80000000U | 1U << (step % 20)));
    mine.apply(step, 1);
    mine.whole.apply(c.sums(step, 1));
    BOOST_TEST(mine.whole.differences(mine.table) == 0);
    if (step + 1 < steps) mine.exchange.send_rows(ExchangeRank::set(step + 1), step + 1);
  }
  set_threads(1);
}

// The order of pipeline = 1: while step s computes, the sums of step s - 1 are applied and the rows of s + 1 leave.
BOOST_DATA_TEST_CASE(with_a_pipeline_every_row_is_as_it_was_after_the_push_before_the_last, all_cases* transports,
                     which, node_memory) {
  const auto world = comm::Communicator::world();
  const ExchangeCase& c = cases[which];
  ExchangeRank mine(world, c, true, node_memory);
  mine.request(0, 0);
  mine.exchange.serve(0, 0);
  mine.exchange.send_rows(0, 0);
  for (std::int64_t step = 0; step < steps; ++step) {
    const int set = ExchangeRank::set(step);
    mine.exchange.receive_rows(set, step);
    const test::WholeTable before = mine.whole;
    BOOST_TEST(mine.wrong_rows(step, before) == 0);
    if (step + 1 < steps) mine.request(step + 1, 0);
    if (step > 0) {
      mine.exchange.finish_push(ExchangeRank::set(step - 1), 0, step);
      BOOST_TEST(mine.wrong_totals(step - 1, 0) == 0);
      mine.apply(step - 1, 0);
      mine.whole.apply(c.sums(step - 1, 0));
      BOOST_TEST(mine.whole.differences(mine.table) == 0);
    }
    if (step + 1 < steps) {
      mine.exchange.serve(ExchangeRank::set(step + 1), step + 1);
      mine.exchange.send_rows(ExchangeRank::set(step + 1), step + 1);
    }
    // Neither the update nor the next step's traffic has touched what this step computes with.
    BOOST_TEST(mine.wrong_rows(step, before) == 0);
    mine.push(step, 0);
  }
  mine.exchange.finish_push(ExchangeRank::set(steps - 1), 0, steps);
  BOOST_TEST(mine.wrong_totals(steps - 1, 0) == 0);
}

// A training that stops or diverges inside an epoch leaves with rows and sums under way; they must not arrive in memory
// that serves something else by then.
BOOST_DATA_TEST_CASE(an_exchange_that_ends_with_messages_in_flight_waits_for_them, transports, node_memory) {
  const auto world = comm::Communicator::world();
  const ExchangeCase& c = cases[5];
  for (int round = 0; round < 20; ++round) {
    ExchangeRank mine(world, c, true, node_memory);
    mine.request(0, 0);
    mine.exchange.serve(0, 0);
    mine.exchange.send_rows(0, 0);
    mine.exchange.receive_rows(0, 0);
    mine.push(0, 0);
    mine.request(1, 0);
    mine.exchange.serve(1, 1);
    if (round % 2 == 0) mine.exchange.send_rows(1, 1);
  }
  const std::vector<std::vector<std::byte>> nothing(static_cast<std::size_t>(world.size()));
  for (const auto& part : world.exchange(nothing)) BOOST_TEST(part.empty());
}

BOOST_DATA_TEST_CASE(one_rank_sends_nothing_and_several_send_whole_rows_once, transports, node_memory) {
  const auto world = comm::Communicator::world();
  const ExchangeCase& c = cases[1];
  ExchangeRank mine(world, c, false, node_memory);
  mine.request(0, 0);
  mine.exchange.serve(0, 0);
  mine.exchange.send_rows(0, 0);
  mine.exchange.receive_rows(0, 0);
  mine.push(0, 0);
  mine.exchange.finish_push(0, 0, 0);
  const std::int64_t bytes = world.sum(mine.exchange.bytes_sent());
  if (world.size() == 1) {
    BOOST_TEST(bytes == 0);
    return;
  }
  // Rows of others' that the rank's lanes ask for, each once a lane, go twice: pulled and pushed.
  std::int64_t rows = 0;
  const ShardLayout layout{c.shards, world.size()};
  for (const Subtree& lane : aligned_subtrees(layout)) {
    std::set<Index> distinct;
    for (int shard = lane.begin; shard < lane.end; ++shard) {
      for (const Index row : c.wanted(0, shard)) {
        if (layout.rank_of(mine.table.partition().part_of(row)) != lane.rank) distinct.insert(row);
      }
    }
    rows += static_cast<std::int64_t>(distinct.size());
  }
  const std::int64_t row_bytes = 2 * rows * c.shape().width() * 4;
  const std::int64_t ids = bytes - row_bytes;
  BOOST_TEST(ids > 0);
  // Four bytes for an id and four for its slot, in whole lines of 64 with a header for each pair of ranks.
  std::int64_t named = 0;
  for (int shard = 0; shard < c.shards; ++shard) named += static_cast<std::int64_t>(c.wanted(0, shard).size());
  BOOST_TEST(ids <= 8 * named + world.size() * world.size() * 2 * 2 * 64);
}

BOOST_AUTO_TEST_CASE(the_median_norm_is_the_same_bits_on_any_launch) {
  const auto world = comm::Communicator::world();
  for (const Index rows : {Index{5}, Index{1009}}) {
    constexpr int shards = 8;
    table::Table part("user", rows, {shards, world.size()}, world.rank(), {20, true, 0}, {});
    part.initialize(3, 0, "normal", 1.0);
    const auto alone = comm::Communicator::alone();
    table::Table whole("user", rows, {shards, 1}, 0, {20, true, 0}, {});
    whole.initialize(3, 0, "normal", 1.0);
    BOOST_TEST(part.median_norm(world, shards) == whole.median_norm(alone, shards));
    BOOST_TEST(whole.median_norm(alone, shards) > 2.0);
    BOOST_TEST(whole.median_norm(alone, shards) < 7.0);
  }
}

BOOST_AUTO_TEST_SUITE_END()
