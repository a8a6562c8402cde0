#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <numeric>
#include <vector>

#include "evaluate/sharded.hpp"
#include "support/sentence.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/evaluate/metrics.hpp"

// Root mean squared and mean absolute errors of predicted ratings, by hand.
namespace {

using namespace spar;
using evaluate::EvaluationOptions;
using evaluate::EvaluationResult;
using test::Sharded;
using test::World;

constexpr int shards = 16;

const comm::Communicator& world_ranks() {
  static const comm::Communicator communicator = comm::Communicator::world();
  return communicator;
}

// Scores of every user: 0.5, 3.5, 4.5, 7. Training knows items 0 to 2, and nothing of user 1.
World rated_world() {
  World world = test::make_world(3, 4, 1, 1, 0, false);
  for (auto* lists : {&world.train, &world.validation, &world.test}) lists->assign(3, {});
  std::fill(world.user_rows.values.begin(), world.user_rows.values.end(), 0.0F);
  std::fill(world.item_rows.values.begin(), world.item_rows.values.end(), 0.0F);
  const std::vector<float> scores{0.5F, 3.5F, 4.5F, 7.0F};
  for (Index u = 0; u < 3; ++u) world.user_rows.values[static_cast<std::size_t>(u * world.user_rows.stride)] = 1.0F;
  for (Index i = 0; i < 4; ++i)
    world.item_rows.values[static_cast<std::size_t>(i * world.item_rows.stride)] = scores[static_cast<std::size_t>(i)];
  world.train[0] = {1};
  world.train[2] = {0};
  world.test[0] = {0, 2, 3};
  world.test[1] = {1};
  world.test[2] = {0, 1, 2};
  world.seen = {1, 1, 1, 0};
  return world;
}

// By user and item. Item 0 of user 2 is in training, so its rating must not count.
float rating(Index user, ItemId item) {
  constexpr float ratings[3][4] = {{2, 0, 5, 4}, {0, 1, 0, 0}, {100, 3, 4.5F, 0}};
  return ratings[user][item];
}

EvaluationResult judge(const std::vector<std::string>& metrics, bool folds_in, bool with_scale = true) {
  const World world = rated_world();
  const auto& ranks = world_ranks();
  Sharded part(world, shards, ranks.rank(), ranks.size());
  data::UserLists targets = *part.lists.targets;
  data::UserLists known;
  known.first_user = targets.first_user;
  for (Index k = 0; k < targets.users(); ++k) {
    for (const ItemId item : targets.of(k)) targets.ratings.push_back(rating(targets.first_user + k, item));
    if (targets.first_user + k == 1) known.items.push_back(0);
    known.offsets.push_back(static_cast<std::int64_t>(known.items.size()));
  }
  part.lists.targets = &targets;
  if (with_scale) part.lists.scale = evaluate::RatingScale{1, 5, 3};
  if (folds_in) {
    part.lists.fold_in = &known;
    part.lists.masked.push_back(&known);
  }
  EvaluationOptions options;
  options.metrics = metrics;
  options.cutoffs = {1};
  options.per_user = true;
  return evaluate::evaluate(ranks, shards, part.scorer, part.lists, options);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(ratings)

// Errors: user 0: 1 - 2 (clipped from 0.5), 4.5 - 5, 3 - 4 (an item that training lacks); user 1: 3 - 1 (no profile);
// user 2: 3.5 - 3, 4.5 - 4.5.
BOOST_AUTO_TEST_CASE(errors_are_over_all_ratings_alike_after_clipping_to_the_scale) {
  const EvaluationResult result = judge({"rmse", "mae"}, false);
  BOOST_TEST(result.users == 3);
  const auto rmse = result.metrics.at("rmse");
  const auto mae = result.metrics.at("mae");
  BOOST_TEST(std::abs(rmse.mean - std::sqrt(6.5 / 6.0)) < 1e-12);
  BOOST_TEST(std::abs(rmse.standard_error - 0.2919869) < 1e-6);
  BOOST_TEST(std::abs(mae.mean - 5.0 / 6.0) < 1e-12);
  BOOST_TEST(std::abs(mae.standard_error - std::sqrt((6.5 - 25.0 / 6.0) / 5.0 / 6.0)) < 1e-12);
  for (std::size_t k = 0; k < result.user_rows.size(); ++k) {
    if (result.user_rows[k] != 0) continue;
    BOOST_TEST(std::abs(result.user_values[2 * k] - std::sqrt(0.75)) < 1e-12);
    BOOST_TEST(std::abs(result.user_values[2 * k + 1] - 2.5 / 3.0) < 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(a_user_held_out_of_training_is_predicted_by_what_is_folded_in) {
  const EvaluationResult result = judge({"rmse"}, true);
  BOOST_TEST(std::abs(result.metrics.at("rmse").mean - std::sqrt((6.5 - 4.0 + 6.25) / 6.0)) < 1e-12);
}

BOOST_AUTO_TEST_CASE(errors_stand_beside_rankings_and_change_none) {
  const EvaluationResult both = judge({"rmse", "hr", "auc"}, false);
  const EvaluationResult alone = judge({"hr", "auc"}, false);
  BOOST_TEST(both.metrics.at("hr@1").mean == alone.metrics.at("hr@1").mean);
  BOOST_TEST(both.metrics.at("auc").mean == alone.metrics.at("auc").mean);
  BOOST_TEST(both.metrics.at("rmse").mean == judge({"rmse"}, false).metrics.at("rmse").mean);
}

BOOST_AUTO_TEST_CASE(a_system_that_predicts_no_ratings_has_no_errors_of_them) {
  BOOST_TEST(
      test::sentence_of(ExitCode::usage, [] { judge({"rmse"}, false, false); }) ==
      "rmse and mae compare predicted ratings with given ones: they need a system that predicts ratings, such as "
      "autorec, so choose other evaluate.metrics and evaluate.select_by");
  BOOST_TEST(evaluate::is_error("rmse"));
  BOOST_TEST(!evaluate::is_error("ndcg@10"));
}

BOOST_AUTO_TEST_SUITE_END()
