#include <cmath>

#include "game/toy_game.hpp"
#include "support/sentence.hpp"
#include "systems/toy_network.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/threads.hpp"
#include "spar/systems/attack.hpp"

namespace {

using namespace spar;
using adversary::Ball;
using adversary::Scope;
using systems::AttackMethod;
using systems::AttackPlan;
using test::ToyNetwork;

const std::vector<std::vector<std::string>> networks{
    {"amr", "model.dim=5", "model.init_std=0.4", "features.columns=21"},
    {"vbpr", "model.dim=5", "model.init_std=0.4", "features.columns=21", "network.form=full", "network.visual_dim=3"},
    {"gmf", "model.dim=6", "model.init_std=0.5"},
    {"neumf", "model.dim=4", "model.init_std=0.5", "network.layers=[8,6,4]"},
    {"gru4rec", "model.dim=6", "model.init_std=0.5", "sequence.length=7"},
    {"sasrec", "model.dim=6", "model.init_std=0.5", "sequence.length=7", "network.dropout=0.3"},
    {"mult-vae", "network.layers=[12,6]"},
    {"cdae", "model.dim=7", "autoencoder.keep=0.5"},
    {"acae", "model.dim=7", "autoencoder.cells=all"}};

AttackPlan plan_of(AttackMethod method, Ball ball, double epsilon = 0.5, Scope scope = Scope::data) {
  AttackPlan plan;
  plan.method = method;
  plan.ball = ball;
  plan.epsilon = epsilon;
  plan.steps = 3;
  plan.step_size = 2.5 * epsilon / 3;
  plan.scope = scope;
  plan.batch_size = 40;
  return plan;
}

std::vector<AttackPlan> some_plans(double epsilon) {
  return {plan_of(AttackMethod::random, Ball::row_l2, epsilon),
          plan_of(AttackMethod::fgm, Ball::row_l2, epsilon),
          plan_of(AttackMethod::fgm, Ball::global_l2, epsilon),
          plan_of(AttackMethod::fgsm, Ball::linf, epsilon, Scope::batch),
          plan_of(AttackMethod::bim, Ball::row_l2, epsilon, Scope::batch),
          plan_of(AttackMethod::pgd, Ball::global_l2, epsilon),
          plan_of(AttackMethod::pgd, Ball::linf, epsilon)};
}

// Those of an attack of the system's own taps, and of every tap that there is.
std::vector<std::vector<std::string>> taps_of(const ToyNetwork& toy) {
  return {systems::default_taps(toy.recipe, toy.model), systems::attack_taps(toy.model)};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(network_attack)

BOOST_AUTO_TEST_CASE(epsilon_zero_leaves_every_bit_of_every_system) {
  const auto world = comm::Communicator::world();
  for (const auto& system : networks) {
    const ToyNetwork toy(world, system);
    const auto clean = toy.numbers(toy.model);
    for (const auto& taps : taps_of(toy)) {
      for (AttackPlan plan : some_plans(0.0)) {
        plan.taps = taps;
        BOOST_TEST((toy.numbers(toy.attacked(plan)) == clean), system.front());
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(an_attack_on_every_tap_has_the_bits_of_one_process_and_leaves_the_model_alone) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  for (const auto& system : networks) {
    const ToyNetwork toy(world, system);
    const ToyNetwork reference(alone, system);
    const auto clean = toy.numbers(toy.model);
    BOOST_TEST((clean == reference.numbers(reference.model)), system.front());
    for (AttackPlan plan : some_plans(0.5)) {
      for (const auto& taps : taps_of(toy)) {
        plan.taps = taps;
        const auto expected = reference.numbers(reference.attacked(plan));
        BOOST_TEST((expected != clean), system.front());
        for (const int thread_count : {1, 2}) {
          set_threads(thread_count);
          BOOST_TEST((toy.numbers(toy.attacked(plan)) == expected), system.front());
        }
        set_threads(1);
      }
    }
    BOOST_TEST((toy.numbers(toy.model) == clean), system.front());
    BOOST_TEST(toy.loss(toy.model) == reference.loss(reference.model), system.front());
  }
}

// The global ball's one step is the gradient over its norm. So the loss must rise by that norm along it, and in any
// other direction by the norm times the product of both: for single numbers, and for rows of noise.
BOOST_AUTO_TEST_CASE(the_gradient_of_every_tap_is_that_of_central_differences) {
  const auto world = comm::Communicator::world();
  for (const auto& system : networks) {
    const ToyNetwork toy(world, system);
    for (const std::string& tap : systems::attack_taps(toy.model)) {
      BOOST_TEST_CONTEXT(system.front() << " " << tap) {
        AttackPlan plan = plan_of(AttackMethod::fgm, Ball::global_l2, 1.0);
        plan.taps = {tap};
        const auto gradient = toy.difference(toy.attacked(plan), tap);
        double length = 0.0;
        for (const double x : gradient) length += x * x;
        // A parameter that no score depends on, such as the bias of all keys of attention, has no gradient.
        if (length < 0.9) continue;
        const double slope = toy.slope(tap, gradient, 0.005);
        BOOST_TEST(slope > 0.0);
        for (const std::uint64_t seed : {1, 2}) {
          AttackPlan noise = plan_of(AttackMethod::random, Ball::global_l2, 1.0);
          noise.taps = {tap};
          noise.seed = seed;
          const auto direction = toy.difference(toy.attacked(noise), tap);
          double along = 0.0;
          for (std::size_t k = 0; k < gradient.size(); ++k) along += gradient[k] * direction[k];
          BOOST_TEST(std::abs(toy.slope(tap, direction, 0.005) - slope * along) < 0.02 * slope);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_adversary_raises_the_loss_more_than_noise_of_equal_size) {
  const auto world = comm::Communicator::world();
  for (const auto& system : networks) {
    const ToyNetwork toy(world, system);
    const double clean = toy.loss(toy.model);
    for (const auto& taps : taps_of(toy)) {
      AttackPlan fgm = plan_of(AttackMethod::fgm, Ball::row_l2, 0.05);
      fgm.taps = taps;
      double noise = 0.0;
      for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        AttackPlan random = fgm;
        random.method = AttackMethod::random;
        random.seed = seed;
        noise += toy.loss(toy.attacked(random)) / 5;
      }
      const double attacked = toy.loss(toy.attacked(fgm));
      BOOST_TEST(attacked > clean, system.front());
      BOOST_TEST(attacked - clean > 2.0 * std::abs(noise - clean), system.front());
    }
  }
}

// AMR's sheet of checks, number 2: margins of -1.9472136 and -2.3944272.
BOOST_AUTO_TEST_CASE(the_hand_example_of_adversarial_multimedia_recommendation_holds) {
  const auto world = comm::Communicator::world();
  ToyNetwork toy(world,
                 {"amr", "model.dim=2", "features.columns=2", "sampling.cold_items=true", "adversary.epsilon=0.1"},
                 {.users = 1, .items = 2, .one_missing = false}, {{0}});
  toy.set("user", {{1.0F, 2.0F}});
  toy.set("item", {{0.5F, 0.0F}, {0.0F, 0.5F}});
  toy.set("item_features", {{1.0F, 0.0F}, {0.0F, 1.0F}});
  toy.set("dense.projection", {{1.0F, 0.0F}, {0.0F, 1.0F}});
  BOOST_TEST(std::abs(toy.loss(toy.model) - 1.7014133) < 1e-6);
  AttackPlan plan = plan_of(AttackMethod::fgm, Ball::row_l2);
  plan.taps = systems::default_taps(toy.recipe, toy.model);
  BOOST_TEST((plan.taps == std::vector<std::string>{"item_features"}));
  for (const auto& [epsilon, loss] : {std::pair{0.1, 2.0805822}, std::pair{0.2, 2.4817280}}) {
    plan.epsilon = epsilon;
    BOOST_TEST(std::abs(toy.loss(toy.attacked(plan)) - loss) < 1e-6);
  }
}

// ACAE's sheet of checks, number 2.
BOOST_AUTO_TEST_CASE(the_hand_example_of_the_adversarial_auto_encoder_holds) {
  const auto world = comm::Communicator::world();
  ToyNetwork toy(world, {"acae", "model.dim=2", "autoencoder.cells=all"},
                 {.users = 1, .items = 3, .one_missing = false}, {{0, 2}});
  toy.set("encoder.weights", {{0.1F, 0.2F}, {0.3F, -0.1F}, {-0.2F, 0.4F}});
  toy.set("decoder.weights", {{0.2F, 0.1F}, {-0.3F, 0.2F}, {0.1F, 0.5F}});
  toy.set("user", {{0.05F, -0.05F}});
  toy.set("dense.encoder.0.bias", {{0.0F, 0.0F}});
  BOOST_TEST(std::abs(toy.loss(toy.model) - 1.8262794) < 1e-6);
  const auto attacked = [&](const char* tap, Ball ball) {
    AttackPlan plan = plan_of(AttackMethod::fgm, ball);
    plan.taps = {tap};
    return toy.loss(toy.attacked(plan));
  };
  BOOST_TEST(std::abs(attacked("decoder.weights", Ball::row_l2) - 2.4315238) < 1e-6);
  BOOST_TEST(std::abs(attacked("decoder.weights", Ball::global_l2) - 2.1621373) < 1e-6);
  BOOST_TEST(std::abs(attacked("encoder.weights", Ball::row_l2) - 1.9023740) < 1e-6);
  BOOST_TEST(std::abs(attacked("encoder.weights", Ball::global_l2) - 1.8811676) < 1e-6);
}

BOOST_AUTO_TEST_CASE(an_attack_climbs_the_softmax_over_all_items_even_where_training_draws_some) {
  const auto world = comm::Communicator::world();
  const std::vector<std::string> all{"mult-vae", "network.layers=[12,6]", "optimizer.name=lazy_adam"};
  std::vector<std::string> drawn = all;
  drawn.insert(drawn.end(), {"autoencoder.cells=sampled", "autoencoder.samples=3"});
  const ToyNetwork a(world, all);
  const ToyNetwork b(world, drawn);
  BOOST_TEST(b.model.autoencoder->samples_softmax());
  BOOST_TEST((a.numbers(a.model) == b.numbers(b.model)));
  BOOST_TEST(a.loss(a.model) == b.loss(b.model));
  for (const AttackPlan& plan : some_plans(0.5))
    BOOST_TEST((a.numbers(a.attacked(plan)) == b.numbers(b.attacked(plan))));
}

BOOST_AUTO_TEST_CASE(only_tapped_tables_differ_and_all_others_are_shared) {
  const auto world = comm::Communicator::world();
  const ToyNetwork toy(world, networks.front());
  AttackPlan plan = plan_of(AttackMethod::fgm, Ball::row_l2);
  plan.taps = {"item_features"};
  const auto moved = toy.attacked(plan);
  BOOST_TEST(moved.users == toy.model.users);
  BOOST_TEST(moved.items == toy.model.items);
  BOOST_TEST(moved.dense == toy.model.dense);
  BOOST_TEST(moved.frozen.front() != toy.model.frozen.front());
  BOOST_TEST(moved.frozen.back() == toy.model.frozen.back());
}

BOOST_AUTO_TEST_CASE(unknown_taps_are_told_which_there_are) {
  const auto world = comm::Communicator::world();
  const auto sentence = [&](const std::vector<std::string>& system, const std::string& tap) {
    const ToyNetwork toy(world, system);
    return test::sentence_of(ExitCode::usage, [&] { systems::check_taps(system.front(), toy.model, {"item", tap}); });
  };
  BOOST_TEST(sentence(networks[0], "image") ==
             "amr has no tap \"image\": an attack can perturb user, item, item_features, dense.projection");
  BOOST_TEST(
      sentence(networks[3], "hidden.1") ==
      "neumf has the tap \"hidden.1\" for training examples only, and nothing of it stays when pairs are ranked: "
      "an attack can perturb user, item, dense.mlp.0.weights, dense.mlp.0.bias, dense.mlp.1.weights, "
      "dense.mlp.1.bias, dense.output.weights, dense.output.bias");
  BOOST_TEST(sentence(networks[7], "item") ==
             "cdae has no tap \"item\": an attack can perturb user, decoder.weights, encoder.weights, "
             "dense.encoder.0.bias");
}

BOOST_AUTO_TEST_SUITE_END()
