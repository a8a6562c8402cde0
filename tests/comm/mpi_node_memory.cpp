#include <cstring>
#include <numeric>
#include <vector>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "spar/comm/message_round.hpp"
#include "spar/comm/node_memory.hpp"

namespace {

using namespace spar;

constexpr double patience = 60.0;

std::size_t bytes_of(int rank) {
  return 4096 * static_cast<std::size_t>(rank + 1) + 64 * static_cast<std::size_t>(rank);
}

std::byte sign_of(int rank, std::size_t k) {
  return static_cast<std::byte>((static_cast<std::size_t>(rank) * 37 + k * 11) % 251);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(node_memory)

BOOST_AUTO_TEST_CASE(ranks_of_a_node_see_each_others_blocks_whatever_their_sizes) {
  const auto world = comm::Communicator::world();
  comm::NodeMemory memory(world, bytes_of(world.rank()), true);
  if (world.size() == 1) {
    BOOST_TEST(memory.own() == nullptr);
    return;
  }
  BOOST_REQUIRE(memory.own() != nullptr);
  BOOST_TEST(reinterpret_cast<std::uintptr_t>(memory.own()) % line_bytes == 0U);
  std::size_t wrong = 0;
  for (std::size_t k = 0; k < bytes_of(world.rank()); ++k) {
    wrong += memory.own()[k] == std::byte{0} ? 0 : 1;
    memory.own()[k] = sign_of(world.rank(), k);
  }
  BOOST_TEST(memory.holds(memory.own() + bytes_of(world.rank()) - 1));
  BOOST_TEST(!memory.holds(memory.own() + bytes_of(world.rank())));
  world.barrier();
  for (int r = 0; r < world.size(); ++r) {
    BOOST_REQUIRE(memory.of(r) != nullptr);
    BOOST_TEST(memory.holds(memory.of(r)) == (r == world.rank()));
    for (std::size_t k = 0; k < bytes_of(r); ++k) wrong += memory.of(r)[k] == sign_of(r, k) ? 0 : 1;
  }
  BOOST_TEST(wrong == 0U);
  world.barrier();
}

// Pages move while peers read and write; where the system has no huge pages to give, nothing moves, and the same holds.
BOOST_AUTO_TEST_CASE(huge_pages_change_nothing_that_ranks_see_while_they_read_and_write) {
  const auto world = comm::Communicator::world();
  constexpr std::size_t bytes = 3 * huge_page_bytes + 4096;
  comm::NodeMemory memory(world, bytes, true);
  memory.use_huge_pages();
  if (world.size() == 1) return;
  BOOST_REQUIRE(memory.own() != nullptr);
  // The last huge page stays untouched.
  constexpr std::size_t used = 2 * huge_page_bytes;
  const auto part = used / static_cast<std::size_t>(world.size());
  const auto mine = static_cast<std::size_t>(world.rank()) * part;
  for (std::size_t k = 0; k < used; k += 61) memory.own()[k] = sign_of(world.rank(), k);
  world.barrier();
  // Each rank changes its part of everybody's block, while everybody's pages move.
  for (int r = 0; r < world.size(); ++r) {
    if (r == world.size() / 2) memory.use_huge_pages();
    for (std::size_t k = 0; k < part; ++k) memory.of(r)[mine + k] = sign_of(r + 1, mine + k);
  }
  world.barrier();
  std::size_t wrong = 0;
  for (int r = 0; r < world.size(); ++r) {
    for (std::size_t k = 0; k < part * static_cast<std::size_t>(world.size()); ++k)
      wrong += memory.of(r)[k] == sign_of(r + 1, k) ? 0 : 1;
    wrong += memory.of(r)[used + huge_page_bytes / 2] == std::byte{0} ? 0 : 1;
  }
  BOOST_TEST(wrong == 0U);
  world.barrier();
}

BOOST_AUTO_TEST_CASE(nobody_shares_where_it_is_not_wanted) {
  const auto world = comm::Communicator::world();
  comm::NodeMemory memory(world, 4096, false);
  for (int r = 0; r < world.size(); ++r) BOOST_TEST(memory.of(r) == nullptr);
}

// One rank has no room: the others must not read what is not there, and nobody may hang.
BOOST_AUTO_TEST_CASE(where_one_rank_cannot_share_no_rank_of_its_node_does) {
  const auto world = comm::Communicator::world();
  const bool last = world.rank() + 1 == world.size();
  comm::NodeMemory memory(world, last ? std::size_t{1} << 62 : 4096, true);
  for (int r = 0; r < world.size(); ++r) BOOST_TEST(memory.of(r) == nullptr);
}

BOOST_AUTO_TEST_CASE(a_room_is_the_same_place_to_write_with_and_without_node_memory) {
  const auto world = comm::Communicator::world();
  for (const bool share : {true, false}) {
    comm::NodeRoom<float> first;
    comm::NodeRoom<std::uint32_t> second;
    std::size_t bytes = 0;
    first.plan(bytes, 5);
    second.plan(bytes, 100);
    BOOST_TEST(bytes == 64U + 448U);
    comm::NodeMemory memory(world, bytes, share);
    first.bind(memory);
    second.bind(memory);
    float* numbers = first.require(5);
    std::uint32_t* words = second.require(100);
    std::iota(numbers, numbers + 5, 1.0F);
    std::iota(words, words + 100, 7U);
    BOOST_TEST(first[4] == 5.0F);
    BOOST_TEST(second[99] == 106U);
    BOOST_TEST(memory.holds(words) == (share && world.size() > 1));
  }
}

// Each message is read in place, at another place each time, and only its size and place travel.
BOOST_AUTO_TEST_CASE(messages_between_ranks_of_a_node_are_read_where_they_were_written) {
  const auto world = comm::Communicator::world();
  constexpr std::size_t most = 50;
  constexpr int rounds = 23;
  const auto ranks = static_cast<std::size_t>(world.size());
  comm::NodeRoom<comm::Mailbox> mailboxes;
  comm::NodeRoom<std::uint32_t> room;
  std::size_t bytes = 0;
  mailboxes.plan(bytes, ranks);
  room.plan(bytes, 2 * ranks * most * 16);
  comm::NodeMemory memory(world, bytes, true);
  mailboxes.bind(memory);
  room.bind(memory);
  comm::MessageRound round(world, 16, "one kind", patience, &memory, mailboxes.data());
  for (int n = 0; n < rounds; ++n) {
    std::uint32_t* words = room.require(2 * ranks * most * 16) + static_cast<std::size_t>(n % 2) * ranks * most * 16;
    const auto lines_of = [&](int from, int to) { return static_cast<std::size_t>((from * 7 + to * 3 + n * 5) % 50); };
    const auto word_of = [&](int from, int to, std::size_t k) {
      return static_cast<std::uint32_t>(k * 2654435761U + static_cast<std::size_t>(from * 100 + to * 10 + n));
    };
    for (int r = 0; r < world.size(); ++r) {
      if (r == world.rank()) continue;
      std::uint32_t* message = words + static_cast<std::size_t>(r) * most * 16;
      const std::size_t lines = lines_of(world.rank(), r);
      for (std::size_t k = 0; k < lines * 16; ++k) message[k] = word_of(world.rank(), r, k);
      round.receive(r, nullptr, 0);
      round.send(r, message, lines);
    }
    round.wait(n);
    std::size_t wrong = 0;
    for (int r = 0; r < world.size(); ++r) {
      if (r == world.rank()) continue;
      BOOST_TEST(round.received(r) == lines_of(r, world.rank()));
      const auto* words_of = reinterpret_cast<const std::uint32_t*>(round.arrived(r));
      for (std::size_t k = 0; k < round.received(r) * 16; ++k)
        wrong += words_of[k] == word_of(r, world.rank(), k) ? 0 : 1;
    }
    BOOST_TEST(wrong == 0U);
  }
  world.barrier();
}

BOOST_AUTO_TEST_SUITE_END()
