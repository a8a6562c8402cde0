#include <limits>

#include "support/shared_folder.hpp"
#include "toy_autoencoder.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/signals.hpp"
#include "spar/game/trainer.hpp"

namespace {

using namespace spar;
using test::AutoencoderGame;
using test::AutoencoderSettings;

struct Told {
  game::Outcome outcome = game::Outcome::done;
  std::string error;
  int error_code = 0;
  std::vector<game::EpochReport> epochs;
  test::Numbers numbers;
};

// A stage without the adversary and one with it; stops after `saves` checkpoints, one a step (0: never).
Told train(const comm::Communicator& world, AutoencoderSettings settings, const std::string& folder, int saves) {
  forget_stop_request();
  game::TrainingPlan plan;
  plan.stages = {{"base", 1, std::nullopt}, {"second", 3, settings.adversary}};
  settings.adversary.reset();
  AutoencoderGame game(world, settings);
  plan.optimizer = settings.optimizer;
  plan.checkpoint_every_minutes = saves > 0 ? 1e-12 : 0;
  game::RunPlace place{folder, "0123456789abcdef", [] { return true; }, "system = \"toy\"\n", "toy\n"};
  Told told;
  game::TrainingHooks hooks;
  int done = 0;
  hooks.saved = [&](std::int64_t, const store::SaveReport&) {
    if (++done == saves) request_stop();
  };
  hooks.epoch_done = [&](const game::EpochReport& report) { told.epochs.push_back(report); };
  game::Trainer trainer(world, *game.engine, game.sharded(), &game.dense, game.layout, plan, place, hooks);
  try {
    const auto point = game::find_resume_point(world, folder, nullptr);
    if (point) trainer.resume(*point);
    told.outcome = trainer.run();
  } catch (const comm::AgreedError& error) {
    told.error = error.what();
    told.error_code = static_cast<int>(error.code());
  }
  told.numbers = game.numbers();
  forget_stop_request();
  return told;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(catalogue_trainer)

BOOST_AUTO_TEST_CASE(autoencoders_that_stop_inside_an_epoch_go_on_elsewhere_to_the_same_bits) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  for (const auto& settings :
       {test::mult_vae(), test::acae(adversary::Ball::row_l2), test::drawn_outputs(test::mult_vae(), 19, 0.75)}) {
    const test::SharedFolder folder(world);
    const Told whole = train(world, settings, folder.file("whole"), 0);
    BOOST_TEST(whole.error == "");
    BOOST_TEST(whole.epochs.size() == 3U);
    for (const int stop : {2, 7, 12}) {
      const std::string down = folder.file("down" + std::to_string(stop));
      const std::string up = folder.file("up" + std::to_string(stop));
      const Told stopped = train(world, settings, down, stop);
      BOOST_TEST(static_cast<int>(stopped.outcome) == static_cast<int>(game::Outcome::stopped));
      if (world.is_root()) {
        BOOST_TEST((train(alone, settings, down, 0).numbers == whole.numbers));
        train(alone, settings, up, stop);
      }
      world.barrier();
      const Told rest = train(world, settings, up, 0);
      BOOST_TEST((rest.numbers == whole.numbers));
      for (const auto& report : rest.epochs)
        BOOST_TEST((report.losses == whole.epochs[static_cast<std::size_t>(report.epoch - 1)].losses));
    }
  }
}

BOOST_AUTO_TEST_CASE(reports_count_users_and_name_both_losses) {
  const auto world = comm::Communicator::world();
  const test::SharedFolder folder(world);
  const AutoencoderSettings settings = test::mult_vae();
  const Told told = train(world, settings, folder.file("run"), 0);
  std::int64_t with = 0;
  const auto lists = settings.data.lists(0, settings.data.users);
  for (Index u = 0; u < settings.data.users; ++u) with += lists.of(u).empty() ? 0 : 1;
  for (const auto& report : told.epochs) {
    BOOST_TEST(report.examples == with);
    BOOST_TEST(report.skipped == settings.data.users - with);
    BOOST_TEST((report.bytes_sent > 0) == (world.size() > 1));
    BOOST_TEST(report.losses.size() == 2U);
    BOOST_TEST(report.losses[0].first == "reconstruction");
    BOOST_TEST(report.losses[1].first == "divergence");
  }
}

BOOST_AUTO_TEST_CASE(an_autoencoder_that_diverges_ends_on_all_ranks_together) {
  const auto world = comm::Communicator::world();
  const test::SharedFolder folder(world);
  AutoencoderSettings settings = test::mult_dae();
  settings.optimizer = {.rule = optim::Rule::sgd, .learning_rate = std::numeric_limits<float>::max()};
  const Told told = train(world, settings, folder.file("run"), 0);
  BOOST_TEST(told.error_code == static_cast<int>(ExitCode::diverged));
  BOOST_TEST(told.error.find("training diverged: the loss of player model is not finite at epoch") == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
