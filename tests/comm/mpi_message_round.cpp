#include <vector>

#include <boost/test/unit_test.hpp>

#include "spar/comm/message_round.hpp"

namespace {

using namespace spar;

constexpr double patience = 60.0;

std::size_t lines_of(int from, int to, int round) {
  constexpr std::size_t sizes[] = {0, 1, 17, 900, 40'000};
  return sizes[static_cast<std::size_t>(from + 3 * to + round) % std::size(sizes)];
}

std::vector<std::uint32_t> words_of(int from, int to, int round) {
  std::vector<std::uint32_t> words(lines_of(from, to, round) * comm::line / sizeof(std::uint32_t));
  for (std::size_t k = 0; k < words.size(); ++k)
    words[k] = static_cast<std::uint32_t>(k * 2654435761U + static_cast<std::size_t>(from * 100 + to * 10 + round));
  return words;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(message_round)

BOOST_AUTO_TEST_CASE(messages_arrive_whole_and_tell_their_size) {
  const auto world = comm::Communicator::world();
  comm::MessageRound round_a(world, 16, "one kind", patience);
  comm::MessageRound round_b(world, 17, "another kind", patience);
  constexpr std::size_t most = 40'000 * comm::line / sizeof(std::uint32_t);
  for (int round = 0; round < 10; ++round) {
    std::vector<std::vector<std::uint32_t>> out;
    std::vector<std::vector<std::uint32_t>> in;
    for (int r = 0; r < world.size(); ++r) {
      // Two kinds are in flight together; the tags keep them apart.
      out.push_back(words_of(world.rank(), r, round));
      out.push_back(words_of(world.rank(), r, round + 1));
      in.emplace_back(most);
      in.emplace_back(most);
    }
    for (int r = 0; r < world.size(); ++r) {
      if (r == world.rank()) continue;
      const auto at = static_cast<std::size_t>(2 * r);
      round_b.send(r, out[at + 1].data(), lines_of(world.rank(), r, round + 1));
      round_a.send(r, out[at].data(), lines_of(world.rank(), r, round));
      round_a.receive(r, in[at].data(), 40'000);
      round_b.receive(r, in[at + 1].data(), 40'000);
    }
    round_a.wait(round);
    while (!round_b.test()) {
    }
    BOOST_TEST(round_a.test());
    for (int r = 0; r < world.size(); ++r) {
      if (r == world.rank()) continue;
      const auto at = static_cast<std::size_t>(2 * r);
      BOOST_TEST(round_a.received(r) == lines_of(r, world.rank(), round));
      BOOST_TEST(round_b.received(r) == lines_of(r, world.rank(), round + 1));
      in[at].resize(words_of(r, world.rank(), round).size());
      in[at + 1].resize(words_of(r, world.rank(), round + 1).size());
      BOOST_TEST((in[at] == words_of(r, world.rank(), round)));
      BOOST_TEST((in[at + 1] == words_of(r, world.rank(), round + 1)));
    }
  }
}

BOOST_AUTO_TEST_CASE(nothing_in_flight_is_finished) {
  const auto world = comm::Communicator::world();
  comm::MessageRound round(world, 18, "nothing", patience);
  BOOST_TEST(round.test());
  round.wait(0);
}

BOOST_AUTO_TEST_SUITE_END()
