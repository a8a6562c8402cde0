#include <algorithm>
#include <numeric>
#include <set>

#include <boost/test/unit_test.hpp>
#include <rapidcheck.h>

#include "spar/base/sharding.hpp"
#include "spar/data/dataset_file.hpp"

using namespace spar;
using namespace spar::data;

BOOST_AUTO_TEST_SUITE(dealing)

BOOST_AUTO_TEST_CASE(rows_and_places_are_inverse_for_any_number_of_rows) {
  for (const Index rows : {Index{1}, Index{2}, Index{7}, Index{1023}, Index{1024}, Index{1025}, Index{2047},
                           Index{2048}, Index{3001}, Index{10007}}) {
    const RowDealing dealing(rows);
    std::vector<bool> met(static_cast<std::size_t>(rows), false);
    for (Index row = 0; row < rows; ++row) {
      const Index place = dealing.place_of_row(row);
      BOOST_REQUIRE(place >= 0 && place < rows);
      BOOST_REQUIRE(!met[static_cast<std::size_t>(place)]);
      met[static_cast<std::size_t>(place)] = true;
      BOOST_REQUIRE(dealing.row_of_place(place) == row);
    }
  }
}

BOOST_AUTO_TEST_CASE(entities_in_a_row_meet_every_shard_once_and_the_next_ones_in_the_opposite_order) {
  const Index rows = 4 * row_groups;
  const RowDealing dealing(rows);
  for (int shards = 2; shards <= row_groups; shards *= 2) {
    const Partition parts{rows, shards};
    const auto shard_at = [&](Index place) { return parts.part_of(dealing.row_of_place(place)); };
    for (Index first = 0; first < rows; first += shards) {
      std::set<int> met;
      for (Index place = first; place < first + shards; ++place) {
        met.insert(shard_at(place));
        if (first > 0) BOOST_REQUIRE(shard_at(place) == shard_at(2 * first - 1 - place));
      }
      BOOST_REQUIRE(static_cast<int>(met.size()) == shards);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_handful_of_rows_is_dealt_by_hand) {
  // Four rows lie in groups 255, 511, 767 and 1023; the Gray codes of 0, 1, 2 ... reversed visit the groups 0, 512,
  // 768, 256 and so on.
  BOOST_TEST(deal_rows({}).empty());
  BOOST_TEST(deal_rows({7}) == std::vector<Index>{0}, boost::test_tools::per_element());
  const std::vector<Index> order = deal_rows({5, 9, 9, 1});
  const RowDealing dealing(4);
  BOOST_TEST(order[static_cast<std::size_t>(dealing.row_of_place(0))] == 1);
  BOOST_TEST(order[static_cast<std::size_t>(dealing.row_of_place(1))] == 2);
  BOOST_TEST(order[static_cast<std::size_t>(dealing.row_of_place(2))] == 0);
  BOOST_TEST(order[static_cast<std::size_t>(dealing.row_of_place(3))] == 3);
}

BOOST_AUTO_TEST_CASE(every_shard_gets_about_as_many_interactions) {
  // A power law over 200,003 entities; left to right and back would leave 1.10 times the mean at 2 shards, 1.46 at 256.
  std::vector<std::int64_t> counts(200003);
  for (std::size_t k = 0; k < counts.size(); ++k)
    counts[(k * 7919) % counts.size()] = static_cast<std::int64_t>(2e6 / static_cast<double>(k + 200)) + 1;
  const std::vector<Index> order = deal_rows(counts);
  const double total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  for (const auto& [shards, most] : {std::pair{2, 1.001}, {8, 1.002}, {64, 1.02}, {256, 1.08}}) {
    const Partition parts{static_cast<Index>(counts.size()), shards};
    double largest = 0;
    for (int shard = 0; shard < shards; ++shard) {
      std::int64_t held = 0;
      for (Index row = parts.begin(shard); row < parts.end(shard); ++row)
        held += counts[static_cast<std::size_t>(order[static_cast<std::size_t>(row)])];
      largest = std::max(largest, static_cast<double>(held));
    }
    BOOST_TEST(largest * shards / total < most);
  }
}

BOOST_AUTO_TEST_CASE(any_counts_are_dealt_by_falling_count_and_first_appearance) {
  const bool held = rc::check("deal_rows", [] {
    const auto counts = *rc::gen::container<std::vector<std::int64_t>>(rc::gen::inRange<std::int64_t>(0, 6));
    const auto rows = static_cast<Index>(counts.size());
    const std::vector<Index> order = deal_rows(counts);
    const RowDealing dealing(rows);
    std::vector<Index> by_place(counts.size());
    for (Index row = 0; row < rows; ++row)
      by_place[static_cast<std::size_t>(dealing.place_of_row(row))] = order[static_cast<std::size_t>(row)];
    for (std::size_t place = 1; place < by_place.size(); ++place) {
      const auto before = static_cast<std::size_t>(by_place[place - 1]);
      const auto here = static_cast<std::size_t>(by_place[place]);
      RC_ASSERT(counts[before] > counts[here] || (counts[before] == counts[here] && before < here));
    }
  });
  BOOST_TEST(held);
}

BOOST_AUTO_TEST_SUITE_END()
