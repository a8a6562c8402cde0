#include "slow_game.hpp"
#include "toy_autoencoder.hpp"
#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

/// Rates and weights that change from step to step: as if someone had set them by hand before each epoch.
namespace {

using namespace spar;
using adversary::Ball;
using adversary::Scope;
using test::AutoencoderGame;
using test::AutoencoderSettings;
using test::ToyGame;
using test::ToySettings;

optim::OptimizerSettings rule_with(optim::Rule rule, float rate) {
  return {.rule = rule, .learning_rate = rate, .initial_accumulator = 0.1F, .epsilon = 1e-8F};
}

// 0 in the first epoch of `steps` steps, `value` from the second on.
Schedule from_second_epoch(double value, std::int64_t steps) {
  return Schedule::parse(fmt::format("ramp 0 {} over 1 steps after {} steps", value, steps - 1));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(schedules)

BOOST_AUTO_TEST_CASE(a_rate_that_falls_with_the_epochs_is_that_of_an_optimiser_given_anew) {
  const auto world = comm::Communicator::world();
  for (const optim::Rule rule : {optim::Rule::sgd, optim::Rule::adagrad, optim::Rule::adam}) {
    for (const bool pipeline : {false, true}) {
      ToySettings settings;
      settings.pipeline = pipeline;
      settings.rate = Schedule::parse("step 0.25 times 0.5 every 1 epochs");
      settings.optimizer = rule_with(rule, 0.25F);
      ToyGame scheduled(world, settings);
      scheduled.train(0, 2);
      settings.rate = Schedule();
      ToyGame by_hand(world, settings);
      by_hand.train(0, 1);
      const auto after_one = by_hand.tables();
      by_hand.engine->use_optimizer(rule_with(rule, 0.125F), by_hand.engine->step_count());
      by_hand.train(1, 2);
      BOOST_TEST((scheduled.tables() == by_hand.tables()));
      BOOST_TEST((scheduled.tables().users != after_one.users));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_rate_that_changes_in_every_step_gives_the_bits_of_one_process) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  for (const bool pipeline : {false, true}) {
    ToySettings settings;
    settings.pipeline = pipeline;
    settings.rate = Schedule::parse("cosine 0.2 0.01 over 1.5 epochs");
    const auto expected = test::play(alone, settings, 2);
    BOOST_TEST((test::play(world, settings, 2) == expected));
    settings.rate = Schedule();
    BOOST_TEST((test::play(alone, settings, 2).tables.users != expected.tables.users));
  }
}

BOOST_AUTO_TEST_CASE(an_adversary_whose_weight_wakes_in_the_second_epoch_is_absent_before) {
  const auto world = comm::Communicator::world();
  for (const Scope scope : {Scope::sample, Scope::shard, Scope::batch}) {
    for (const bool pipeline : {false, true}) {
      ToySettings settings;
      settings.pipeline = pipeline;
      ToyGame by_hand(world, settings);
      by_hand.train(0, 1);
      const game::Adversary awake = test::adversary_of(scope, adversary::Method::fgm, Ball::row_l2, 0.5, 0.75);
      by_hand.engine->set_adversary(&awake);
      const auto losses = by_hand.train(1, 2);
      settings.adversary = awake;
      settings.adversary->weight_schedule = from_second_epoch(0.75, by_hand.engine->steps());
      ToyGame scheduled(world, settings);
      scheduled.train(0, 1);
      BOOST_TEST(scheduled.engine->second_loss_name() == "adversarial");
      BOOST_TEST((scheduled.train(1, 2) == losses));
      BOOST_TEST((scheduled.tables() == by_hand.tables()));
    }
  }
}

BOOST_AUTO_TEST_CASE(epsilon_follows_its_schedule) {
  const auto world = comm::Communicator::world();
  ToySettings settings;
  settings.adversary = test::adversary_of(Scope::batch, adversary::Method::fgm, Ball::row_l2, 0.5, 0.75);
  ToyGame by_hand(world, settings);
  game::Adversary still = *settings.adversary;
  still.perturbation.epsilon = 0.0;
  by_hand.engine->set_adversary(&still);
  by_hand.train(0, 1);
  by_hand.engine->set_adversary(&*settings.adversary);
  by_hand.train(1, 2);
  settings.adversary->epsilon_schedule = from_second_epoch(0.5, by_hand.engine->steps());
  ToyGame scheduled(world, settings);
  scheduled.train(0, 2);
  BOOST_TEST((scheduled.tables() == by_hand.tables()));
}

BOOST_AUTO_TEST_CASE(auto_encoders_follow_the_schedules_of_rate_and_adversary) {
  const auto world = comm::Communicator::world();
  AutoencoderSettings settings = test::acae(Ball::row_l2);
  const auto adversary = settings.adversary;
  settings.adversary.reset();
  AutoencoderGame by_hand(world, settings);
  by_hand.train(0, 1);
  by_hand.engine->begin_stage({"toy", 2, adversary});
  auto half = settings.optimizer;
  half.learning_rate *= 0.5F;
  by_hand.engine->use_optimizer(half, by_hand.engine->step_count());
  const auto losses = by_hand.train(1, 2);
  settings.rate = Schedule::parse(fmt::format("step {} times 0.5 every 1 epochs", settings.optimizer.learning_rate));
  settings.adversary = adversary;
  settings.adversary->weight_schedule = from_second_epoch(adversary->weight, by_hand.engine->steps());
  AutoencoderGame scheduled(world, settings);
  scheduled.train(0, 1);
  BOOST_TEST((scheduled.train(1, 2) == losses));
  BOOST_TEST((scheduled.numbers() == by_hand.numbers()));
}

BOOST_AUTO_TEST_SUITE_END()
