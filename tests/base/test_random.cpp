#include <cmath>
#include <set>

#include <boost/test/unit_test.hpp>

#include "spar/base/random.hpp"
#include "spar/base/random_lanes.hpp"

using spar::Purpose;
using spar::RandomStream;

BOOST_AUTO_TEST_SUITE(random_numbers)

BOOST_AUTO_TEST_CASE(philox_gives_the_published_words_for_counter_0_and_key_0) {
  const r123::Philox4x32::ctr_type counter = {{0, 0, 0, 0}};
  const r123::Philox4x32::key_type key = {{0, 0}};
  const auto words = r123::Philox4x32()(counter, key);
  BOOST_TEST(words[0] == 0x6627e8d5U);
  BOOST_TEST(words[1] == 0xe169c58dU);
  BOOST_TEST(words[2] == 0xbc57ac4cU);
  BOOST_TEST(words[3] == 0x9b00dbd8U);
}

BOOST_AUTO_TEST_CASE(a_number_depends_on_seed_purpose_and_every_word_of_the_counter_and_on_nothing_else) {
  const RandomStream stream(1, Purpose::shuffle);
  const auto block = stream.block(1, 2, 3, 4);
  stream.block(9, 9, 9, 9);
  BOOST_TEST((stream.block(1, 2, 3, 4) == block));
  BOOST_TEST((RandomStream(1, Purpose::shuffle).block(1, 2, 3, 4) == block));
  const std::set<RandomStream::Block> others{RandomStream(2, Purpose::shuffle).block(1, 2, 3, 4),
                                             RandomStream(1, Purpose::negatives).block(1, 2, 3, 4),
                                             stream.block(0, 2, 3, 4),
                                             stream.block(1, 0, 3, 4),
                                             stream.block(1, 2, 0, 4),
                                             stream.block(1, 2, 3, 0)};
  BOOST_TEST(others.size() == 6U);
  BOOST_TEST(others.count(block) == 0U);
}

BOOST_AUTO_TEST_CASE(sixteen_counters_side_by_side_give_the_words_of_one_after_the_other) {
  const RandomStream stream(77, Purpose::negatives);
  for (const std::uint32_t first : {0U, 5U, 0xFFFFFFF8U}) {
    const auto lanes = spar::block_lanes(stream, first, 0xFFFFFFFFU, 3, 9);
    for (std::uint32_t k = 0; k < 16; ++k) {
      const auto block = stream.block(first + k, 0xFFFFFFFFU, 3, 9);
      for (std::size_t w = 0; w < 4; ++w) BOOST_TEST(lanes.word[w][k] == block[w]);
    }
  }
}

BOOST_AUTO_TEST_CASE(streams_of_the_first_seeds_and_all_purposes_do_not_meet) {
  std::set<RandomStream::Block> blocks;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    for (std::uint32_t purpose = 1; purpose <= 11; ++purpose)
      blocks.insert(RandomStream(seed, static_cast<Purpose>(purpose)).block(0));
  }
  BOOST_TEST(blocks.size() == 11000U);
}

BOOST_AUTO_TEST_CASE(bounded_numbers_stay_in_their_range_and_reach_both_ends) {
  BOOST_TEST(spar::bounded(0, 7) == 0U);
  BOOST_TEST(spar::bounded(~std::uint64_t{0}, 7) == 6U);
  BOOST_TEST(spar::bounded(~std::uint64_t{0}, 1) == 0U);
  const RandomStream stream(5, Purpose::negatives);
  std::vector<int> counts(7);
  constexpr int draws = 70000;
  for (std::uint32_t k = 0; k < draws; ++k) ++counts[spar::bounded(spar::word64(stream.block(k), 0), 7)];
  // Each count is binomial with mean 10,000 and deviation 92.6.
  for (const int count : counts) BOOST_TEST(std::abs(count - 10000) < 500);
}

BOOST_AUTO_TEST_CASE(unit_numbers_keep_out_of_the_ends_they_promise) {
  BOOST_TEST(spar::unit(0) == 0.0);
  BOOST_TEST(spar::unit(~std::uint64_t{0}) < 1.0);
  BOOST_TEST(spar::open_unit(0) > 0.0);
  BOOST_TEST(spar::open_unit(~std::uint64_t{0}) < 1.0);
}

BOOST_AUTO_TEST_CASE(normal_pairs_have_the_moments_of_independent_standard_normals) {
  const RandomStream stream(11, Purpose::initial_rows);
  constexpr int pairs = 200000;
  double sum[2] = {0, 0}, square[2] = {0, 0}, product = 0, fourth = 0;
  for (std::uint32_t k = 0; k < pairs; ++k) {
    const auto pair = spar::normal_pair(stream.block(k));
    for (std::size_t c = 0; c < 2; ++c) {
      sum[c] += pair[c];
      square[c] += pair[c] * pair[c];
      fourth += std::pow(pair[c], 4);
    }
    product += pair[0] * pair[1];
  }
  // Five standard errors of each mean.
  const double error = 5 / std::sqrt(static_cast<double>(pairs));
  for (const double s : sum) BOOST_TEST(std::abs(s / pairs) < error);
  for (const double s : square) BOOST_TEST(std::abs(s / pairs - 1) < error * std::sqrt(2.0));
  BOOST_TEST(std::abs(product / pairs) < error);
  BOOST_TEST(std::abs(fourth / (2 * pairs) - 3) < error * std::sqrt(96.0 / 2));
}

BOOST_AUTO_TEST_SUITE_END()
