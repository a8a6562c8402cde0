#define BOOST_TEST_DYN_LINK
#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "evaluate/sharded.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/threads.hpp"

// What any evaluation must do, by cases whose answer is known without computing it.
namespace {

using namespace spar;
using evaluate::EvaluationOptions;
using evaluate::Recommendation;
using evaluate::Ties;
using test::all_metrics;
using test::Rows;
using test::Sharded;
using test::World;

constexpr int shards = 16;

const comm::Communicator& world_ranks() {
  static const comm::Communicator communicator = comm::Communicator::world();
  return communicator;
}

std::map<std::string, evaluate::MetricValue> metrics_of(const World& world, const EvaluationOptions& options) {
  const auto& ranks = world_ranks();
  const Sharded part(world, shards, ranks.rank(), ranks.size());
  return evaluate::evaluate(ranks, shards, part.scorer, part.lists, options).metrics;
}

// Users and items with empty lists, one value a row: the score of a pair is the product of the two values.
World make_line(Index users, Index items) {
  World world = test::make_world(users, items, 1, 1, 0, false);
  for (auto* lists : {&world.train, &world.validation, &world.test}) lists->assign(static_cast<std::size_t>(users), {});
  std::fill(world.user_rows.values.begin(), world.user_rows.values.end(), 1.0F);
  for (Index i = 0; i < items; ++i) world.item_rows.values[static_cast<std::size_t>(i)] = static_cast<float>(items - i);
  return world;
}

// The lists of this rank's users, gathered: by user row, on every rank.
std::vector<std::vector<Recommendation>> all_lists(const World& world, int top) {
  const auto& ranks = world_ranks();
  Sharded part(world, shards, ranks.rank(), ranks.size());
  part.lists.seen_items = nullptr;
  std::vector<Recommendation> flat;
  std::vector<std::int64_t> sizes;
  for (const auto& list : evaluate::recommend(ranks, part.scorer, part.lists, top)) {
    sizes.push_back(static_cast<std::int64_t>(list.size()));
    flat.insert(flat.end(), list.begin(), list.end());
  }
  const auto all_sizes = ranks.allgather(std::as_bytes(std::span(sizes)));
  const auto all_items = ranks.allgather(std::as_bytes(std::span(flat)));
  std::vector<std::vector<Recommendation>> lists;
  for (std::size_t r = 0; r < all_sizes.size(); ++r) {
    const auto* size = reinterpret_cast<const std::int64_t*>(all_sizes[r].data());
    const auto* item = reinterpret_cast<const Recommendation*>(all_items[r].data());
    for (std::size_t k = 0; k < all_sizes[r].size() / sizeof(std::int64_t); ++k) {
      lists.emplace_back(item, item + size[k]);
      item += size[k];
    }
  }
  return lists;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checks)

BOOST_AUTO_TEST_CASE(a_perfect_ranking_is_one_and_a_reversed_one_has_auc_zero) {
  World world = make_line(37, 113);
  for (auto& targets : world.test) targets = {0, 1, 2, 3};
  for (const auto& [name, value] : metrics_of(world, all_metrics({4, 10}))) {
    if (name == "precision@10" || name == "f1@10") continue;
    BOOST_TEST(value.mean == 1.0, name);
    BOOST_TEST(value.standard_error == 0.0, name);
  }
  std::fill(world.user_rows.values.begin(), world.user_rows.values.end(), -1.0F);
  const auto reversed = metrics_of(world, all_metrics({4}));
  BOOST_TEST(reversed.at("auc").mean == 0.0);
  BOOST_TEST(reversed.at("hr@4").mean == 0.0);
}

BOOST_AUTO_TEST_CASE(auc_by_ranks_is_auc_by_pairs) {
  World world = make_line(16, 5);
  for (auto& targets : world.test) targets = {0, 2};
  BOOST_TEST(std::abs(metrics_of(world, all_metrics({2})).at("auc").mean - 0.8333333) < 1e-6);
}

BOOST_AUTO_TEST_CASE(a_constant_scorer_finds_nothing_in_pessimistic_mode_and_everything_in_optimistic_mode) {
  World world = make_line(41, 59);
  std::fill(world.item_rows.values.begin(), world.item_rows.values.end(), 0.25F);
  for (std::size_t u = 0; u < world.test.size(); ++u) world.test[u] = {static_cast<ItemId>(u)};
  EvaluationOptions options = all_metrics({1, 10, 58, 59});
  options.ties = Ties::pessimistic;
  auto values = metrics_of(world, options);
  BOOST_TEST(values.at("hr@58").mean == 0.0);
  BOOST_TEST(values.at("hr@59").mean == 1.0);
  BOOST_TEST(values.at("auc").mean == 0.5);
  options.ties = Ties::optimistic;
  values = metrics_of(world, options);
  BOOST_TEST(values.at("hr@1").mean == 1.0);
  BOOST_TEST(values.at("ndcg@10").mean == 1.0);
  options.ties = Ties::mean;
  values = metrics_of(world, options);
  BOOST_TEST(values.at("hr@10").mean == 0.0);
  BOOST_TEST(values.at("mrr@59").mean == 1.0 / 30.0);
  options.ties = Ties::by_id;
  BOOST_TEST(std::abs(metrics_of(world, options).at("hr@10").mean - 10.0 / 41.0) < 1e-15);
}

BOOST_AUTO_TEST_CASE(equal_scores_on_different_shards_return_the_smallest_ids) {
  World world = make_line(23, 89);
  std::fill(world.item_rows.values.begin(), world.item_rows.values.end(), 0.5F);
  for (const ItemId best : {88U, 44U, 7U}) world.item_rows.values[best] = 2.0F;
  const std::vector<Index> expected = {7, 44, 88, 0, 1, 2, 3, 4, 5, 6, 8, 9};
  for (const auto& list : all_lists(world, 12)) {
    std::vector<Index> items;
    for (const auto& entry : list) items.push_back(entry.item);
    BOOST_TEST(items == expected, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(lists_are_those_of_a_full_sort_on_any_number_of_ranks_and_threads) {
  for (const int thread_count : {1, 2}) {
    set_threads(thread_count);
    for (const int levels : {0, 2}) {
      const World world = test::make_world(103, 1511, 9, 40 + static_cast<std::uint64_t>(levels), levels, true);
      const auto lists = all_lists(world, 50);
      BOOST_TEST(lists.size() == 103U);
      for (Index u = 0; u < world.users; ++u) {
        const auto k = static_cast<std::size_t>(u);
        std::vector<ItemId> order;
        for (ItemId i = 0; i < 1511; ++i) {
          if (world.train[k].count(i) + world.validation[k].count(i) == 0) order.push_back(i);
        }
        std::stable_sort(order.begin(), order.end(),
                         [&](ItemId a, ItemId b) { return world.score(u, a) > world.score(u, b); });
        order.resize(std::min<std::size_t>(order.size(), 50));
        bool same = lists[k].size() == order.size();
        for (std::size_t n = 0; same && n < order.size(); ++n) {
          same =
              lists[k][n].item == static_cast<Index>(order[n]) && lists[k][n].score == world.score(u, order[n]) + 0.0F;
        }
        BOOST_TEST(same, "user " << u);
      }
    }
  }
  set_threads(1);
}

BOOST_AUTO_TEST_CASE(a_list_is_as_long_as_the_candidates_allow_and_holds_no_training_item) {
  const World world = test::make_world(89, 31, 4, 60, 0, false);
  const auto lists = all_lists(world, 25);
  for (std::size_t u = 0; u < lists.size(); ++u) {
    std::set<ItemId> masked = world.train[u];
    masked.insert(world.validation[u].begin(), world.validation[u].end());
    BOOST_TEST(lists[u].size() == std::min<std::size_t>(25, 31 - masked.size()));
    for (const auto& entry : lists[u]) BOOST_TEST(masked.count(static_cast<ItemId>(entry.item)) == 0U);
  }
}

BOOST_AUTO_TEST_CASE(random_scores_have_auc_one_half_and_sampled_hit_rates_of_places_over_candidates) {
  World world = test::make_world(2003, 401, 8, 70, 0, false);
  EvaluationOptions options = all_metrics({5});
  auto auc = metrics_of(world, options).at("auc");
  BOOST_TEST(std::abs(auc.mean - 0.5) < 3 * auc.standard_error);
  // One target and 20 other candidates each, never masked.
  for (Index u = 0; u < world.users; ++u) {
    const auto k = static_cast<std::size_t>(u);
    world.train[k].clear();
    world.validation[k].clear();
    world.test[k] = {static_cast<ItemId>((7 * u) % 401)};
    world.negatives[k].clear();
    for (Index n = 1; n <= 20; ++n) world.negatives[k].push_back(static_cast<ItemId>((7 * u + 13 * n) % 401));
  }
  options.protocol = evaluate::Protocol::sampled;
  const auto hits = metrics_of(world, options).at("sampled-hr@5");
  BOOST_TEST(std::abs(hits.mean - 5.0 / 21.0) < 3 * hits.standard_error);
}

BOOST_AUTO_TEST_CASE(hit_rate_and_recall_grow_with_the_cut_off) {
  const World world = test::make_world(307, 211, 6, 80, 0, false);
  const auto values = metrics_of(world, all_metrics({1, 2, 5, 10, 50, 211}));
  for (const std::string name : {"hr@", "recall@"}) {
    double previous = 0;
    for (const char* cutoff : {"1", "2", "5", "10", "50", "211"}) {
      BOOST_TEST(values.at(name + cutoff).mean >= previous);
      previous = values.at(name + cutoff).mean;
    }
    BOOST_TEST(previous == 1.0);
  }
}

BOOST_AUTO_TEST_CASE(names_of_items_and_the_order_of_users_do_not_matter) {
  const World world = test::make_world(61, 127, 5, 90, 0, true);
  // Item i becomes (50 i + 3) mod 127, user u becomes 60 - u.
  World renamed = world;
  const auto new_name = [](ItemId item) { return static_cast<ItemId>((50 * item + 3) % 127); };
  const auto rename = [&](const std::set<ItemId>& items) {
    std::set<ItemId> names;
    for (const ItemId item : items) names.insert(new_name(item));
    return names;
  };
  for (ItemId i = 0; i < 127; ++i) {
    std::copy_n(world.item_rows.row(i), 5, renamed.item_rows.values.data() + 5 * new_name(i));
    renamed.bias[new_name(i)] = world.bias[i];
    renamed.seen[new_name(i)] = world.seen[i];
  }
  for (std::size_t u = 0; u < 61; ++u) {
    std::copy_n(world.user_rows.row(static_cast<Index>(u)), 5, renamed.user_rows.values.data() + 5 * (60 - u));
    renamed.train[60 - u] = rename(world.train[u]);
    renamed.validation[60 - u] = rename(world.validation[u]);
    renamed.test[60 - u] = rename(world.test[u]);
  }
  const auto values = metrics_of(world, all_metrics({10}));
  for (const auto& [name, value] : metrics_of(renamed, all_metrics({10}))) {
    BOOST_TEST(std::abs(value.mean - values.at(name).mean) < 1e-14, name);
    BOOST_TEST(std::abs(value.standard_error - values.at(name).standard_error) < 1e-9, name);
  }
}

BOOST_AUTO_TEST_CASE(users_without_targets_change_no_metric) {
  World world = test::make_world(60, 97, 5, 95, 0, false);
  const auto before = metrics_of(world, all_metrics({10}));
  // The world again, with as many users more that have nothing to find.
  World larger = test::make_world(120, 97, 5, 95, 0, false);
  for (Index u = 0; u < 120; ++u) {
    const auto k = static_cast<std::size_t>(u);
    const auto from = static_cast<std::size_t>(u % 60);
    std::copy_n(world.user_rows.row(u % 60), 5, larger.user_rows.values.data() + 5 * u);
    larger.train[k] = world.train[from];
    larger.validation[k] = world.validation[from];
    larger.test[k] = u < 60 ? world.test[from] : larger.train[k];
  }
  larger.item_rows = world.item_rows;
  for (const auto& [name, value] : metrics_of(larger, all_metrics({10})))
    BOOST_TEST(std::abs(value.mean - before.at(name).mean) < 1e-14, name);
}

BOOST_AUTO_TEST_SUITE_END()
