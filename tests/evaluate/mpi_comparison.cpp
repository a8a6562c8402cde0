#define BOOST_TEST_DYN_LINK
#include <bit>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "evaluate/sharded.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/base/shard_tree.hpp"
#include "spar/evaluate/paired.hpp"
#include "spar/evaluate/results.hpp"
#include "spar/store/durable.hpp"

namespace {

using namespace spar;
using evaluate::EvaluationResult;
using test::all_metrics;
using test::make_world;
using test::Sharded;
using test::World;

const comm::Communicator& world_ranks() {
  static const comm::Communicator communicator = comm::Communicator::world();
  return communicator;
}

EvaluationResult run(const World& world, int shards) {
  const auto& ranks = world_ranks();
  const Sharded part(world, shards, ranks.rank(), ranks.size());
  return evaluate::evaluate(ranks, shards, part.scorer, part.lists, all_metrics({5, 10}));
}

std::string shared_directory() {
  const auto& ranks = world_ranks();
  const std::string nonce = ranks.broadcast(ranks.is_root() ? store::make_nonce() : std::string(), 0);
  const std::string directory = (std::filesystem::temp_directory_path() / ("spar-users-" + nonce)).string();
  if (ranks.is_root()) store::make_directories(directory);
  ranks.barrier();
  return directory;
}

std::vector<std::string> user_names(Index first, Index count) {
  std::vector<std::string> names;
  for (Index k = 0; k < count; ++k) names.push_back("user-" + std::to_string(first + k));
  return names;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(comparison_mpi)

BOOST_AUTO_TEST_CASE(paired_tests_have_the_same_bits_on_any_launch_even_if_the_runs_had_other_shards) {
  const World first_world = make_world(89, 97, 5, 500, 0, false);
  World second_world = first_world;
  second_world.item_rows = test::Rows(97, 5, 501);
  const auto first = run(first_world, 8);
  const auto second = run(second_world, 32);
  const std::vector<std::string> names = {"ndcg@10", "auc", "hr@5"};
  const auto tests = evaluate::compare_users(world_ranks(), 8, 89, first, second, names);

  const auto options = all_metrics({5, 10});
  const auto a = test::reference_evaluate(first_world, options);
  const auto b = test::reference_evaluate(second_world, options);
  const Partition users{89, 8};
  for (std::size_t c = 0; c < names.size(); ++c) {
    std::vector<double> sums(8, 0.0), squares(8, 0.0);
    std::int64_t count = 0;
    for (std::size_t k = 0; k < a.user_rows.size(); ++k) {
      const double difference = b.user_values[k].at(names[c]) - a.user_values[k].at(names[c]);
      if (std::isnan(difference)) continue;
      sums[static_cast<std::size_t>(users.part_of(a.user_rows[k]))] += difference;
      squares[static_cast<std::size_t>(users.part_of(a.user_rows[k]))] += difference * difference;
      ++count;
    }
    const auto expected = evaluate::paired_test(count, tree_sum(sums), tree_sum(squares));
    BOOST_TEST(tests[c].count == count);
    BOOST_TEST(std::abs(tests[c].difference - expected.difference) < 1e-14);
    BOOST_TEST(std::abs(tests[c].p - expected.p) < 1e-9);
  }
  // Against itself nothing differs.
  for (const auto& test : evaluate::compare_users(world_ranks(), 8, 89, first, first, names)) {
    BOOST_TEST(test.difference == 0.0);
    BOOST_TEST(test.p == 1.0);
  }
}

BOOST_AUTO_TEST_CASE(values_of_users_are_saved_in_order_by_original_ids) {
  const World world = make_world(16'411, 31, 3, 510, 2, false);
  const auto result = run(world, 8);
  const std::string directory = shared_directory();
  evaluate::save_user_values(world_ranks(), directory + "/users.tsv", result, user_names);
  if (world_ranks().is_root()) {
    const auto expected = test::reference_evaluate(world, all_metrics({5, 10}));
    const std::string text = store::read_text(directory + "/users.tsv");
    BOOST_TEST(text.find("user\thr@5\thr@10\tndcg@5\t") == 0U);
    std::size_t line = text.find('\n') + 1;
    std::int64_t wrong = 0;
    for (std::size_t k = 0; k < expected.user_rows.size(); ++k) {
      const std::string begin = "user-" + std::to_string(expected.user_rows[k]) + "\t" +
                                (expected.user_values[k].at("hr@5") > 0 ? "1" : "0") + "\t";
      wrong += text.compare(line, begin.size(), begin) != 0 ? 1 : 0;
      line = text.find('\n', line) + 1;
    }
    BOOST_TEST(wrong == 0);
    BOOST_TEST(line == text.size());
    const auto files =
        std::distance(std::filesystem::directory_iterator(directory), std::filesystem::directory_iterator());
    BOOST_TEST(files == 1);
    std::filesystem::remove_all(directory);
  }
  world_ranks().barrier();
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_written_is_an_error_on_every_rank) {
  const World world = make_world(53, 31, 3, 520, 0, false);
  const auto result = run(world, 8);
  BOOST_CHECK_EXCEPTION(
      evaluate::save_user_values(world_ranks(), "/nonexistent/users.tsv", result, user_names), Error,
      [](const Error& error) { return std::string(error.what()).find("cannot write /nonexistent/users.tsv: ") == 0; });
}

BOOST_AUTO_TEST_SUITE_END()
