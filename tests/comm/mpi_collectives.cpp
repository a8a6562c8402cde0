#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <numeric>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "spar/base/shard_tree.hpp"
#include "spar/base/sharding.hpp"
#include "spar/comm/communicator.hpp"

namespace {

using namespace spar;
using Bytes = std::vector<std::byte>;

// Bytes that say where they come from and where they go; some messages are empty, some longer than MPI's eager limit.
Bytes message(int from, int to, int round) {
  constexpr std::size_t sizes[] = {0, 1, 63, 4096, 70'001, 2'000'003};
  Bytes bytes(sizes[static_cast<std::size_t>(from + 2 * to + 3 * round) % std::size(sizes)]);
  for (std::size_t k = 0; k < bytes.size(); ++k)
    bytes[k] = static_cast<std::byte>((k * 31 + static_cast<std::size_t>(from * 7 + to * 5 + round)) & 0xFF);
  return bytes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(collectives)

BOOST_AUTO_TEST_CASE(integers_are_summed_and_compared_exactly) {
  const auto world = comm::Communicator::world();
  const std::int64_t n = world.size();
  const std::int64_t rank = world.rank();
  constexpr std::int64_t large = std::int64_t{1} << 53;  // + 1 is lost in double
  BOOST_TEST(world.sum(large + rank) == n * large + n * (n - 1) / 2);
  BOOST_TEST(world.max(large + rank) == large + n - 1);
  BOOST_TEST(world.max(-1.5 * static_cast<double>(rank + 1)) == -1.5);
  std::vector<std::int64_t> values{rank, -rank, 1};
  world.sum(values);
  BOOST_TEST(values == (std::vector<std::int64_t>{n * (n - 1) / 2, -n * (n - 1) / 2, n}));
  std::vector<std::int64_t> none;
  world.sum(none);
  BOOST_TEST(none.empty());
}

BOOST_AUTO_TEST_CASE(any_is_true_where_one_rank_says_so) {
  const auto world = comm::Communicator::world();
  BOOST_TEST(!world.any(false));
  for (int r = 0; r < world.size(); ++r) BOOST_TEST(world.any(world.rank() == r));
}

BOOST_AUTO_TEST_CASE(every_root_broadcasts_bytes_and_texts_of_any_length) {
  const auto world = comm::Communicator::world();
  for (int root = 0; root < world.size(); ++root) {
    for (int round = 0; round < 6; ++round) {
      const Bytes expected = message(root, 0, round);
      Bytes bytes = world.rank() == root ? expected : Bytes(expected.size());
      world.broadcast(std::span(bytes), root);
      BOOST_TEST((bytes == expected));
      const std::string text(expected.size(), static_cast<char>('a' + round));
      BOOST_TEST((world.broadcast(world.rank() == root ? text : std::string("mine"), root) == text));
    }
  }
}

BOOST_AUTO_TEST_CASE(gathers_come_by_rank_whatever_their_sizes) {
  const auto world = comm::Communicator::world();
  const auto numbers = world.allgather(std::int64_t{10} * world.rank());
  const auto reals = world.allgather(0.5 * world.rank());
  const auto texts = world.allgather(std::string(static_cast<std::size_t>(3 * world.rank()), 'x'));
  for (int r = 0; r < world.size(); ++r) {
    const auto at = static_cast<std::size_t>(r);
    BOOST_TEST(numbers[at] == 10 * r);
    BOOST_TEST(reals[at] == 0.5 * r);
    BOOST_TEST(texts[at] == std::string(3 * at, 'x'));
  }
  for (int round = 0; round < 6; ++round) {
    const Bytes mine = message(world.rank(), 0, round);
    const auto all = world.allgather(std::span<const std::byte>(mine));
    BOOST_TEST(static_cast<int>(all.size()) == world.size());
    for (int r = 0; r < world.size(); ++r) BOOST_TEST((all[static_cast<std::size_t>(r)] == message(r, 0, round)));
    for (int root = 0; root < world.size(); ++root) {
      const auto at_root = world.gather(mine, root);
      if (world.rank() != root) {
        BOOST_TEST(at_root.empty());
      } else {
        for (int r = 0; r < world.size(); ++r)
          BOOST_TEST((at_root[static_cast<std::size_t>(r)] == message(r, 0, round)));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(an_exchange_brings_every_message_to_its_rank) {
  const auto world = comm::Communicator::world();
  for (int round = 0; round < 8; ++round) {
    std::vector<Bytes> outgoing;
    for (int to = 0; to < world.size(); ++to) outgoing.push_back(message(world.rank(), to, round));
    const auto incoming = world.exchange(outgoing);
    BOOST_TEST(static_cast<int>(incoming.size()) == world.size());
    for (int from = 0; from < world.size(); ++from)
      BOOST_TEST((incoming[static_cast<std::size_t>(from)] == message(from, world.rank(), round)));
  }
}

BOOST_AUTO_TEST_CASE(blocks_go_round_the_ring_and_come_home) {
  const auto world = comm::Communicator::world();
  const int to = (world.rank() + 1) % world.size();
  const int from = (world.rank() + world.size() - 1) % world.size();
  for (int round = 0; round < 6; ++round) {
    Bytes block = message(world.rank(), 1, round);
    for (int hop = 1; hop <= world.size(); ++hop) {
      Bytes received(17);
      world.shift(block, to, received, from);
      block = received;
      const int origin = ((world.rank() - hop) % world.size() + world.size()) % world.size();
      BOOST_TEST((block == message(origin, 1, round)));
    }
  }
}

BOOST_AUTO_TEST_CASE(point_to_point_messages_keep_their_order) {
  const auto world = comm::Communicator::world();
  if (world.is_root()) {
    for (int r = 1; r < world.size(); ++r) {
      for (int round = 0; round < 6; ++round) BOOST_TEST((world.receive(r) == message(r, 0, round)));
    }
  } else {
    for (int round = 0; round < 6; ++round) world.send(message(world.rank(), 0, round), 0);
  }
}

BOOST_AUTO_TEST_CASE(a_rank_by_itself_is_a_communicator_of_one) {
  const auto alone = comm::Communicator::alone();
  BOOST_TEST(alone.size() == 1);
  BOOST_TEST(alone.is_root());
  BOOST_TEST(alone.sum(std::int64_t{7}) == 7);
  BOOST_TEST(alone.exchange({Bytes(3)}).front().size() == 3U);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(agreement)

namespace {

struct Outcome {
  int code = 0;
  std::string sentence;
};

Outcome outcome(const comm::Communicator& world, const std::function<void()>& action) {
  try {
    comm::agree(world, action);
    return {};
  } catch (const comm::AgreedError& error) {
    return {static_cast<int>(error.code()), error.what()};
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(all_ranks_go_on_where_none_fails) {
  const auto world = comm::Communicator::world();
  int calls = 0;
  BOOST_TEST(outcome(world, [&] { ++calls; }).code == 0);
  BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(every_rank_gets_the_sentence_and_the_code_of_the_lowest_failing_rank) {
  const auto world = comm::Communicator::world();
  for (int first = 0; first < world.size(); ++first) {
    const auto result = outcome(world, [&] {
      if (world.rank() < first) return;
      const std::string sentence = "rank " + std::to_string(world.rank()) + " cannot go on";
      if (world.rank() % 2 == 0) throw UserError(sentence);
      throw DivergenceError(sentence);
    });
    BOOST_TEST(result.sentence == "rank " + std::to_string(first) + " cannot go on");
    BOOST_TEST(result.code == (first % 2 == 0 ? 2 : 4));
  }
}

BOOST_AUTO_TEST_CASE(a_rank_without_memory_fails_for_all_as_the_environment) {
  const auto world = comm::Communicator::world();
  const int last = world.size() - 1;
  const auto result = outcome(world, [&] {
    if (world.rank() == last) throw std::bad_alloc();
  });
  BOOST_TEST(result.code == 3);
  BOOST_TEST(result.sentence ==
             "rank " + std::to_string(last) + " has no memory left: use more ranks, or see spar plan");
}

BOOST_AUTO_TEST_CASE(what_was_agreed_can_be_agreed_again_further_out) {
  const auto world = comm::Communicator::world();
  const auto result = outcome(world, [&] {
    comm::agree(world, [&] {
      if (world.rank() == world.size() - 1) throw EnvironmentError("the disk is full");
    });
  });
  BOOST_TEST(result.code == 3);
  BOOST_TEST(result.sentence == "the disk is full");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(tree_sums)

BOOST_AUTO_TEST_CASE(the_sum_over_shards_has_the_bits_of_one_process_on_every_rank) {
  const auto world = comm::Communicator::world();
  constexpr int width = 3;
  for (const int shards : {4, 8, 16, 64, 256}) {
    const ShardLayout layout{shards, world.size()};
    // Sizes that cancel: any other order of summation gives other bits.
    std::vector<double> columns[width];
    for (int s = 0; s < shards; ++s) {
      for (int c = 0; c < width; ++c)
        columns[c].push_back((s % 5 == 0 ? 1e16 : s % 5 == 3 ? -1e16 : 1.0) + 2.0 * s + 0.125 * c * s);
    }
    std::vector<double> mine;
    for (int s = layout.first_shard(world.rank()); s < layout.end_shard(world.rank()); ++s) {
      for (const auto& column : columns) mine.push_back(column[static_cast<std::size_t>(s)]);
    }
    const auto sums = comm::tree_sum(world, shards, mine, width);
    BOOST_TEST(static_cast<int>(sums.size()) == width);
    int differ_from_a_plain_sum = 0;
    for (std::size_t c = 0; c < width; ++c) {
      BOOST_TEST(sums[c] == tree_sum(columns[c]));
      differ_from_a_plain_sum += sums[c] != std::accumulate(columns[c].begin(), columns[c].end(), 0.0) ? 1 : 0;
    }
    if (shards > 8) BOOST_TEST(differ_from_a_plain_sum > 0);
  }
}

BOOST_AUTO_TEST_SUITE_END()
