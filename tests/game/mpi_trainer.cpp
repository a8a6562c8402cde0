#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "toy_training.hpp"
#include <boost/test/unit_test.hpp>

namespace {

using namespace spar;
using adversary::Scope;

// Hundreds of checkpoints: in memory, where the machine has such a folder.
struct ScratchInMemory {
  ScratchInMemory() {
    if (std::filesystem::is_directory("/dev/shm")) setenv("TMPDIR", "/dev/shm", 1);
  }
};

using test::adversary_of;
using test::at_root;
using test::Told;
using test::ToyPlan;
using test::ToySettings;

// A training of four epochs without a disk: what every interrupted one must end in.
test::ToyTables uninterrupted(const ToySettings& settings, std::int64_t bpr_epochs, std::int64_t epochs,
                              const std::optional<game::Adversary>& adversary) {
  const auto alone = comm::Communicator::alone();
  test::ToyGame game(alone, settings);
  game.train(0, bpr_epochs);
  if (adversary) {
    game.users.reset_state(settings.optimizer);
    game.items.reset_state(settings.optimizer);
    game.engine->use_optimizer(settings.optimizer, 0);
    game.engine->set_adversary(&*adversary);
    game.train(bpr_epochs, epochs);
  }
  return game.tables();
}

ToyPlan two_stages(const game::Adversary& adversary) {
  ToyPlan plan;
  plan.stages = {{"bpr", 1, std::nullopt}, {"apr", 3, adversary}};
  return plan;
}

ToySettings settings_of(bool pipeline, optim::Rule rule = optim::Rule::adagrad) {
  ToySettings settings;
  settings.data = {97, 53, false};
  settings.batch_size = 110;
  settings.has_bias = true;
  settings.pipeline = pipeline;
  settings.optimizer.rule = rule;
  if (rule == optim::Rule::adam || rule == optim::Rule::lazy_adam) {
    settings.optimizer.learning_rate = 0.01F;
    settings.optimizer.epsilon = 1e-8F;
  }
  return settings;
}

}  // namespace

BOOST_TEST_GLOBAL_CONFIGURATION(ScratchInMemory);

BOOST_AUTO_TEST_SUITE(trainer_bits)

BOOST_AUTO_TEST_CASE(validations_and_checkpoints_at_every_step_change_no_bit) {
  const auto world = comm::Communicator::world();
  for (const bool pipeline : {false, true}) {
    const ToySettings settings = settings_of(pipeline);
    const auto adversary = adversary_of(Scope::batch);
    const auto expected = uninterrupted(settings, 1, 3, adversary);
    const test::SharedFolder folder(world);
    ToyPlan plan = two_stages(adversary);
    BOOST_TEST((test::train(world, settings, plan, folder.file("plain")).tables == expected));
    plan.checkpoint_every_step = true;
    plan.checkpoint_every = 1;
    plan.validate_every = 1;
    plan.score = [](std::int64_t epoch) { return static_cast<double>(epoch); };
    const Told told = test::train(world, settings, plan, folder.file("busy"));
    BOOST_TEST((told.tables == expected));
    BOOST_TEST(told.error == "");
    BOOST_TEST(static_cast<int>(told.outcome) == static_cast<int>(game::Outcome::done));
  }
}

// Stopped inside an epoch, resumed by another number of ranks: on N ranks and then one, on one and then N.
BOOST_AUTO_TEST_CASE(a_training_that_stops_inside_an_epoch_goes_on_elsewhere_to_the_same_bits) {
  const auto world = comm::Communicator::world();
  for (const bool pipeline : {false, true}) {
    for (const auto rule : {optim::Rule::adagrad, optim::Rule::adam, optim::Rule::lazy_adam}) {
      const ToySettings settings = settings_of(pipeline, rule);
      const auto adversary = adversary_of(Scope::batch);
      const auto expected = uninterrupted(settings, 1, 3, adversary);
      // In the pre-training, right after the switch, in the last epoch.
      for (const int stop : {2, 7, 13}) {
        if (rule != optim::Rule::adagrad && stop != 7) continue;
        BOOST_TEST_CONTEXT("pipeline " << pipeline << ", rule " << static_cast<int>(rule) << ", stop " << stop) {
          const test::SharedFolder folder(world);
          ToyPlan first = two_stages(adversary);
          first.checkpoint_every_step = true;
          first.stop_after_saves = stop;
          const ToyPlan rest = two_stages(adversary);

          const Told stopped = test::train(world, settings, first, folder.file("down"));
          BOOST_TEST(static_cast<int>(stopped.outcome) == static_cast<int>(game::Outcome::stopped));
          at_root(world, [&](const comm::Communicator& alone) {
            const Told told = test::train(alone, settings, rest, folder.file("down"));
            BOOST_TEST((told.tables == expected));
            BOOST_TEST(told.progress.starts == 2);
          });

          at_root(world,
                  [&](const comm::Communicator& alone) { test::train(alone, settings, first, folder.file("up")); });
          const Told told = test::train(world, settings, rest, folder.file("up"));
          BOOST_TEST((told.tables == expected));
          BOOST_TEST(told.error == "");
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_training_may_stop_again_and_again) {
  const auto world = comm::Communicator::world();
  for (const bool pipeline : {false, true}) {
    const ToySettings settings = settings_of(pipeline);
    const auto adversary = adversary_of(Scope::shard);
    const auto expected = uninterrupted(settings, 1, 3, adversary);
    const test::SharedFolder folder(world);
    ToyPlan plan = two_stages(adversary);
    plan.checkpoint_every_step = true;
    plan.stop_after_saves = 2;
    Told told;
    int starts = 0;
    do {
      told = test::train(world, settings, plan, folder.file("run"));
      ++starts;
    } while (told.outcome == game::Outcome::stopped && starts < 40);
    BOOST_TEST(starts > 4);
    BOOST_TEST(starts < 40);
    BOOST_TEST((told.tables == expected));
    BOOST_TEST(told.progress.starts == starts);
  }
}

// A table so small that a rank owns no row that the waiting gradients touch: its other rows move all the same.
BOOST_AUTO_TEST_CASE(dense_adam_goes_on_where_a_rank_has_no_pending_row) {
  const auto world = comm::Communicator::world();
  ToySettings settings = settings_of(true, optim::Rule::adam);
  settings.data = {61, 41, false};
  settings.shards = 64;
  settings.batch_size = 2;
  const auto expected = uninterrupted(settings, 1, 1, std::nullopt);
  ToyPlan plan;
  plan.stages = {{"bpr", 1, std::nullopt}};
  // Late enough for moments that move rows without a gradient.
  for (const int stop : {30, 31, 32, 33}) {
    const test::SharedFolder folder(world);
    ToyPlan first = plan;
    first.checkpoint_every_step = true;
    first.stop_after_saves = stop;
    at_root(world, [&](const comm::Communicator& alone) { test::train(alone, settings, first, folder.file("run")); });
    BOOST_TEST((test::train(world, settings, plan, folder.file("run")).tables == expected));
  }
}

BOOST_AUTO_TEST_CASE(a_finished_training_goes_on_as_if_more_epochs_had_been_planned) {
  const auto world = comm::Communicator::world();
  for (const bool pipeline : {false, true}) {
    const ToySettings settings = settings_of(pipeline);
    const test::SharedFolder folder(world);
    ToyPlan plan;
    plan.stages = {{"bpr", 2, std::nullopt}};
    BOOST_TEST(test::train(world, settings, plan, folder.file("run")).progress.finished);
    plan.stages = {{"bpr", 4, std::nullopt}};
    const Told told = test::train(world, settings, plan, folder.file("run"));
    BOOST_TEST(told.progress.epoch == 4);
    BOOST_TEST((told.tables == uninterrupted(settings, 4, 4, std::nullopt)));
  }
}

BOOST_AUTO_TEST_CASE(a_finished_training_that_is_started_again_trains_nothing) {
  const auto world = comm::Communicator::world();
  const ToySettings settings = settings_of(false);
  const test::SharedFolder folder(world);
  const Told once = test::train(world, settings, {}, folder.file("run"));
  const Told again = test::train(world, settings, {}, folder.file("run"));
  BOOST_TEST(again.epochs.empty());
  BOOST_TEST((again.tables == once.tables));
}

BOOST_AUTO_TEST_CASE(reports_of_an_interrupted_epoch_are_those_of_a_whole_one) {
  const auto world = comm::Communicator::world();
  const ToySettings settings = settings_of(false);
  const test::SharedFolder folder(world);
  ToyPlan plan = two_stages(adversary_of(Scope::batch));
  const Told whole = test::train(world, settings, plan, folder.file("whole"));
  ToyPlan first = plan;
  first.checkpoint_every_step = true;
  first.stop_after_saves = 9;
  test::train(world, settings, first, folder.file("run"));
  const Told rest = test::train(world, settings, plan, folder.file("run"));
  BOOST_TEST(whole.epochs.size() == 3U);
  BOOST_TEST(!rest.epochs.empty());
  for (const auto& report : rest.epochs) {
    const auto& expected = whole.epochs[static_cast<std::size_t>(report.epoch - 1)];
    BOOST_TEST(report.stage == expected.stage);
    BOOST_TEST((report.losses == expected.losses));
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(trainer_schedule)

BOOST_AUTO_TEST_CASE(losses_are_means_and_the_adversary_has_its_own) {
  const auto world = comm::Communicator::world();
  const ToySettings settings = settings_of(false);
  const test::SharedFolder folder(world);
  const Told told = test::train(world, settings, two_stages(adversary_of(Scope::batch)), folder.file("run"));
  BOOST_TEST(told.epochs.size() == 3U);
  BOOST_TEST(told.epochs[0].losses.size() == 1U);
  BOOST_TEST(told.epochs[0].losses[0].first == "ranking");
  BOOST_TEST(told.epochs[0].losses[0].second < std::log(2.0) + 0.05);
  BOOST_TEST(told.epochs[0].losses[0].second > 0.3);
  BOOST_TEST(told.epochs[1].losses.size() == 2U);
  BOOST_TEST(told.epochs[1].losses[1].first == "adversarial");
  BOOST_TEST(told.epochs[1].losses[1].second > told.epochs[1].losses[0].second);
  std::int64_t hopeless = settings.data.items;  // user 49 has every item
  for (const auto& report : told.epochs) {
    BOOST_TEST(report.examples == settings.data.positives() - hopeless);
    BOOST_TEST(report.skipped == hopeless);
    BOOST_TEST((report.bytes_sent > 0) == (world.size() > 1));
  }
}

BOOST_AUTO_TEST_CASE(a_stage_ends_when_its_validations_stop_gaining_and_the_next_starts_from_the_best) {
  const auto world = comm::Communicator::world();
  const ToySettings settings = settings_of(false);
  const test::SharedFolder folder(world);
  ToyPlan plan;
  plan.stages = {{"bpr", 6, std::nullopt}, {"apr", 9, adversary_of(Scope::batch)}};
  plan.validate_every = 1;
  plan.patience = 2;
  // Best at epoch 2 of the first stage; equal values are no gain. In the second stage 6 is the best.
  const std::map<std::int64_t, double> scores{{1, 0.1}, {2, 0.3},  {3, 0.3}, {4, 0.2}, {5, 0.1},
                                              {6, 0.4}, {7, 0.35}, {8, 0.4}, {9, 0.9}};
  plan.score = [&](std::int64_t epoch) { return scores.at(epoch); };
  const Told told = test::train(world, settings, plan, folder.file("run"), true);
  const std::vector<std::string> expected{"begin bpr",     "bpr 1 best",       "bpr 2 best",    "bpr 3 no gain",
                                          "bpr 4 no gain", "stop bpr, best 2", "begin apr",     "apr 5 best",
                                          "apr 6 best",    "apr 7 no gain",    "apr 8 no gain", "stop apr, best 6"};
  BOOST_TEST(told.events == expected, boost::test_tools::per_element());
  BOOST_TEST((told.at_stage.at("apr") == told.at_validation.at(2)));
  BOOST_TEST((told.at_stage.at("apr") != told.at_validation.at(4)));
  BOOST_TEST(told.progress.epoch == 8);
  BOOST_TEST(told.progress.best[0].epoch == 2);
  BOOST_TEST(told.progress.best[1].epoch == 6);
  BOOST_TEST(told.progress.finished);
  // The best of each stage stays beside the newest.
  at_root(world, [&](const comm::Communicator&) {
    const auto names = test::checkpoints_in(folder.file("run"));
    for (const char* name : {"epoch-000002-step-000000", "epoch-000006-step-000000", "epoch-000008-step-000000"})
      BOOST_TEST(std::count(names.begin(), names.end(), name) == 1);
    BOOST_TEST(names.size() <= 4U);
  });

  plan.start_from_best = false;
  const Told last = test::train(world, settings, plan, folder.file("last"), true);
  BOOST_TEST((last.at_stage.at("apr") == last.at_validation.at(4)));
}

// APR's second stage dips before it gains: it may be given more time than the first.
BOOST_AUTO_TEST_CASE(each_stage_waits_for_a_gain_as_long_as_its_own_patience_says) {
  const auto world = comm::Communicator::world();
  const test::SharedFolder folder(world);
  ToyPlan plan;
  plan.stages = {{"bpr", 6, std::nullopt, 1}, {"apr", 9, adversary_of(Scope::batch), 3}};
  plan.validate_every = 1;
  const std::map<std::int64_t, double> scores{{1, 0.5}, {2, 0.4}, {3, 0.3}, {4, 0.2}, {5, 0.2}, {6, 0.6}, {7, 0.5}};
  plan.score = [&](std::int64_t epoch) { return epoch > 7 ? 0.1 : scores.at(epoch); };
  const Told told = test::train(world, settings_of(false), plan, folder.file("run"));
  const std::vector<std::string> expected{"begin bpr",       "bpr 1 best",    "bpr 2 no gain", "stop bpr, best 1",
                                          "begin apr",       "apr 3 best",    "apr 4 no gain", "apr 5 no gain",
                                          "apr 6 best",      "apr 7 no gain", "apr 8 no gain", "apr 9 no gain",
                                          "stop apr, best 6"};
  BOOST_TEST(told.events == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_stop_between_best_and_early_stop_changes_neither_schedule_nor_bits) {
  const auto world = comm::Communicator::world();
  const ToySettings settings = settings_of(false);
  const test::SharedFolder folder(world);
  ToyPlan plan;
  plan.stages = {{"bpr", 5, std::nullopt}, {"apr", 7, adversary_of(Scope::batch)}};
  plan.validate_every = 1;
  plan.patience = 2;
  plan.score = [](std::int64_t epoch) { return epoch == 1 ? 1.0 : epoch < 4 ? 0.5 : static_cast<double>(epoch); };
  const Told whole = test::train(world, settings, plan, folder.file("whole"));
  plan.checkpoint_every_step = true;
  for (const int every : {3, 8}) {
    plan.stop_after_saves = every;
    const std::string run = folder.file("run" + std::to_string(every));
    Told told;
    std::vector<std::string> events;
    int starts = 0;
    do {
      told = test::train(world, settings, plan, run);
      events.insert(events.end(), told.events.begin(), told.events.end());
    } while (told.outcome == game::Outcome::stopped && ++starts < 60);
    BOOST_TEST((told.tables == whole.tables));
    BOOST_TEST(told.progress.epoch == whole.progress.epoch);
    BOOST_TEST(events == whole.events, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(the_newest_checkpoints_are_kept_and_no_more) {
  const auto world = comm::Communicator::world();
  const ToySettings settings = settings_of(false);
  const test::SharedFolder folder(world);
  ToyPlan plan;
  plan.stages = {{"bpr", 5, std::nullopt}};
  plan.checkpoint_every = 1;
  plan.kept = 2;
  test::train(world, settings, plan, folder.file("run"));
  at_root(world, [&](const comm::Communicator&) {
    const std::vector<std::string> expected{"epoch-000004-step-000000", "epoch-000005-step-000000"};
    BOOST_TEST(test::checkpoints_in(folder.file("run")) == expected, boost::test_tools::per_element());
  });
}

BOOST_AUTO_TEST_CASE(progress_comes_back_from_its_json) {
  game::TrainingProgress p;
  p.epoch = 3;
  p.step = 7;
  p.stage = 1;
  p.stage_over = true;
  p.optimizer_steps = 123;
  p.without_gain = 2;
  p.best = {{2, 0.1 + 0.2, "epoch-000002-step-000000"}, {-1, 0, ""}};
  p.losses = {1.0 / 3.0, 1e300, 5e-324};
  p.perturbed_losses = {0.0, 2.5, 3.0};
  p.examples = std::int64_t{1} << 40;
  p.log_length = 17;
  p.starts = 4;
  p.finished = true;
  const auto q = game::TrainingProgress::parse(p.json());
  BOOST_TEST(q.json() == p.json());
  BOOST_TEST((q.losses == p.losses));
  BOOST_TEST(q.best[0].value == 0.1 + 0.2);
  for (const char* text : {"", "{}", "[1]", "{\"epoch\": \"three\"}"}) {
    const std::string sentence = test::sentence_of(ExitCode::usage, [&] { game::TrainingProgress::parse(text); });
    BOOST_TEST(sentence ==
               "the progress that this checkpoint records cannot be read: it was written by another program, or its "
               "manifest was edited");
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(divergence)

namespace {

// Every number of every checkpoint in the folder is finite.
void check_checkpoints_are_finite(const comm::Communicator& alone, const ToySettings& settings,
                                  const std::string& folder) {
  for (const auto& manifest : store::list_checkpoints(folder)) {
    test::ToyGame game(alone, settings);
    std::vector<store::TableRows> tables{game.users.stored(true), game.items.stored(true)};
    store::load_checkpoint(alone, manifest, tables, nullptr);
    const auto loaded = game.tables();
    const auto finite = [](float x) { return std::isfinite(x); };
    BOOST_TEST_CONTEXT(manifest.info.name) {
      BOOST_TEST(std::all_of(loaded.users.begin(), loaded.users.end(), finite));
      BOOST_TEST(std::all_of(loaded.items.begin(), loaded.items.end(), finite));
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(all_ranks_end_with_one_sentence_that_names_table_and_step) {
  const auto world = comm::Communicator::world();
  for (const bool pipeline : {false, true}) {
    for (const bool adversarial : {false, true}) {
      // Many steps an epoch, and one.
      for (const std::int64_t batch : {std::int64_t{110}, std::int64_t{100'000}}) {
        BOOST_TEST_CONTEXT("pipeline " << pipeline << ", apr " << adversarial << ", batch " << batch) {
          ToySettings settings = settings_of(pipeline, optim::Rule::sgd);
          settings.optimizer.learning_rate = 1e30F;
          settings.batch_size = batch;
          const test::SharedFolder folder(world);
          ToyPlan plan;
          plan.stages = {{"bpr", 6, std::nullopt}};
          if (adversarial) plan.stages.front().adversary = adversary_of(Scope::batch);
          plan.checkpoint_every = 1;
          plan.checkpoint_every_step = true;
          const Told told = test::train(world, settings, plan, folder.file("run"));
          BOOST_TEST(told.error_code == 4);
          BOOST_TEST(told.error.find("training diverged: ") == 0U);
          BOOST_TEST(told.error.find(" step ") != std::string::npos);
          BOOST_TEST((told.error.find("table user") != std::string::npos ||
                      told.error.find("table item") != std::string::npos));
          BOOST_TEST(told.error.find("a lower optimizer.learning_rate may help") != std::string::npos);
          for (const std::string& other : world.allgather(told.error)) BOOST_TEST(other == told.error);
          at_root(world, [&](const comm::Communicator& alone) {
            check_checkpoints_are_finite(alone, settings, folder.file("run"));
          });
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_sentence_names_the_last_good_checkpoint) {
  const auto world = comm::Communicator::world();
  ToySettings settings = settings_of(false, optim::Rule::sgd);
  settings.optimizer.learning_rate = 1e30F;
  const test::SharedFolder folder(world);
  ToyPlan plan;
  plan.stages = {{"bpr", 6, std::nullopt}};
  const Told fresh = test::train(world, settings, plan, folder.file("fresh"));
  BOOST_TEST(fresh.error.find("there is no checkpoint yet") != std::string::npos);

  ToySettings calm = settings;
  calm.optimizer.learning_rate = 0.01F;
  ToyPlan first = plan;
  first.stages = {{"bpr", 2, std::nullopt}};
  test::train(world, calm, first, folder.file("run"));
  const Told told = test::train(world, settings, plan, folder.file("run"));
  BOOST_TEST(told.error_code == 4);
  BOOST_TEST(told.error.find("the last good checkpoint is of epoch 2, step 0") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
