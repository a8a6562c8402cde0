#include <cmath>

#include "slow_game.hpp"
#include <boost/test/unit_test.hpp>

namespace {

using namespace spar;
using adversary::Ball;
using adversary::Method;
using adversary::Scope;
using test::adversary_of;
using test::play;
using test::SlowGame;
using test::ToyGame;
using test::ToySettings;

constexpr std::int64_t epochs = 2;

struct Named {
  std::string name;
  std::optional<game::Adversary> adversary;
};

// Every adversary that a recipe can name.
std::vector<Named> adversaries() {
  std::vector<Named> all{{"none", std::nullopt}, {"sample", adversary_of(Scope::sample)}};
  for (const Scope scope : {Scope::shard, Scope::batch}) {
    for (const Method method : {Method::fgm, Method::fgsm}) {
      for (const Ball ball : {Ball::row_l2, Ball::global_l2, Ball::linf}) {
        all.push_back({(scope == Scope::shard ? "shard " : "batch ") +
                           std::string(method == Method::fgm ? "fgm" : "fgsm") + " ball " +
                           std::to_string(static_cast<int>(ball)),
                       adversary_of(scope, method, ball, ball == Ball::linf ? 0.05 : 0.5, 0.7)});
      }
    }
  }
  all.push_back({"random", adversary_of(Scope::batch, Method::random)});
  return all;
}

optim::OptimizerSettings optimizer(optim::Rule rule) {
  optim::OptimizerSettings s{.rule = rule, .learning_rate = 0.05F};
  if (rule == optim::Rule::adam || rule == optim::Rule::lazy_adam) {
    s.learning_rate = 0.01F;
    s.epsilon = 1e-8F;
  }
  return s;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(engine_bits)

// The promise: whatever the launch, the bits of one process with one thread.
BOOST_AUTO_TEST_CASE(every_adversary_gives_the_bits_of_one_process_with_and_without_pipeline) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  for (const Named& named : adversaries()) {
    for (const bool pipeline : {false, true}) {
      BOOST_TEST_CONTEXT(named.name << (pipeline ? ", pipeline" : "")) {
        ToySettings settings;
        settings.adversary = named.adversary;
        settings.pipeline = pipeline;
        settings.has_bias = true;
        settings.l2 = 0.01;
        const auto expected = play(alone, settings, epochs);
        BOOST_TEST((play(world, settings, epochs, 1) == expected));
        BOOST_TEST((play(world, settings, epochs, 2) == expected));
        BOOST_TEST(std::isfinite(expected.losses.back()));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(every_optimizer_gives_the_bits_of_one_process_with_and_without_pipeline) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  for (const auto rule : {optim::Rule::sgd, optim::Rule::adagrad, optim::Rule::adam, optim::Rule::lazy_adam}) {
    for (const bool pipeline : {false, true}) {
      for (const bool adversarial : {false, true}) {
        BOOST_TEST_CONTEXT("rule " << static_cast<int>(rule) << " pipeline " << pipeline << " apr " << adversarial) {
          ToySettings settings;
          settings.optimizer = optimizer(rule);
          settings.pipeline = pipeline;
          if (adversarial) settings.adversary = adversary_of(Scope::batch);
          const auto expected = play(alone, settings, epochs);
          BOOST_TEST((play(world, settings, epochs, 1) == expected));
          BOOST_TEST((play(world, settings, epochs, 2) == expected));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(every_number_of_shards_gives_the_bits_of_one_process) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  for (const int shards : {4, 16, 64, 256}) {
    for (const int dim : {5, 64}) {
      ToySettings settings;
      settings.shards = shards;
      settings.dim = dim;
      settings.batch_size = 16 * shards;
      settings.adversary = adversary_of(Scope::batch);
      BOOST_TEST((play(world, settings, epochs, 2) == play(alone, settings, epochs)));
    }
  }
}

// Tables smaller than the number of shards: some ranks own no item at all.
BOOST_AUTO_TEST_CASE(tables_smaller_than_the_number_of_shards_give_the_bits_of_one_process) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  for (const auto& [users, items] : {std::pair<Index, Index>{5, 23}, {211, 3}, {7, 5}, {1, 29}}) {
    for (const bool pipeline : {false, true}) {
      for (const auto rule : {optim::Rule::adagrad, optim::Rule::adam}) {
        BOOST_TEST_CONTEXT(users << " users, " << items << " items, pipeline " << pipeline) {
          ToySettings settings;
          settings.data = {users, items, false};
          settings.shards = 16;
          settings.batch_size = 8;
          settings.pipeline = pipeline;
          settings.optimizer = optimizer(rule);
          settings.adversary = adversary_of(Scope::batch, Method::fgm, Ball::global_l2);
          BOOST_TEST((play(world, settings, epochs, 2) == play(alone, settings, epochs)));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(engine_mathematics)

BOOST_AUTO_TEST_CASE(steps_of_bpr_and_apr_are_those_of_a_slow_process_in_float64) {
  const auto world = comm::Communicator::world();
  std::vector<Named> all = adversaries();
  all.pop_back();  // noise is tested where it is made
  for (const Named& named : all) {
    for (const auto& [bias, l2, mean] : {std::tuple{false, 0.0, false}, {true, 0.02, false}, {true, 0.5, true}}) {
      BOOST_TEST_CONTEXT(named.name << " bias " << bias << " l2 " << l2) {
        ToySettings settings;
        settings.adversary = named.adversary;
        settings.has_bias = bias;
        settings.l2 = l2;
        settings.l2_batch_mean = mean;
        SlowGame slow(settings);
        ToyGame fast(world, settings);
        BOOST_TEST(slow.steps() == fast.engine->steps());
        slow.epoch(0);
        const auto losses = fast.train(0, 1);
        // Signs flip where a sum of gradients is nearly zero: fgsm in float is not fgsm in double there.
        const bool sign = named.adversary && named.adversary->perturbation.method == Method::fgsm;
        const double near = sign ? 2e-2 : 2e-5;
        BOOST_TEST(slow.distance(fast.tables(), fast) < near);
        if (l2 == 0.0) BOOST_TEST(losses[0] == slow.loss(), boost::test_tools::tolerance(1e-5));
        if (named.adversary)
          BOOST_TEST(losses[1] == slow.perturbed_loss(), boost::test_tools::tolerance(sign ? 1e-3 : 1e-5));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(sgd_steps_are_those_of_a_slow_process_in_float64) {
  const auto world = comm::Communicator::world();
  ToySettings settings;
  settings.optimizer = optimizer(optim::Rule::sgd);
  settings.adversary = adversary_of(Scope::batch);
  SlowGame slow(settings);
  ToyGame fast(world, settings);
  slow.epoch(0);
  slow.epoch(1);
  fast.train(0, 2);
  BOOST_TEST(slow.distance(fast.tables(), fast) < 1e-4);
}

// APR, sheet's check 1.
BOOST_AUTO_TEST_CASE(lambda_zero_is_bpr_bit_for_bit) {
  const auto world = comm::Communicator::world();
  for (const Scope scope : {Scope::sample, Scope::shard, Scope::batch}) {
    ToySettings base;
    base.has_bias = true;
    base.l2 = 0.01;
    ToySettings apr = base;
    apr.adversary = adversary_of(scope, Method::fgm, Ball::row_l2, 0.5, 0.0);
    BOOST_TEST((play(world, apr, epochs).tables == play(world, base, epochs).tables));
  }
}

// APR, sheet's check 1: with SGD, twice the gradient is one step at twice the rate.
BOOST_AUTO_TEST_CASE(epsilon_zero_gives_one_plus_lambda_times_the_clean_gradient) {
  const auto world = comm::Communicator::world();
  for (const Scope scope : {Scope::sample, Scope::shard, Scope::batch}) {
    for (const bool pipeline : {false, true}) {
      ToySettings twice;
      twice.pipeline = pipeline;
      twice.has_bias = true;
      twice.optimizer = optimizer(optim::Rule::sgd);
      twice.optimizer.learning_rate = 0.1F;
      ToySettings apr = twice;
      apr.optimizer.learning_rate = 0.05F;
      apr.adversary = adversary_of(scope, Method::fgm, Ball::row_l2, 0.0, 1.0);
      const auto expected = play(world, twice, epochs).tables;
      const auto got = play(world, apr, epochs).tables;
      BOOST_TEST((got == expected));
      apr.adversary->weight = 0.5;
      twice.optimizer.learning_rate = 0.075F;
      const auto half = play(world, apr, epochs).tables;
      BOOST_TEST(test::largest_difference(half.items, play(world, twice, epochs).tables.items) < 1e-5);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_adversary_raises_the_loss_and_noise_less_so) {
  const auto world = comm::Communicator::world();
  ToySettings settings;
  settings.optimizer.learning_rate = 1e-9F;
  const auto at = [&](const game::Adversary& a) {
    settings.adversary = a;
    const auto losses = play(world, settings, 1).losses;
    return losses[1] / losses[0];
  };
  for (const double epsilon : {0.01, 0.5}) {
    const double batch = at(adversary_of(Scope::batch, Method::fgm, Ball::row_l2, epsilon));
    const double shard = at(adversary_of(Scope::shard, Method::fgm, Ball::row_l2, epsilon));
    const double sample = at(adversary_of(Scope::sample, Method::fgm, Ball::row_l2, epsilon));
    const double noise = at(adversary_of(Scope::batch, Method::random, Ball::row_l2, epsilon));
    BOOST_TEST(batch > 1.0);
    BOOST_TEST(shard > batch);
    BOOST_TEST(sample > shard);
    BOOST_TEST(noise < batch);
  }
}

// APR, sheet's check 7. With one item missing and one step an epoch, the triples are the same for any number of shards,
// and only the order of the sums differs. What that leaves grows from step to step as any rounding does.
BOOST_AUTO_TEST_CASE(scope_batch_does_not_depend_on_the_number_of_shards_beyond_rounding) {
  const auto world = comm::Communicator::world();
  ToySettings settings;
  settings.data = {31, 13, true};
  settings.batch_size = 100'000;
  const auto with_shards = [&](Scope scope, int shards, std::int64_t steps) {
    settings.adversary = adversary_of(scope);
    settings.shards = shards;
    return play(world, settings, steps).tables;
  };
  for (const std::int64_t steps : {1, 4, 10}) {
    const auto eight = with_shards(Scope::batch, 8, steps);
    const auto sixteen = with_shards(Scope::batch, 16, steps);
    BOOST_TEST_MESSAGE(steps << " steps: " << test::largest_difference(eight.users, sixteen.users) << ", "
                             << test::largest_difference(eight.items, sixteen.items));
    const double rounding = steps == 1 ? 3e-6 : 1e-4;
    BOOST_TEST(test::largest_difference(eight.users, sixteen.users) < rounding);
    BOOST_TEST(test::largest_difference(eight.items, sixteen.items) < rounding);
    // Scope shard is another algorithm with every number of shards.
    BOOST_TEST(test::largest_difference(with_shards(Scope::shard, 16, steps).items, sixteen.items) > 100.0 * rounding);
  }
}

// Attack checks, number 8.
BOOST_AUTO_TEST_CASE(scope_shard_with_one_shard_is_scope_batch) {
  const auto alone = comm::Communicator::alone();
  for (const Ball ball : {Ball::row_l2, Ball::global_l2, Ball::linf}) {
    for (const bool pipeline : {false, true}) {
      ToySettings settings;
      settings.shards = 1;
      settings.has_bias = true;
      settings.pipeline = pipeline;
      settings.adversary = adversary_of(Scope::shard, Method::fgm, ball);
      const auto shard = play(alone, settings, epochs);
      settings.adversary = adversary_of(Scope::batch, Method::fgm, ball);
      const auto batch = play(alone, settings, epochs);
      if (ball == Ball::global_l2) {
        // The global norm is summed in another order.
        BOOST_TEST(test::largest_difference(shard.tables.items, batch.tables.items) < 1e-5);
      } else {
        BOOST_TEST((shard == batch));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(pipeline_reads_rows_one_push_late) {
  const auto world = comm::Communicator::world();
  ToySettings settings;
  const auto direct = play(world, settings, epochs);
  settings.pipeline = true;
  const auto late = play(world, settings, epochs);
  BOOST_TEST((direct.tables != late.tables));
  BOOST_TEST(late.losses[2] == direct.losses[2], boost::test_tools::tolerance(0.05));
  // One step an epoch leaves nothing to be late with.
  settings.batch_size = 100'000;
  const auto one_late = play(world, settings, 3);
  settings.pipeline = false;
  BOOST_TEST((play(world, settings, 3) == one_late));
}

BOOST_AUTO_TEST_CASE(examples_and_users_who_have_every_item_are_counted) {
  const auto world = comm::Communicator::world();
  ToySettings settings;
  ToyGame game(world, settings);
  game.train(0, 1);
  std::int64_t hopeless = 0;
  for (Index u = 49; u < settings.data.users; u += 50) hopeless += settings.data.items;
  BOOST_TEST(world.sum(game.engine->skipped()) == hopeless);
  BOOST_TEST(world.sum(game.engine->examples()) == settings.data.positives() - hopeless);
}

BOOST_AUTO_TEST_CASE(all_ranks_learn_of_a_flag_in_the_same_step) {
  const auto world = comm::Communicator::world();
  for (const bool pipeline : {false, true}) {
    ToySettings settings;
    settings.pipeline = pipeline;
    ToyGame game(world, settings);
    game.engine->begin_epoch(0, 0);
    const std::int64_t steps = game.engine->steps();
    for (std::int64_t step = 0; step < steps; ++step) {
      const bool speaks = world.rank() == step % world.size();
      const auto flags = game.engine->step(speaks ? 1U << (step % 8) : 0U);
      BOOST_TEST(flags == (step + 1 < steps ? 1U << (step % 8) : 0U));
    }
    game.engine->end_epoch();
  }
}

BOOST_AUTO_TEST_SUITE_END()
