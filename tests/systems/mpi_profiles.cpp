#include <algorithm>
#include <vector>

#include "game/toy_game.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/systems/factor_model.hpp"
#include "spar/systems/run_directory.hpp"
#include "spar/systems/system.hpp"

namespace {

using namespace spar;

constexpr int shards = 8;
const test::ToyData toy{211, 97, false};

bool is_held_out(Index user) {
  return user % 5 == 3;
}

// The toy's lists of this rank's users: those of users that `wanted` chooses, with ratings.
template <class Wanted>
data::UserLists lists_of(const data::UserLists& all, Wanted&& wanted) {
  data::UserLists lists;
  lists.first_user = all.first_user;
  for (Index k = 0; k < all.users(); ++k) {
    if (wanted(all.first_user + k)) {
      for (const ItemId item : all.of(k)) {
        lists.items.push_back(item);
        lists.ratings.push_back(static_cast<float>(1 + (item + static_cast<ItemId>(k)) % 5));
      }
    }
    lists.offsets.push_back(static_cast<std::int64_t>(lists.items.size()));
  }
  return lists;
}

systems::FactorModel model_of(const comm::Communicator& world, const std::string& system) {
  data::DatasetHeader header;
  header.users = toy.users;
  header.items = toy.items;
  const std::vector<std::string> small =
      system == "mult-dae" ? std::vector<std::string>{"network.layers=[13]"} : std::vector<std::string>{"model.dim=13"};
  return systems::make_model(world, {shards, world.size()}, header, systems::load_recipe(system, small), false);
}

std::vector<float> rows_of(const comm::Communicator& world, const systems::FactorModel& model,
                           const evaluate::EvaluationLists& lists) {
  const systems::Scoring scoring = model.scoring(world, shards, lists);
  const auto& users = scoring.scorer.users;
  return {users.data, users.data + users.rows * users.stride};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(profiles)

// No targets are handed over at all, so none can leak into what stands for a user.
BOOST_AUTO_TEST_CASE(a_held_out_user_is_what_is_folded_in_and_has_no_node) {
  const auto world = comm::Communicator::world();
  for (const std::string system : {"mult-dae", "cdae", "autorec"}) {
    BOOST_TEST_CONTEXT(system) {
      systems::FactorModel model = model_of(world, system);
      const auto all = toy.lists(model.users->first_row(), model.users->first_row() + model.users->rows());
      const auto folds_in = [&](Index k) { return is_held_out(all.first_user + k) && !all.of(k).empty(); };
      if (system == "cdae") {
        for (Index k = 0; k < model.users->rows(); ++k) {
          if (folds_in(k)) std::fill_n(model.users->record(k), model.users->shape().width(), 0.0F);
        }
      }
      const auto whole = lists_of(all, [](Index) { return true; });
      const auto train = lists_of(all, [](Index user) { return !is_held_out(user); });
      const auto fold_in = lists_of(all, is_held_out);
      evaluate::EvaluationLists trained;
      trained.masked = {&whole};
      evaluate::EvaluationLists held;
      held.masked = {&train, &fold_in};
      held.fold_in = &fold_in;
      const auto expected = rows_of(world, model, trained);
      BOOST_TEST((rows_of(world, model, held) == expected));
      if (system != "cdae") continue;
      // Whatever the untrained node of such a user holds.
      for (Index k = 0; k < model.users->rows(); ++k) {
        if (folds_in(k)) std::fill_n(model.users->record(k), model.users->shape().dim, 0.5F);
      }
      BOOST_TEST((rows_of(world, model, held) == expected));
    }
  }
}

BOOST_AUTO_TEST_CASE(only_users_with_something_to_find_are_judged_where_users_are_held_out) {
  const auto world = comm::Communicator::world();
  const Partition partition{toy.users, shards};
  const ShardLayout layout{shards, world.size()};
  const Index first = partition.begin(layout.first_shard(world.rank()));
  const auto all = toy.lists(first, partition.begin(layout.end_shard(world.rank())));
  systems::RunLists lists;
  lists.train = lists_of(all, [](Index user) { return !is_held_out(user); });
  lists.fold_in = lists_of(all, is_held_out);
  lists.test = lists_of(all, [](Index user) { return is_held_out(user) && user % 2 == 0; });
  lists.validation = lists_of(all, [](Index user) { return is_held_out(user) && user % 2 == 1; });
  BOOST_TEST(lists.judged_users("test").empty());
  lists.holds_out_users = true;
  const auto judged = lists.judged_users("test");
  BOOST_TEST_REQUIRE(judged.size() == static_cast<std::size_t>(all.users()));
  for (Index k = 0; k < all.users(); ++k) {
    BOOST_TEST((judged[static_cast<std::size_t>(k)] != 0) == !lists.test.of(k).empty());
    BOOST_TEST(lists.has_profile(k) == !all.of(k).empty());
  }
  const auto marks = lists.evaluation("validation", false);
  BOOST_TEST((marks.masked == std::vector<const data::UserLists*>{&lists.train, &lists.fold_in}));
  BOOST_TEST(marks.fold_in == &lists.fold_in);
  const auto count = [&](const std::vector<std::uint8_t>& chosen) {
    return world.sum(static_cast<Index>(std::count(chosen.begin(), chosen.end(), std::uint8_t{1})));
  };
  const auto sample = systems::choose_users(world, first, all.users(), 5, 3, judged);
  BOOST_TEST(count(sample) == 5);
  for (std::size_t k = 0; k < sample.size(); ++k) BOOST_TEST(sample[k] <= judged[k]);
  BOOST_TEST((systems::choose_users(world, first, all.users(), 0, 3, judged) == judged));
}

BOOST_AUTO_TEST_SUITE_END()
