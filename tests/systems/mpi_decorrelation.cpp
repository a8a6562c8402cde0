#include <cmath>

#include "systems/toy_training.hpp"
#include <boost/test/unit_test.hpp>

namespace {

using namespace spar;
using test::joined;
using test::train_toy;
using test::TrainedToy;
using Words = std::vector<std::string>;

constexpr double rate = 0.1;
const Words small{"model.dim=5", "model.init_std=0.4"};
// One step over all triples by plain descent.
const Words one_step{"train.batch_size=1000000", "optimizer.name=sgd", "optimizer.learning_rate=0.1"};
// Asks for the engine of networks and changes no bit.
const Words general{"optimizer.clip_norm=1000000"};

Words bpr(const Words& more) {
  return joined(joined({"bpr-mf"}, small), more);
}

// The penalty of columns [first, first + columns) of a table's rows, and its gradient at each of them, by plain loops.
struct SlowPenalty {
  double value = 0.0;
  std::vector<double> gradient;  // rows x columns

  SlowPenalty(const std::vector<float>& numbers, int record, int first, int columns) {
    const std::size_t n = numbers.size() / static_cast<std::size_t>(record);
    const auto d = static_cast<std::size_t>(columns);
    const auto x = [&](std::size_t row, std::size_t c) {
      return static_cast<double>(numbers[row * static_cast<std::size_t>(record) + static_cast<std::size_t>(first) + c]);
    };
    std::vector<double> mean(d);
    for (std::size_t row = 0; row < n; ++row) {
      for (std::size_t c = 0; c < d; ++c) mean[c] += x(row, c) / static_cast<double>(n);
    }
    gradient.resize(n * d);
    for (std::size_t a = 0; a < d; ++a) {
      for (std::size_t b = 0; b < d; ++b) {
        if (a == b) continue;
        double c = 0.0;
        for (std::size_t row = 0; row < n; ++row)
          c += (x(row, a) - mean[a]) * (x(row, b) - mean[b]) / static_cast<double>(n);
        value += c * c / columns;
        for (std::size_t row = 0; row < n; ++row)
          gradient[row * d + a] += 4.0 * c * (x(row, b) - mean[b]) / (static_cast<double>(n) * columns);
      }
    }
  }
};

double energy(const TrainedToy& trained, int columns) {
  return SlowPenalty(trained.users, trained.user_record, 0, columns).value +
         SlowPenalty(trained.items, trained.item_record, 0, columns).value;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(decorrelation)

BOOST_AUTO_TEST_CASE(decorrelated_trainings_give_the_bits_of_one_process) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  const Words apr{"game.pretrain_epochs=0", "adversary.epsilon=0.3", "objective.l2=0.01"};
  const std::vector<Words> runs{
      joined({"bpr-mf", "objective.decorrelation=500", "model.item_bias=true"}, small),
      joined({"bpr-mf", "objective.decorrelation=500", "objective.decorrelation_every=3", "optimizer.name=adam"},
             small),
      joined({"bpr-mf", "objective.decorrelation=500", "optimizer.name=lazy_adam", "optimizer.clip_norm=0.5"}, small),
      joined({"bpr-mf", "objective.decorrelation=ramp 0 900 over 2 epochs", "objective.l2=0.02",
              "objective.l2_form=table", "sampling.candidates=3"},
             small),
      joined(joined({"apr", "objective.decorrelation=500", "objective.decorrelation_every=2"}, apr), small),
      joined({"mf", "objective.decorrelation=500", "objective.l2_form=distinct"}, small),
      {"neumf", "objective.decorrelation=2", "model.dim=8", "network.layers=[10,7,5]", "network.batch_norm=true"},
      {"gmf", "objective.decorrelation=2", "objective.decorrelation_every=2", "model.dim=17", "model.init_std=0.3"},
  };
  for (const Words& words : runs) {
    BOOST_TEST_CONTEXT(words[0] << " " << words[1] << " " << words[2]) {
      const Words batched = joined(words, {"train.batch_size=150"});
      const auto expected = train_toy(alone, batched, 2);
      BOOST_TEST((train_toy(world, batched, 2) == expected));
      BOOST_TEST((train_toy(world, batched, 2, {}, {}, 2) == expected));
      BOOST_TEST(std::isfinite(expected.losses.back()));
    }
  }
}

// Beside the step without the penalty every row moves by rate x weight x its gradient, whether a triple has it or not;
// with every = 3, by three times that, in the first step.
BOOST_AUTO_TEST_CASE(a_step_moves_all_rows_of_both_tables_along_the_gradient_of_the_penalty) {
  const auto world = comm::Communicator::world();
  const test::ToyData toy{61, 23, false};
  constexpr double weight = 4.0;
  constexpr int columns = 5;
  for (const Words& words : {bpr(one_step), joined(joined({"mf"}, small), one_step),
                             joined({"mlp", "network.layers=[10,7]", "model.init_std=0.4"}, one_step)}) {
    const auto start = train_toy(world, words, 0, toy);
    const auto free = train_toy(world, joined(words, general), 1, toy);
    for (const int every : {1, 3}) {
      const auto got = train_toy(
          world, joined(words, {"objective.decorrelation=4", "objective.decorrelation_every=" + std::to_string(every)}),
          1, toy);
      double wrong = 0.0;
      double moved = 0.0;
      int untouched = 0;
      const auto check = [&](const std::vector<float>& x, const std::vector<float>& without,
                             const std::vector<float>& with, int record) {
        const SlowPenalty slow(x, record, 0, columns);
        for (std::size_t k = 0; k < x.size(); ++k) {
          const auto row = k / static_cast<std::size_t>(record);
          const auto c = static_cast<int>(k % static_cast<std::size_t>(record));
          const bool counts = c < columns;
          const double gradient =
              counts ? slow.gradient[row * static_cast<std::size_t>(columns) + static_cast<std::size_t>(c)] : 0.0;
          const double step = -rate * weight * every * gradient;
          wrong = std::max(wrong, std::abs(without[k] + step - static_cast<double>(with[k])));
          moved = std::max(moved, std::abs(step));
          untouched += counts && x[k] == without[k] && with[k] != without[k] ? 1 : 0;
        }
      };
      check(start.users, free.users, got.users, start.user_record);
      check(start.items, free.items, got.items, start.item_record);
      BOOST_TEST(moved > 1e-4);
      BOOST_TEST(wrong < 1e-6);
      BOOST_TEST(untouched > 0);
      BOOST_TEST((got.losses == free.losses));
    }
  }
}

// Vectors of the product and of the perceptron lie in one row: covariances between the two are nobody's business.
BOOST_AUTO_TEST_CASE(vectors_that_lie_side_by_side_in_a_row_are_decorrelated_apart) {
  const auto world = comm::Communicator::world();
  const Words words = joined({"neumf", "model.dim=3", "network.layers=[8,4]", "model.init_std=0.4"}, one_step);
  const auto start = train_toy(world, words, 0);
  const auto free = train_toy(world, words, 1);
  const auto got = train_toy(world, joined(words, {"objective.decorrelation=4"}), 1);
  const SlowPenalty product(start.items, start.item_record, 0, 3);
  const SlowPenalty perceptron(start.items, start.item_record, 3, 4);
  double wrong = 0.0;
  for (Index i = 0; i < 97; ++i) {
    for (int c = 0; c < 7; ++c) {
      const auto row = static_cast<std::size_t>(i);
      const auto at = static_cast<std::size_t>(c);
      const double gradient = c < 3 ? product.gradient[row * 3 + at] : perceptron.gradient[row * 4 + at - 3];
      wrong = std::max(wrong, std::abs(free.item(i)[c] - rate * 4.0 * gradient - static_cast<double>(got.item(i)[c])));
    }
  }
  BOOST_TEST(wrong < 1e-6);
}

BOOST_AUTO_TEST_CASE(with_weight_0_a_training_has_the_bits_of_one_without_the_key) {
  const auto world = comm::Communicator::world();
  const Words zero{"objective.decorrelation=0", "objective.decorrelation_every=5"};
  const Words later{"objective.decorrelation=ramp 0 5 over 1 epochs after 100 epochs"};
  for (const Words& words : {bpr({}), Words{"neumf", "model.dim=8"}, joined({"mf"}, small)}) {
    const Words batched = joined(words, {"train.batch_size=150"});
    const auto expected = train_toy(world, batched, 2);
    BOOST_TEST((train_toy(world, joined(batched, zero), 2) == expected));
    BOOST_TEST((train_toy(world, joined(batched, later), 2) == train_toy(world, joined(batched, general), 2)));
  }
}

BOOST_AUTO_TEST_CASE(the_covariances_of_a_trained_model_fall_with_the_weight) {
  const auto world = comm::Communicator::world();
  const Words words = bpr({"train.batch_size=150", "optimizer.name=adagrad", "optimizer.learning_rate=0.1"});
  const double free = energy(train_toy(world, words, 6), 5);
  const double light = energy(train_toy(world, joined(words, {"objective.decorrelation=100"}), 6), 5);
  const double heavy = energy(train_toy(world, joined(words, {"objective.decorrelation=1000"}), 6), 5);
  const double lazy =
      energy(train_toy(world, joined(words, {"objective.decorrelation=100", "objective.decorrelation_every=4"}), 6), 5);
  BOOST_TEST(free > 0.01);
  BOOST_TEST(light < 0.7 * free);
  BOOST_TEST(heavy < 0.5 * light);
  BOOST_TEST(lazy < 0.8 * free);
}

// All rows have a part in the gradient whose length is clipped.
BOOST_AUTO_TEST_CASE(clipping_shortens_the_step_with_the_penalty_in_it) {
  const auto world = comm::Communicator::world();
  const test::ToyData toy{61, 23, false};
  const auto step = [&](const std::string& clip) {
    return train_toy(world, joined(bpr(one_step), {"objective.decorrelation=3000", "optimizer.clip_norm=" + clip}), 1,
                     toy);
  };
  const auto start = train_toy(world, bpr(one_step), 0, toy);
  const auto free = step("1000000");
  double square = 0.0;
  const auto add = [&](const std::vector<float>& from, const std::vector<float>& to) {
    for (std::size_t k = 0; k < from.size(); ++k)
      square += std::pow((static_cast<double>(to[k]) - static_cast<double>(from[k])) / rate, 2);
  };
  add(start.users, free.users);
  add(start.items, free.items);
  const double norm = std::sqrt(square);
  const auto clipped = step(std::to_string(0.25 * norm));
  double wrong = 0.0;
  const auto compare = [&](const std::vector<float>& from, const std::vector<float>& to,
                           const std::vector<float>& got) {
    for (std::size_t k = 0; k < from.size(); ++k)
      wrong = std::max(wrong, std::abs(0.75 * static_cast<double>(from[k]) + 0.25 * static_cast<double>(to[k]) -
                                       static_cast<double>(got[k])));
  };
  compare(start.users, free.users, clipped.users);
  compare(start.items, free.items, clipped.items);
  BOOST_TEST(wrong < 1e-5 * norm);
  BOOST_TEST((step(std::to_string(4.0 * norm)) == free));
}

BOOST_AUTO_TEST_SUITE_END()
