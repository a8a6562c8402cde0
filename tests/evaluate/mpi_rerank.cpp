#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "evaluate/sharded.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"
#include "spar/evaluate/metrics.hpp"

// Retrieve, then re-rank, against the slow evaluator on 1, 2, 3 and 4 ranks: a full sort by the first stage, and the
// places of the targets among its best by the second.
namespace {

using namespace spar;
using evaluate::EvaluationOptions;
using evaluate::Protocol;
using evaluate::Ties;
using test::Sharded;
using test::World;

const comm::Communicator& world_ranks() {
  static const comm::Communicator communicator = comm::Communicator::world();
  return communicator;
}

// The same lists, other vectors: the first stage.
World retriever_of(const World& world, std::uint64_t seed, int levels) {
  const World other = test::make_world(world.users, world.items, 5, seed, levels, true);
  World retriever = world;
  retriever.dim = other.dim;
  retriever.user_rows = other.user_rows;
  retriever.item_rows = other.item_rows;
  retriever.bias = other.bias;
  return retriever;
}

// The best of a user's candidates by a world's scores.
std::vector<ItemId> best_of(const World& world, Index user, std::vector<ItemId> items, std::size_t count) {
  std::sort(items.begin(), items.end(), [&](ItemId a, ItemId b) {
    const float x = world.score(user, a);
    const float y = world.score(user, b);
    return x > y || (x == y && a < b);
  });
  items.resize(std::min(items.size(), count));
  return items;
}

EvaluationOptions options_of(std::vector<std::int64_t> cutoffs, std::int64_t retrieved) {
  EvaluationOptions options = test::all_metrics(std::move(cutoffs));
  std::erase(options.metrics, "auc");
  options.protocol = Protocol::reranked;
  options.retrieved = retrieved;
  return options;
}

struct Case {
  World world;
  World retriever;
  int shards;
  Sharded ranked;
  Sharded retrieving;

  Case(std::uint64_t seed, int levels, int shard_count)
      : world(test::make_world(97, 211, 7, seed, levels, seed % 2 == 0)),
        retriever(retriever_of(world, seed + 50, levels)),
        shards(shard_count),
        ranked(world, shards, world_ranks().rank(), world_ranks().size()),
        retrieving(retriever, shards, world_ranks().rank(), world_ranks().size()) {
    ranked.lists.retriever = &retrieving.scorer;
  }
  evaluate::EvaluationResult judge(const EvaluationOptions& options) const {
    return evaluate::evaluate(world_ranks(), shards, ranked.scorer, ranked.lists, options);
  }
};

// Every user's values, to the bit.
void compare(const Case& c, EvaluationOptions options) {
  const auto result = c.judge(options);
  const evaluate::MetricColumns columns(options);
  options.protocol = Protocol::full;
  std::vector<double> row(columns.count());
  std::int64_t different = 0;
  std::int64_t missed = 0;
  for (std::size_t r = 0; r < result.user_rows.size(); ++r) {
    const Index user = result.user_rows[r];
    test::Question q = test::question(c.world, user, options);
    const auto targets = static_cast<Index>(q.targets.size());
    q.candidates = best_of(c.retriever, user, q.candidates, static_cast<std::size_t>(options.retrieved));
    std::erase_if(q.targets, [&](ItemId item) {
      return std::find(q.candidates.begin(), q.candidates.end(), item) == q.candidates.end();
    });
    missed += targets - static_cast<Index>(q.targets.size());
    columns.values({test::reference_places(c.world, user, q, options.ties), targets, 0.0}, row);
    for (std::size_t k = 0; k < row.size(); ++k)
      different +=
          std::bit_cast<std::uint64_t>(row[k]) != std::bit_cast<std::uint64_t>(result.user_values[r * row.size() + k])
              ? 1
              : 0;
  }
  BOOST_TEST(different == 0);
  BOOST_TEST((world_ranks().sum(missed) > 0) == (options.retrieved < c.world.items));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rerank)

BOOST_AUTO_TEST_CASE(places_are_those_among_the_best_of_the_first_stage) {
  std::uint64_t seed = 300;
  for (const int thread_count : {1, 2}) {
    set_threads(thread_count);
    for (const Ties ties : {Ties::by_id, Ties::pessimistic, Ties::mean}) {
      for (const bool cold_items : {true, false}) {
        ++seed;
        const Case c(seed, seed % 2 == 0 ? 2 : 0, seed % 3 == 0 ? 4 : 16);
        EvaluationOptions options = options_of({1, 5, 20}, 20 + static_cast<std::int64_t>(seed % 5) * 10);
        options.ties = ties;
        options.cold_items = cold_items;
        compare(c, options);
      }
    }
  }
  set_threads(1);
}

BOOST_AUTO_TEST_CASE(with_as_many_candidates_as_items_it_is_the_full_ranking_bit_for_bit) {
  for (const Ties ties : {Ties::by_id, Ties::pessimistic, Ties::optimistic, Ties::mean}) {
    const Case c(400, 2, 8);
    EvaluationOptions options = options_of({1, 10, 150}, c.world.items);
    options.ties = ties;
    const auto reranked = c.judge(options);
    options.protocol = Protocol::full;
    const auto full = c.judge(options);
    BOOST_TEST(reranked.users == full.users);
    BOOST_TEST(reranked.skipped == full.skipped);
    BOOST_TEST(reranked.user_values == full.user_values, boost::test_tools::per_element());
    for (std::size_t k = 0; k < full.names.size(); ++k) {
      BOOST_TEST(reranked.names[k] == "reranked@211-" + full.names[k]);
      const auto& a = reranked.metrics.at(reranked.names[k]);
      const auto& b = full.metrics.at(full.names[k]);
      BOOST_TEST(std::bit_cast<std::uint64_t>(a.mean) == std::bit_cast<std::uint64_t>(b.mean));
      BOOST_TEST(std::bit_cast<std::uint64_t>(a.standard_error) == std::bit_cast<std::uint64_t>(b.standard_error));
    }
  }
}

BOOST_AUTO_TEST_CASE(lists_hold_the_first_stages_best_in_the_order_of_the_second) {
  const Case c(500, 2, 8);
  const Sharded& part = c.ranked;
  for (const int retrieved : {7, 30, 211}) {
    const auto lists = evaluate::recommend_reranked(world_ranks(), c.shards, part.scorer, part.lists, retrieved, 7);
    BOOST_REQUIRE(static_cast<Index>(lists.size()) == part.scorer.users.rows);
    std::int64_t different = 0;
    for (std::size_t k = 0; k < lists.size(); ++k) {
      const Index user = part.scorer.users.first_row + static_cast<Index>(k);
      EvaluationOptions options;
      options.cold_items = false;  // recommend() leaves out what training never saw
      const auto candidates = test::question(c.world, user, options).candidates;
      const auto first = best_of(c.retriever, user, candidates, static_cast<std::size_t>(retrieved));
      const auto expected = best_of(c.world, user, first, 7);
      bool same = expected.size() == lists[k].size();
      for (std::size_t j = 0; same && j < expected.size(); ++j)
        same = lists[k][j].item == static_cast<Index>(expected[j]) &&
               lists[k][j].score == c.world.score(user, expected[j]);
      different += same ? 0 : 1;
    }
    BOOST_TEST(different == 0);
  }
}

BOOST_AUTO_TEST_CASE(what_candidates_cannot_tell_is_refused_in_one_sentence) {
  const Case c(600, 0, 8);
  const auto says = [](const std::string& text) {
    return [text](const Error& error) { return std::string(error.what()).find(text) != std::string::npos; };
  };
  BOOST_CHECK_EXCEPTION(c.judge(options_of({10, 50}, 49)), Error, says("49 candidates cannot fill lists of 50 places"));
  EvaluationOptions whole = options_of({10}, 50);
  whole.metrics.emplace_back("auc");
  BOOST_CHECK_EXCEPTION(c.judge(whole), Error, says("auc, rmse and mae judge whole rankings"));
  BOOST_CHECK_EXCEPTION(evaluate::recommend_reranked(world_ranks(), c.shards, c.ranked.scorer, c.ranked.lists, 9, 10),
                        Error, says("9 candidates cannot fill lists of 10 items"));
}

BOOST_AUTO_TEST_SUITE_END()
