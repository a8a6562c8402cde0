#include <algorithm>
#include <cmath>

#include "game/toy_game.hpp"
#include "support/sentence.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/systems/factor_model.hpp"
#include "spar/systems/run_directory.hpp"
#include "spar/systems/system.hpp"

namespace {

using namespace spar;

const test::ToyData toy{211, 97, false};

// The marks of all users, as `ranks` ranks would hold them, from this rank's part.
std::vector<std::uint8_t> chosen(const comm::Communicator& world, Index total, Index most, std::uint64_t seed) {
  const Partition partition{total, 8};
  const ShardLayout layout{8, world.size()};
  const Index first = partition.begin(layout.first_shard(world.rank()));
  const Index end = partition.begin(layout.end_shard(world.rank()));
  const auto mine = systems::choose_users(world, first, end - first, most, seed);
  std::vector<std::uint8_t> all;
  for (const auto& part : world.allgather(std::as_bytes(std::span(mine)))) {
    for (const std::byte mark : part) all.push_back(static_cast<std::uint8_t>(mark));
  }
  return all;
}

Recipe recipe(const std::string& system, const std::vector<std::string>& overrides = {}) {
  return systems::load_recipe(system, overrides);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(factor_model)

BOOST_AUTO_TEST_CASE(the_sample_of_validation_users_has_its_size_and_depends_on_the_seed_only) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  for (const Index total : {Index{7}, Index{1009}}) {
    for (const Index most : {Index{0}, Index{1}, Index{5}, Index{100}, Index{5000}}) {
      const auto marks = chosen(world, total, most, 3);
      const auto count = std::count(marks.begin(), marks.end(), std::uint8_t{1});
      BOOST_TEST(count == (most == 0 ? total : std::min(most, total)));
      BOOST_TEST((marks == chosen(alone, total, most, 3)));
    }
  }
  BOOST_TEST((chosen(world, 1009, 100, 3) != chosen(world, 1009, 100, 4)));
  // A larger sample holds the smaller one: validations of different sizes look at the same users.
  const auto small = chosen(world, 1009, 50, 3);
  const auto large = chosen(world, 1009, 100, 3);
  for (std::size_t k = 0; k < small.size(); ++k) BOOST_TEST(small[k] <= large[k]);
}

BOOST_AUTO_TEST_CASE(popularity_counts_training_interactions) {
  const auto world = comm::Communicator::world();
  const ShardLayout layout{8, world.size()};
  data::DatasetHeader header;
  header.users = toy.users;
  header.items = toy.items;
  const Recipe popularity = recipe("popularity");
  auto model = systems::make_model(world, layout, header, popularity, false);
  const auto lists = toy.lists(model.users->first_row(), model.users->first_row() + model.users->rows());
  systems::count_popularity(world, lists, model);
  for (Index k = 0; k < model.items->rows(); ++k) {
    Index expected = 0;
    for (Index u = 0; u < toy.users; ++u) expected += toy.has(u, model.items->first_row() + k) ? 1 : 0;
    BOOST_TEST(*model.items->record(k) == static_cast<float>(expected));
  }
  for (Index k = 0; k < model.users->rows(); ++k) BOOST_TEST(*model.users->record(k) == 1.0F);
}

BOOST_AUTO_TEST_CASE(shards_come_from_the_recipe_and_never_from_the_launch) {
  for (const auto& [batch, shards] :
       {std::pair{64, 8}, {512, 8}, {1024, 16}, {4096, 64}, {5000, 64}, {1'000'000, 1024}}) {
    Recipe r = recipe("apr", {"train.batch_size=" + std::to_string(batch)});
    BOOST_TEST(systems::resolve_shards(r) == shards);
    BOOST_TEST(r.integer("parallel.shards") == shards);
  }
  Recipe given = recipe("apr", {"parallel.shards=32"});
  BOOST_TEST(systems::resolve_shards(given) == 32);
}

BOOST_AUTO_TEST_CASE(more_ranks_than_shards_are_refused_with_the_value_to_set) {
  const auto world = comm::Communicator::world();
  BOOST_CHECK_NO_THROW(systems::check_layout(world, 4));
  if (world.size() < 2) return;
  const std::string expected =
      world.size() == 2   ? "2 ranks need at least 2 shards, but parallel.shards = 1: add --set parallel.shards=2"
      : world.size() == 3 ? "3 ranks need at least 3 shards, but parallel.shards = 1: add --set parallel.shards=4"
                          : "4 ranks need at least 4 shards, but parallel.shards = 1: add --set parallel.shards=4";
  BOOST_TEST(test::sentence_of(ExitCode::usage, [&] { systems::check_layout(world, 1); }) ==
             expected + " (a new experiment: its numbers differ)");
}

BOOST_AUTO_TEST_CASE(recipes_become_stages) {
  const auto bpr = systems::plan_of(recipe("bpr-mf", {"train.epochs=7"}));
  BOOST_TEST(bpr.stages.size() == 1U);
  BOOST_TEST(bpr.stages[0].name == "bpr");
  BOOST_TEST(bpr.stages[0].end_epoch == 7);
  BOOST_TEST(!bpr.stages[0].adversary.has_value());

  const auto apr = systems::plan_of(recipe("apr", {"train.epochs=9", "game.pretrain_epochs=4", "adversary.epsilon=0.25",
                                                   "adversary.scope=shard", "adversary.weight=2"}));
  BOOST_TEST(apr.stages.size() == 2U);
  BOOST_TEST(apr.stages[0].end_epoch == 4);
  BOOST_TEST(apr.stages[1].end_epoch == 9);
  BOOST_TEST(apr.stages[1].adversary->perturbation.epsilon == 0.25);
  BOOST_TEST(apr.stages[1].adversary->weight == 2.0);
  BOOST_TEST((apr.stages[1].adversary->scope == adversary::Scope::shard));

  // The pre-training counts among all epochs.
  const auto shorter = systems::plan_of(recipe("apr", {"train.epochs=3", "game.pretrain_epochs=4"}));
  BOOST_TEST(shorter.stages[0].end_epoch == 3);
  BOOST_TEST(shorter.stages[1].end_epoch == 3);
}

BOOST_AUTO_TEST_CASE(published_defaults_are_those_of_the_sheet) {
  const auto apr = systems::plan_of(recipe("apr"));
  const auto& adversary = *apr.stages[1].adversary;
  BOOST_TEST((adversary.scope == adversary::Scope::batch));
  BOOST_TEST((adversary.perturbation.method == adversary::Method::fgm));
  BOOST_TEST((adversary.perturbation.ball == adversary::Ball::row_l2));
  BOOST_TEST(adversary.perturbation.epsilon == 0.5);
  BOOST_TEST(adversary.perturbation.norm_floor == 1e-6);
  BOOST_TEST(adversary.weight == 1.0);
  BOOST_TEST((apr.optimizer.rule == optim::Rule::adagrad));
  BOOST_TEST(apr.optimizer.learning_rate == 0.05F);
  BOOST_TEST(apr.optimizer.initial_accumulator == 0.1F);
  BOOST_TEST(apr.optimizer.epsilon == 0.0F);
  const Recipe published = recipe("apr-published");
  BOOST_TEST(published.integer("train.batch_size") == 512);
  BOOST_TEST(published.integer("model.dim") == 64);
  BOOST_TEST(published.integer("train.epochs") == 2000);
  BOOST_TEST(published.integer("game.pretrain_epochs") == 1000);
}

BOOST_AUTO_TEST_CASE(adversaries_that_cannot_be_are_refused) {
  const auto sentence = [](const std::vector<std::string>& overrides) {
    return test::sentence_of(ExitCode::usage, [&] { systems::plan_of(recipe("apr", overrides)); });
  };
  const std::string sample =
      "adversary.scope = \"sample\" perturbs each triple by its own L2 step: it needs adversary.method = \"fgm\" and "
      "adversary.ball = \"row_l2\"; scopes shard and batch take all methods and balls";
  BOOST_TEST(sentence({"adversary.scope=sample", "adversary.method=fgsm"}) == sample);
  BOOST_TEST(sentence({"adversary.scope=sample", "adversary.ball=linf"}) == sample);
  BOOST_TEST(
      sentence({"adversary.method=random", "adversary.ball=global_l2"}) ==
      "adversary.method = \"random\" draws each row on its own: it needs adversary.ball = \"row_l2\" or \"linf\"");
}

BOOST_AUTO_TEST_CASE(identities_that_differ_name_the_setting_and_both_values) {
  const std::string a = systems::identity_of(recipe("apr"), "0123");
  const auto difference = [&](const std::string& b) {
    return systems::identity_difference("runs/x", a, b, 8).value_or("none");
  };
  BOOST_TEST(difference(a) == "none");
  // What is free may change.
  BOOST_TEST(difference(systems::identity_of(
                 recipe("apr", {"train.epochs=5", "checkpoint.keep=3", "parallel.threads=2"}), "0123")) == "none");
  BOOST_TEST(difference(systems::identity_of(recipe("apr", {"adversary.epsilon=1"}), "0123")) ==
             "runs/x has adversary.epsilon = 0.5, this command 1.0: choose another --run, or give --set "
             "adversary.epsilon=0.5 to go on at "
             "epoch 8");
  BOOST_TEST(difference(systems::identity_of(recipe("apr"), "4567")) ==
             "runs/x was trained on other data (content \"0123\", this file's \"4567\"): choose another --run, or give "
             "the data it was trained on");
  // Settings that one side lacks are named after those that both have.
  BOOST_TEST(difference(systems::identity_of(recipe("apr", {"optimizer.name=adam"}), "0123"))
                 .starts_with("runs/x has optimizer.name = \"adagrad\", this command \"adam\": "));
  BOOST_TEST(difference(systems::identity_of(recipe("bpr-mf"), "0123")) ==
             "runs/x trained \"apr\", this command \"bpr-mf\": choose another --run");
  BOOST_TEST(difference(a + "later.key = 1\n") == "runs/x has no later.key, this command 1: choose another --run");
  BOOST_TEST(systems::identity_difference("runs/x", a + "former.key = 1\n", a, 8).value_or("none") ==
             "runs/x has former.key = 1, which this command lacks: choose another --run");
  // Pipeline changes the bits, so it is another experiment.
  BOOST_TEST(
      difference(systems::identity_of(recipe("apr", {"parallel.pipeline=1"}), "0123")).find("parallel.pipeline") !=
      std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_training_from_before_a_setting_goes_on_with_its_default) {
  const Recipe now = recipe("apr");
  const auto without = [](std::string text, const std::string& key) {
    const std::size_t line = text.find(key);
    BOOST_REQUIRE(line != std::string::npos);
    return text.erase(line, text.find('\n', line) + 1 - line);
  };
  // In TOML a key stands below the name of its table.
  const store::CheckpointInfo before{"epoch-000002-step-000000",
                                     "",
                                     without(now.toml(), "clip_norm"),
                                     without(systems::identity_of(now, "0123"), "optimizer.clip_norm"),
                                     {}};
  BOOST_TEST(systems::present_identity(before) == systems::identity_of(now, "0123"));
  const std::string other = systems::identity_of(recipe("apr", {"optimizer.clip_norm=1"}), "0123");
  BOOST_TEST(systems::identity_difference("runs/x", systems::present_identity(before), other, 3).value_or("none") ==
             "runs/x has optimizer.clip_norm = 0.0, this command 1.0: choose another --run, or give --set "
             "optimizer.clip_norm=0.0 to go on at epoch 3");
  // What this version cannot read is compared as it was written.
  const store::CheckpointInfo unknown{
      "x", "", now.toml() + "[later]\nkey = 1\n", systems::identity_of(now, "0123"), {}};
  BOOST_TEST(systems::present_identity(unknown) == unknown.identity);
}

BOOST_AUTO_TEST_SUITE_END()
