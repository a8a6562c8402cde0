#include <algorithm>
#include <cmath>

#include "toy_autoencoder.hpp"
#include <boost/test/unit_test.hpp>

namespace {

using namespace spar;
using test::AutoencoderGame;
using test::AutoencoderSettings;
using test::train_autoencoder;

// Plain descent, so that moves are gradients.
AutoencoderSettings plain(AutoencoderSettings settings) {
  settings.optimizer = {.rule = optim::Rule::sgd, .learning_rate = 0.5F};
  return settings;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(drawn_outputs)

BOOST_AUTO_TEST_CASE(with_all_items_drawn_training_differs_from_the_whole_softmax_by_rounding_only) {
  const auto world = comm::Communicator::world();
  for (const AutoencoderSettings& whole : {plain(test::mult_vae()), plain(test::mult_dae())}) {
    AutoencoderSettings drawn = test::drawn_outputs(whole, whole.data.items, 0.0);
    drawn.optimizer = whole.optimizer;
    // The penalty is of the rows that a step moves: the same ones.
    drawn.batch_users = whole.batch_users;
    const auto a = train_autoencoder(world, whole, 2);
    const auto b = train_autoencoder(world, drawn, 2);
    for (std::size_t k = 0; k < a.losses.size(); ++k)
      BOOST_TEST(std::abs(a.losses[k] - b.losses[k]) <= 1e-5 * std::abs(a.losses[k]));
    for (std::size_t m = 0; m < a.numbers.size(); ++m) {
      double most = 0;
      for (std::size_t k = 0; k < a.numbers[m].size(); ++k)
        most = std::max(most, std::abs(static_cast<double>(a.numbers[m][k]) - b.numbers[m][k]));
      BOOST_TEST(most < 1e-5);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_step_moves_the_rows_of_its_positives_and_draws_and_no_other) {
  const auto world = comm::Communicator::world();
  for (const double power : {0.0, 0.75}) {
    AutoencoderSettings settings = test::drawn_outputs(test::mult_vae(), 17, power);
    settings.data = {400, 1009, false};
    settings.batch_users = 3;
    AutoencoderGame game(world, settings);
    const auto before = game.numbers();
    game.engine->begin_epoch(0, 0);
    game.engine->step(0);
    const auto after = game.numbers();
    const auto moved = [&](std::size_t table) {
      const std::size_t record = before[table].size() / static_cast<std::size_t>(settings.data.items);
      std::int64_t rows = 0;
      for (std::size_t at = 0; at < before[table].size(); at += record)
        rows += std::equal(&before[table][at], &before[table][at] + record, &after[table][at]) ? 0 : 1;
      return rows;
    };
    const std::int64_t positives = moved(0);  // the input rows, of which some were dropped
    BOOST_TEST(moved(1) > positives);
    BOOST_TEST(moved(1) < settings.data.items / 4);
  }
}

BOOST_AUTO_TEST_CASE(every_step_draws_anew) {
  const auto world = comm::Communicator::world();
  AutoencoderSettings settings = plain(test::drawn_outputs(test::mult_dae(), 5, 0.0));
  settings.batch_users = 1000;
  settings.model.keep = 1.0;
  settings.optimizer.learning_rate = 0.0F;
  AutoencoderGame game(world, settings);
  const auto losses = game.train(0, 4);
  BOOST_TEST(losses[0] != losses[2]);
  BOOST_TEST(losses[2] != losses[4]);
  BOOST_TEST(losses[4] != losses[6]);
}

BOOST_AUTO_TEST_SUITE_END()
