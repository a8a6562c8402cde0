#define BOOST_TEST_DYN_LINK
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "evaluate/sharded.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/base/shard_tree.hpp"
#include "spar/base/threads.hpp"
#include "spar/evaluate/metrics.hpp"

// The same cases on 1, 2, 3 and 4 ranks. What is expected is computed from the whole catalogue on every rank, with
// users summed shard by shard along the tree, so equal bits here are equal bits on any launch.
namespace {

using namespace spar;
using evaluate::EvaluationOptions;
using evaluate::EvaluationResult;
using evaluate::Protocol;
using evaluate::Ties;
using test::all_metrics;
using test::make_world;
using test::Sharded;
using test::World;

const comm::Communicator& world_ranks() {
  static const comm::Communicator communicator = comm::Communicator::world();
  return communicator;
}

EvaluationResult run(const World& world, int shards, const EvaluationOptions& options) {
  const auto& ranks = world_ranks();
  const Sharded part(world, shards, ranks.rank(), ranks.size());
  return evaluate::evaluate(ranks, shards, part.scorer, part.lists, options);
}

std::uint64_t bits(double x) {
  return std::bit_cast<std::uint64_t>(x);
}

// The mean of one column, summed as documented: users of a shard in order, shards along the tree.
double mean_along_the_tree(const World& world, int shards, const std::vector<Index>& users,
                           const std::vector<double>& values) {
  const Partition partition{world.users, shards};
  std::vector<double> sums(static_cast<std::size_t>(shards), 0.0);
  double count = 0;
  for (std::size_t k = 0; k < users.size(); ++k) {
    if (std::isnan(values[k])) continue;
    sums[static_cast<std::size_t>(partition.part_of(users[k]))] += values[k];
    count += 1;
  }
  return tree_sum(sums) / count;
}

// Compares with the slow evaluator: means to rounding, every user's value and the order of sums to the bit.
void compare(const World& world, int shards, const EvaluationOptions& options) {
  const auto expected = test::reference_evaluate(world, options);
  const EvaluationResult result = run(world, shards, options);
  const std::string prefix = options.protocol == Protocol::sampled ? "sampled-" : "";
  BOOST_TEST(result.users == expected.users);
  BOOST_TEST(result.skipped == expected.skipped);
  const evaluate::MetricColumns columns(options);
  std::vector<std::vector<double>> all(columns.count());
  std::vector<double> row(columns.count());
  for (std::size_t k = 0; k < expected.user_rows.size(); ++k) {
    const auto q = test::question(world, expected.user_rows[k], options);
    const auto places = test::reference_places(world, expected.user_rows[k], q, options.ties);
    columns.values({places, static_cast<Index>(q.targets.size()), expected.user_values[k].at("auc")}, row);
    for (std::size_t c = 0; c < columns.count(); ++c) all[c].push_back(row[c]);
  }
  for (std::size_t c = 0; c < columns.count(); ++c) {
    const std::string name = columns.names()[c].substr(prefix.size());
    const auto& value = result.metrics.at(columns.names()[c]);
    BOOST_TEST(std::abs(value.mean - expected.metrics.at(name).mean) < 1e-12,
               name << ": " << value.mean << " for " << expected.metrics.at(name).mean);
    BOOST_TEST(std::abs(value.standard_error - expected.metrics.at(name).standard_error) < 1e-9, name);
    BOOST_TEST(bits(value.mean) == bits(mean_along_the_tree(world, shards, expected.user_rows, all[c])), name);
  }
  std::size_t k = 0;
  std::int64_t different = 0;
  for (std::size_t r = 0; r < result.user_rows.size(); ++r) {
    while (expected.user_rows[k] != result.user_rows[r]) ++k;
    for (std::size_t c = 0; c < columns.count(); ++c) {
      const double got = result.user_values[r * columns.count() + c];
      different += bits(got) != bits(all[c][k]) && !(std::isnan(got) && std::isnan(all[c][k])) ? 1 : 0;
    }
  }
  BOOST_TEST(different == 0);
  BOOST_TEST(world_ranks().sum(static_cast<std::int64_t>(result.user_rows.size())) == expected.users);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(evaluate_mpi)

BOOST_AUTO_TEST_CASE(every_option_agrees_with_the_slow_evaluator_on_any_number_of_ranks_and_threads) {
  std::uint64_t seed = 1;
  for (const int thread_count : {1, 2}) {
    set_threads(thread_count);
    for (const Ties ties : {Ties::by_id, Ties::pessimistic, Ties::optimistic, Ties::mean}) {
      for (const Protocol protocol : {Protocol::full, Protocol::sampled}) {
        for (const bool cold_items : {true, false}) {
          for (const int levels : {0, 2}) {
            ++seed;
            const World world = make_world(97, 211, 7, 100 * seed, levels, seed % 2 == 0);
            EvaluationOptions options = all_metrics({1, 5, 10, 400});
            options.ties = ties;
            options.protocol = protocol;
            options.cold_items = cold_items;
            compare(world, seed % 3 == 0 ? 4 : 16, options);
          }
        }
      }
    }
  }
  set_threads(1);
}

BOOST_AUTO_TEST_CASE(leaving_early_changes_no_bit) {
  for (const Ties ties : {Ties::by_id, Ties::pessimistic, Ties::mean}) {
    for (const int levels : {0, 1, 3}) {
      const World world = make_world(53, 2503, 5, 7000 + static_cast<std::uint64_t>(levels), levels, true);
      EvaluationOptions options = all_metrics({3, 10});
      options.metrics = {"hr", "ndcg", "recall", "map"};
      options.ties = ties;
      compare(world, 8, options);
    }
  }
}

BOOST_AUTO_TEST_CASE(catalogues_of_several_blocks_and_pieces_are_counted_whole) {
  const World world = make_world(29, 34'501, 3, 8000, 0, true);
  compare(world, 4, all_metrics({10, 1000}));
}

BOOST_AUTO_TEST_CASE(more_users_than_a_wave_holds_are_summed_as_if_they_were_one) {
  const World world = make_world(66'047, 61, 3, 9000, 2, false);
  compare(world, 32, all_metrics({5}));
}

BOOST_AUTO_TEST_CASE(a_catalogue_smaller_than_its_shards_is_evaluated) {
  World world = make_world(7, 5, 2, 9100, 0, true);
  for (auto& list : world.train) list.clear();
  compare(world, 16, all_metrics({3}));
}

BOOST_AUTO_TEST_CASE(chosen_users_only_are_evaluated) {
  const World world = make_world(101, 83, 4, 9200, 0, false);
  const auto& ranks = world_ranks();
  Sharded part(world, 8, ranks.rank(), ranks.size());
  std::vector<std::uint8_t> chosen;
  for (Index u = 0; u < part.scorer.users.rows; ++u)
    chosen.push_back((part.scorer.users.first_row + u) % 3 == 1 ? 1 : 0);
  part.lists.chosen_users = &chosen;
  const auto options = all_metrics({10});
  const auto result = evaluate::evaluate(ranks, 8, part.scorer, part.lists, options);
  const auto all = test::reference_evaluate(world, options);
  Index expected = 0;
  double sum = 0;
  for (std::size_t k = 0; k < all.user_rows.size(); ++k) {
    if (all.user_rows[k] % 3 != 1) continue;
    ++expected;
    sum += all.user_values[k].at("ndcg@10");
  }
  BOOST_TEST(result.users == expected);
  BOOST_TEST(result.users + result.skipped == 34);
  BOOST_TEST(std::abs(result.metrics.at("ndcg@10").mean - sum / static_cast<double>(expected)) < 1e-12);
}

BOOST_AUTO_TEST_CASE(evaluating_twice_gives_the_same_bits) {
  const World world = make_world(211, 307, 16, 9300, 0, true);
  const auto options = all_metrics({10, 50});
  const auto first = run(world, 16, options);
  const auto second = run(world, 16, options);
  for (const auto& [name, value] : first.metrics) {
    BOOST_TEST(bits(value.mean) == bits(second.metrics.at(name).mean));
    BOOST_TEST(bits(value.standard_error) == bits(second.metrics.at(name).standard_error));
  }
}

BOOST_AUTO_TEST_CASE(a_value_that_is_not_finite_ends_the_evaluation_on_every_rank) {
  const auto& ranks = world_ranks();
  const auto sentence = [&](const World& world) -> std::string {
    try {
      run(world, 8, all_metrics({10}));
    } catch (const Error& error) {
      return error.code() == ExitCode::diverged ? error.what() : std::string("wrong code: ") + error.what();
    }
    return "accepted";
  };
  World world = make_world(61, 127, 6, 9400, 0, true);
  world.item_rows.values[77 * 6 + 2] = std::numeric_limits<float>::quiet_NaN();
  BOOST_TEST(sentence(world) == "item row 77 holds nan: the model's values have left the finite numbers");
  world = make_world(61, 127, 6, 9400, 0, true);
  world.bias[100] = std::numeric_limits<float>::infinity();
  BOOST_TEST(sentence(world) == "item row 100 holds inf: the model's values have left the finite numbers");
  world = make_world(61, 127, 6, 9400, 0, true);
  world.user_rows.values[40 * 6] = -std::numeric_limits<float>::infinity();
  const std::string user = sentence(world);
  BOOST_TEST(user.find("the score of user row 40 and item row ") == 0U, user);
  BOOST_TEST(user.find("the model's values have left the finite numbers") != std::string::npos);
  world = make_world(61, 127, 6, 9400, 0, true);
  // Finite values whose product is not, in an item that nobody has to find.
  for (auto& list : world.test) list.erase(90);
  for (std::size_t c = 0; c < 6; ++c) world.item_rows.values[90 * 6 + c] = 1e37F;
  for (std::size_t c = 0; c < 6; ++c) world.user_rows.values[50 * 6 + c] = 9.0F;
  BOOST_TEST(sentence(world) ==
             "the score of user row 50 and item row 90 is inf: the model's values have left the finite numbers");
  ranks.barrier();
}

BOOST_AUTO_TEST_CASE(nothing_to_find_is_an_error_and_so_is_a_sampled_protocol_without_candidates) {
  World world = make_world(31, 41, 3, 9500, 0, false);
  for (auto& list : world.test) list.clear();
  BOOST_CHECK_EXCEPTION(run(world, 8, all_metrics({10})), Error, [](const Error& error) {
    return error.code() == ExitCode::usage &&
           std::string(error.what()).find("nothing to evaluate: none of the chosen users has an item to find") == 0;
  });
  const auto& ranks = world_ranks();
  Sharded part(world, 8, ranks.rank(), ranks.size());
  part.lists.candidates = nullptr;
  auto options = all_metrics({10});
  options.protocol = Protocol::sampled;
  BOOST_CHECK_EXCEPTION(evaluate::evaluate(ranks, 8, part.scorer, part.lists, options), Error, [](const Error& error) {
    return std::string(error.what()).find("the sampled protocol needs fixed candidates for each user") == 0;
  });
}

BOOST_AUTO_TEST_SUITE_END()
