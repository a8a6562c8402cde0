#include <cmath>

#include "toy_autoencoder.hpp"
#include <boost/test/unit_test.hpp>

namespace {

using namespace spar;
using test::AutoencoderSettings;
using test::train_autoencoder;

constexpr double rate = 0.5;

AutoencoderSettings one_step(AutoencoderSettings settings) {
  settings.batch_users = 1000;
  settings.optimizer = {.rule = optim::Rule::sgd, .learning_rate = static_cast<float>(rate)};
  return settings;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(clipping)

// One step of plain descent: all movements shrink by the same factor, to the length clip_norm times the rate. A longer
// clip_norm changes no bit, though gradients then wait for their norm.
BOOST_AUTO_TEST_CASE(clipping_shortens_the_whole_step_of_auto_encoders_and_else_changes_no_bit) {
  const auto world = comm::Communicator::world();
  for (const auto& [name, plain] : test::all_models()) {
    BOOST_TEST_CONTEXT(name) {
      AutoencoderSettings settings = one_step(plain);
      const auto start = train_autoencoder(world, settings, 0).numbers;
      const auto free = train_autoencoder(world, settings, 1);
      double square = 0.0;
      for (std::size_t m = 0; m < start.size(); ++m) {
        for (std::size_t k = 0; k < start[m].size(); ++k)
          square += std::pow((static_cast<double>(free.numbers[m][k]) - start[m][k]) / rate, 2);
      }
      const double norm = std::sqrt(square);
      BOOST_TEST(norm > 0.1);
      settings.clip_norm = 4.0 * norm;
      BOOST_TEST((train_autoencoder(world, settings, 1) == free));
      settings.clip_norm = 0.25 * norm;
      const auto clipped = train_autoencoder(world, settings, 1).numbers;
      double wrong = 0.0;
      for (std::size_t m = 0; m < start.size(); ++m) {
        for (std::size_t k = 0; k < start[m].size(); ++k) {
          const double moved = static_cast<double>(free.numbers[m][k]) - start[m][k];
          wrong = std::max(wrong, std::abs(start[m][k] + 0.25 * moved - static_cast<double>(clipped[m][k])));
        }
      }
      BOOST_TEST(wrong < 1e-5 * std::max(1.0, norm));
    }
  }
}

BOOST_AUTO_TEST_CASE(clipped_auto_encoders_are_the_same_bits_on_any_launch) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  for (auto [name, settings] : test::all_models()) {
    BOOST_TEST_CONTEXT(name) {
      settings.clip_norm = 0.5;
      const auto expected = train_autoencoder(alone, settings, 2);
      BOOST_TEST((train_autoencoder(world, settings, 2) == expected));
      BOOST_TEST((train_autoencoder(world, settings, 2, 2) == expected));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
