#include <cmath>

#include "slow_autoencoder.hpp"
#include <boost/test/unit_test.hpp>

namespace {

using namespace spar;
using adversary::Ball;
using game::LossCells;
using test::AutoencoderGame;
using test::AutoencoderSettings;
using test::train_autoencoder;

// One step over all users with plain gradient descent, so that the parameters' moves are the gradient.
AutoencoderSettings one_step(AutoencoderSettings s) {
  s.data = {29, 23, false};
  s.batch_users = 1000;
  s.model.keep = 1.0;
  s.model.mean_over_users = false;
  s.model.beta = Schedule(0.2);
  s.model.l2 = 0.0;
  s.optimizer = {.rule = optim::Rule::sgd, .learning_rate = 1.0F};
  return s;
}

double largest_difference(const test::Numbers& a, const test::Numbers& b) {
  double most = a.size() == b.size() ? 0.0 : 1e300;
  for (std::size_t k = 0; k < std::min(a.size(), b.size()); ++k)
    most = std::max(most, test::largest_difference(a[k], b[k]));
  return most;
}

// Compares the moves of a step with the slopes of `objective` in some numbers of every matrix.
void check_moves(AutoencoderGame& game, test::SlowAutoencoder& slow, const std::function<double()>& objective) {
  struct Pair {
    test::Weights* weights;
    const table::Table* table;
  };
  std::vector<Pair> pairs{{&slow.encoder, &game.encoder}, {&slow.decoder, &game.decoder}};
  if (game.settings.model.user_nodes) pairs.push_back({&slow.users, &game.users});
  for (int k = 0; k < game.dense.count(); ++k)
    pairs.push_back({&slow.dense[static_cast<std::size_t>(k)], &game.dense.table(k)});
  for (const Pair& pair : pairs) {
    double largest = 0;
    for (Index r = 0; r < pair.table->rows(); r += 3) {
      for (int c = 0; c < pair.weights->columns; c += 2) {
        const float* row = pair.table->record(r);
        const double after =
            static_cast<double>(c < pair.table->shape().dim ? row[c] : row[pair.table->shape().bias_offset()]);
        const double expected = test::slope(pair.weights->at(r, c), objective);
        const double got = pair.weights->at(r, c) - after;
        largest = std::max(largest, std::abs(expected));
        BOOST_TEST(std::abs(got - expected) < 2e-5 * std::max(1.0, std::abs(expected)));
      }
    }
    BOOST_TEST_CONTEXT(pair.table->name()) {
      BOOST_TEST(largest > 0.01);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(catalogue_bits)

BOOST_AUTO_TEST_CASE(tables_and_losses_are_the_same_bits_on_any_launch) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  for (const auto& [name, settings] : test::all_models()) {
    BOOST_TEST_CONTEXT(name) {
      const auto expected = train_autoencoder(alone, settings, 3);
      BOOST_TEST((train_autoencoder(world, settings, 3) == expected));
      BOOST_TEST((train_autoencoder(world, settings, 3, 2) == expected));
      BOOST_TEST(std::isfinite(expected.losses.back()));
      BOOST_TEST(expected.losses[4] < expected.losses[0]);  // it learns
    }
  }
}

BOOST_AUTO_TEST_CASE(another_number_of_shards_changes_rounding_only) {
  const auto world = comm::Communicator::world();
  for (auto& [name, settings] : test::all_models()) {
    if (settings.model.samples_softmax()) continue;  // their draws are a matter of shards
    // One batch an epoch, since which users meet in a batch is a matter of shards; a step too small to amplify.
    settings.batch_users = 1000;
    settings.optimizer = {.rule = optim::Rule::sgd, .learning_rate = 0.02F};
    AutoencoderSettings finer = settings;
    finer.shards = 16;
    BOOST_TEST_CONTEXT(name) {
      const auto a = train_autoencoder(world, settings, 5);
      const auto b = train_autoencoder(world, finer, 5);
      BOOST_TEST(largest_difference(a.numbers, b.numbers) < 1e-5);
      for (std::size_t k = 0; k < a.losses.size(); ++k)
        BOOST_TEST(std::abs(a.losses[k] - b.losses[k]) <= 1e-5 * std::abs(b.losses[k]));
    }
  }
}

BOOST_AUTO_TEST_CASE(an_adversary_of_weight_zero_leaves_the_bits_of_the_base) {
  const auto world = comm::Communicator::world();
  for (const LossCells cells : {LossCells::all, LossCells::sampled}) {
    const auto base = train_autoencoder(world, test::cdae(cells), 2);
    AutoencoderSettings none = test::acae(Ball::row_l2, cells);
    none.adversary->weight = 0.0;
    BOOST_TEST((train_autoencoder(world, none, 2) == base));
    none.adversary->weight = 1.0;
    none.encoder_weight = none.decoder_weight = 0.0;
    BOOST_TEST((train_autoencoder(world, none, 2) == base));
    BOOST_TEST((train_autoencoder(world, test::acae(Ball::row_l2, cells), 2).numbers != base.numbers));
  }
}

BOOST_AUTO_TEST_CASE(logits_that_do_not_fit_are_made_twice_to_the_same_bits) {
  const auto world = comm::Communicator::world();
  AutoencoderSettings settings = test::mult_vae();
  const auto kept = train_autoencoder(world, settings, 2);
  settings.kept_bytes = 0;
  BOOST_TEST((train_autoencoder(world, settings, 2) == kept));
}

BOOST_AUTO_TEST_CASE(shards_without_users_or_items_do_their_part) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  AutoencoderSettings settings = test::acae(Ball::row_l2);
  settings.data = {11, 5, false};
  settings.batch_users = 2;
  const auto expected = train_autoencoder(alone, settings, 2);
  BOOST_TEST((train_autoencoder(world, settings, 2) == expected));
  BOOST_TEST(std::isfinite(expected.losses.back()));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(catalogue_gradients)

BOOST_AUTO_TEST_CASE(a_step_is_the_gradient_of_the_objective_on_paper) {
  const auto alone = comm::Communicator::alone();
  AutoencoderSettings observed = test::autorec();
  AutoencoderSettings square = test::mult_dae();
  square.model.loss = catalogue::OutputLoss::square;
  for (const auto& settings : {one_step(test::mult_vae()), one_step(test::mult_dae()),
                               one_step(test::cdae(LossCells::all)), one_step(observed), one_step(square)}) {
    AutoencoderGame game(alone, settings);
    test::SlowAutoencoder slow(game);
    const double beta = settings.model.gaussian ? settings.model.beta.at({}) : 0.0;
    const auto losses = game.train(0, 1);
    const double expected = slow.loss(0.0);
    BOOST_TEST(std::abs(losses[0] - expected) < 2e-6 * expected);
    BOOST_TEST(std::abs(losses[0] + beta * losses[1] - slow.loss(beta)) < 2e-6 * expected);
    check_moves(game, slow, [&] { return slow.loss(beta); });
  }
}

BOOST_AUTO_TEST_CASE(an_adversarial_step_is_the_gradient_of_the_three_losses_with_the_noise_held) {
  const auto alone = comm::Communicator::alone();
  for (const Ball ball : {Ball::row_l2, Ball::global_l2}) {
    const AutoencoderSettings settings = one_step(test::acae(ball));
    AutoencoderGame game(alone, settings);
    test::SlowAutoencoder slow(game);
    // The noise of one matrix: its clean gradient by row, without the bias, scaled to the ball.
    const auto noise_of = [&](test::Weights& weights, int dim) {
      std::vector<double> noise(weights.x.size());
      double all = 0;
      const auto n = static_cast<std::size_t>(weights.columns);
      for (std::size_t r = 0; r < noise.size() / n; ++r) {
        double squares = 0;
        for (std::size_t c = 0; c < static_cast<std::size_t>(dim); ++c) {
          noise[r * n + c] = test::slope(weights.x[r * n + c], [&] { return slow.loss(0.0); });
          squares += noise[r * n + c] * noise[r * n + c];
        }
        all += squares;
        for (std::size_t c = 0; ball == Ball::row_l2 && squares > 0.0 && c < n; ++c)
          noise[r * n + c] *= 0.5 / std::sqrt(squares);
      }
      for (double& x : noise) x *= ball == Ball::global_l2 ? 0.5 / std::sqrt(all) : 1.0;
      return noise;
    };
    const auto encoder_noise = noise_of(slow.encoder, settings.model.input_width());
    const auto decoder_noise = noise_of(slow.decoder, settings.model.output_width());
    const auto noisy_loss = [&](test::Weights& weights, const std::vector<double>& noise) {
      const auto before = weights.x;
      for (std::size_t k = 0; k < noise.size(); ++k) weights.x[k] += noise[k];
      const double loss = slow.loss(0.0);
      weights.x = before;
      return loss;
    };
    const auto losses = game.train(0, 1);
    const double mean = (noisy_loss(slow.encoder, encoder_noise) + noisy_loss(slow.decoder, decoder_noise)) / 2.0;
    BOOST_TEST(std::abs(losses[1] - mean) < 1e-5 * mean);
    BOOST_TEST(losses[1] > losses[0]);
    check_moves(game, slow, [&] {
      return slow.loss(0.0) + 0.35 * noisy_loss(slow.encoder, encoder_noise) +
             0.7 * noisy_loss(slow.decoder, decoder_noise);
    });
  }
}

// Three items and one user, worked out in the sheet of ACAE.
BOOST_AUTO_TEST_CASE(losses_of_the_tiny_case_are_those_computed_by_hand) {
  const auto world = comm::Communicator::world();
  AutoencoderSettings s = one_step(test::acae(Ball::row_l2));
  s.data = {1, 3, false};
  s.shards = 4;
  s.model.encoder = {2};
  const struct {
    const char* tap;
    Ball ball;
    double loss;
  } cases[] = {{"decoder.weights", Ball::row_l2, 2.4315238},
               {"decoder.weights", Ball::global_l2, 2.1621373},
               {"encoder.weights", Ball::row_l2, 1.9023740},
               {"encoder.weights", Ball::global_l2, 1.8811676}};
  for (const auto& c : cases) {
    s.adversary->perturbation.ball = c.ball;
    s.adversary->taps = {c.tap};
    AutoencoderGame game(world, s);
    const double w1[3][2] = {{0.1, 0.2}, {0.3, -0.1}, {-0.2, 0.4}};
    const double w2[3][2] = {{0.2, 0.1}, {-0.3, 0.2}, {0.1, 0.5}};
    const auto set = [](table::Table& table, Index row, double first, double second) {
      if (row < table.first_row() || row >= table.first_row() + table.rows()) return;
      table.record(row - table.first_row())[0] = static_cast<float>(first);
      table.record(row - table.first_row())[1] = static_cast<float>(second);
    };
    for (Index i = 0; i < 3; ++i) {
      set(game.encoder, i, w1[i][0], w1[i][1]);
      set(game.decoder, i, w2[i][0], w2[i][1]);
    }
    set(game.users, 0, 0.05, -0.05);
    set(game.dense.table(0), 0, 0.0, 0.0);
    // The profile of user 0 of the toy data is items 0, 1 and 2 here; the case has 0 and 2.
    game.lists.items.clear();
    game.lists.offsets.assign(1, 0);
    for (Index u = 0; u < game.users.rows(); ++u) {
      game.lists.items.push_back(0);
      game.lists.items.push_back(2);
      game.lists.offsets.push_back(2);
    }
    game::CatalogueSetup setup;
    setup.communicator = &world;
    setup.layout = game.layout;
    setup.model = s.model;
    setup.tables = game.tables();
    setup.train = &game.lists;
    setup.users = 1;
    game.engine = std::make_unique<game::CatalogueEngine>(setup);
    game.engine->use_optimizer(s.optimizer, 0);
    game.engine->begin_stage({"acae", 1, s.adversary});
    const auto losses = game.train(0, 1);
    BOOST_TEST(std::abs(losses[0] - 1.8262794) < 1e-6);
    BOOST_TEST(std::abs(losses[1] - c.loss) < 1e-6);
  }
}

BOOST_AUTO_TEST_CASE(noise_of_size_zero_multiplies_the_gradient) {
  const auto world = comm::Communicator::world();
  AutoencoderSettings base = one_step(test::cdae(LossCells::all));
  AutoencoderSettings still = one_step(test::acae(Ball::row_l2));
  still.adversary->perturbation.epsilon = 0.0;
  base.optimizer.learning_rate = 1.0F + 0.35F + 0.7F;
  const auto a = train_autoencoder(world, base, 1);
  const auto b = train_autoencoder(world, still, 1);
  BOOST_TEST(largest_difference(a.numbers, b.numbers) < 1e-5);
  BOOST_TEST(std::abs(b.losses[0] - b.losses[1]) < 1e-5 * b.losses[0]);
}

BOOST_AUTO_TEST_SUITE_END()
