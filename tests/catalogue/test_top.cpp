#define BOOST_TEST_DYN_LINK
#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "spar/base/memory.hpp"
#include "spar/base/random.hpp"
#include "spar/catalogue/count.hpp"
#include "spar/catalogue/lanes.hpp"
#include "spar/catalogue/top.hpp"

namespace {

using namespace spar;
using catalogue::Key;

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

// Scores of `count` items, drawn from `levels` values (0: all different), padded with -inf.
Buffer<float> draw_scores(Index count, int levels, std::uint64_t seed) {
  const RandomStream stream(seed, Purpose::initial_rows);
  Buffer<float> scores(static_cast<std::size_t>((count + 15) / 16 * 16));
  std::fill(scores.begin(), scores.end(), minus_infinity);
  for (Index k = 0; k < count; ++k) {
    const double x = unit(word64(stream.block(static_cast<std::uint32_t>(k)), 0));
    scores[static_cast<std::size_t>(k)] =
        static_cast<float>(levels == 0 ? x - 0.5 : std::floor(x * levels) - levels / 2);
  }
  return scores;
}

std::vector<ItemId> best_by_sorting(const Buffer<float>& scores, Index count, int top) {
  std::vector<ItemId> order;
  for (Index k = 0; k < count; ++k) {
    if (scores[static_cast<std::size_t>(k)] != minus_infinity) order.push_back(static_cast<ItemId>(k));
  }
  std::stable_sort(order.begin(), order.end(), [&](ItemId a, ItemId b) { return scores[a] > scores[b]; });
  order.resize(std::min(order.size(), static_cast<std::size_t>(top)));
  return order;
}

// Offers pieces of `piece` items in the order of `starts`.
std::vector<ItemId> best_by_selector(const Buffer<float>& scores, Index count, int top, Index piece, bool backwards) {
  catalogue::TopSelector selector(top);
  std::vector<Key> keys(static_cast<std::size_t>(catalogue::top_capacity(top)));
  catalogue::TopList list;
  list.keys = keys.data();
  std::vector<Index> starts;
  for (Index begin = 0; begin < count; begin += piece) starts.push_back(begin);
  if (backwards) std::reverse(starts.begin(), starts.end());
  for (const Index begin : starts) {
    const Index size = std::min(piece, count - begin);
    Buffer<float> part(static_cast<std::size_t>((size + 15) / 16 * 16));
    std::fill(part.begin(), part.end(), minus_infinity);
    std::copy_n(scores.data() + begin, size, part.data());
    selector.offer(part.data(), size, begin, list);
  }
  selector.finish(list);
  std::vector<ItemId> best;
  for (int k = 0; k < list.count; ++k) {
    best.push_back(catalogue::key_item(list.keys[k]));
    BOOST_TEST(catalogue::key_score(list.keys[k]) == scores[best.back()]);
  }
  return best;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(top)

BOOST_AUTO_TEST_CASE(keys_order_by_score_and_then_by_smaller_item) {
  const std::vector<float> rising = {-3e38F, -2.5F, -1e-40F, 0.0F, 1e-40F, 0.5F, 3e38F};
  for (std::size_t k = 1; k < rising.size(); ++k)
    BOOST_TEST(catalogue::make_key(rising[k], 9) > catalogue::make_key(rising[k - 1], 1));
  BOOST_TEST(catalogue::make_key(1.5F, 3) > catalogue::make_key(1.5F, 4));
  BOOST_TEST(catalogue::make_key(-0.0F, 3) == catalogue::make_key(0.0F, 3));
  for (const float x : rising) {
    const Key key = catalogue::make_key(x, 4'000'000'000U);
    BOOST_TEST(catalogue::key_score(key) == x);
    BOOST_TEST(catalogue::key_item(key) == 4'000'000'000U);
  }
}

BOOST_AUTO_TEST_CASE(the_best_are_those_of_a_full_sort_whatever_the_pieces_and_their_order) {
  for (const Index count : {1, 15, 16, 17, 100, 1009, 5003}) {
    for (const int top : {1, 2, 10, 100, 997}) {
      for (const int levels : {0, 1, 3, 50}) {
        const auto scores = draw_scores(count, levels, 1);
        const auto expected = best_by_sorting(scores, count, top);
        for (const Index piece : {13, 1008}) {
          for (const bool backwards : {false, true}) {
            const auto best = best_by_selector(scores, count, top, piece, backwards);
            BOOST_TEST(best == expected,
                       count << " items, top " << top << ", " << levels << " levels, pieces of " << piece);
          }
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(masked_items_never_enter_even_if_the_list_stays_short) {
  auto scores = draw_scores(50, 0, 2);
  for (std::size_t k = 0; k < 50; ++k) {
    if (k % 5 != 0) scores[k] = minus_infinity;
  }
  const auto best = best_by_selector(scores, 50, 20, 50, false);
  BOOST_TEST(best == best_by_sorting(scores, 50, 20), boost::test_tools::per_element());
  BOOST_TEST(best.size() == 10U);
}

BOOST_AUTO_TEST_CASE(selection_keeps_the_greatest_of_any_numbers) {
  const RandomStream stream(3, Purpose::initial_rows);
  catalogue::TopSelector selector(10);
  for (std::uint32_t round = 0; round < 300; ++round) {
    const auto count = 1 + bounded(word64(stream.block(round, 0), 0), 300);
    std::vector<Key> keys;
    for (std::uint32_t k = 0; k < count; ++k) keys.push_back((word64(stream.block(round, 1, k), 0) << 20) | k);
    if (round % 3 == 0) std::sort(keys.begin(), keys.end());
    if (round % 3 == 1) std::sort(keys.begin(), keys.end(), std::greater<>());
    auto expected = keys;
    std::sort(expected.begin(), expected.end(), std::greater<>());
    const auto keep = static_cast<int>(bounded(word64(stream.block(round, 2), 0), count + 1));
    const auto room = static_cast<int>(bounded(word64(stream.block(round, 3), 0), 20));
    const auto kept = selector.keep_greatest(keys, keep, keep + room);
    BOOST_TEST((kept.count >= keep && kept.count <= keep + room));
    std::sort(keys.begin(), keys.begin() + kept.count, std::greater<>());
    BOOST_TEST(std::equal(keys.begin(), keys.begin() + kept.count, expected.begin()), "round " << round);
    const auto first_gone = static_cast<std::size_t>(kept.count);
    if (kept.count > 0 && first_gone < expected.size())
      BOOST_TEST((expected[first_gone - 1] > kept.floor && expected[first_gone] <= kept.floor));
  }
}

BOOST_AUTO_TEST_CASE(counting_above_and_at_least_agrees_with_looking_at_every_score) {
  for (const Index count : {1, 7, 16, 63, 1008, 1009}) {
    for (const int levels : {0, 4}) {
      const auto scores = draw_scores(count, levels, 4);
      for (std::size_t thresholds = 0; thresholds <= 11; ++thresholds) {
        std::vector<float> level;
        for (std::size_t t = 0; t < thresholds; ++t) {
          const float x = scores[(7 * t) % static_cast<std::size_t>(count)];
          level.push_back(t % 2 == 0 ? x : catalogue::below(x));
        }
        std::vector<std::uint32_t> above(thresholds, 1000);
        catalogue::count_above(scores.data(), count, level, above.data());
        for (std::size_t t = 0; t < thresholds; ++t) {
          const float x = scores[(7 * t) % static_cast<std::size_t>(count)];
          const auto expected = std::count_if(scores.begin(), scores.begin() + count,
                                              [&](float s) { return t % 2 == 0 ? s > x : s >= x; });
          BOOST_TEST(above[t] == 1000U + static_cast<std::uint32_t>(expected));
          BOOST_TEST(catalogue::count_equal(scores.data(), count, x) ==
                     static_cast<std::uint32_t>(std::count(scores.begin(), scores.begin() + count, x)));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
