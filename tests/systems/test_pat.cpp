#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>

#include "support/gradient_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/game/neural_model.hpp"
#include "spar/systems/system.hpp"

namespace {

using namespace spar;
using test::Grid;

std::unique_ptr<game::NeuralModel> model_of(std::vector<std::string> overrides) {
  return systems::find_system("pat")->network(systems::load_recipe("pat", overrides));
}

// Distinct rows of users and items, what is known of the users, the readers; triples by slots.
struct Case {
  Grid<double> users, items, hidden;
  std::vector<Grid<double>> readers;
  std::vector<std::int32_t> user, positive, negative;
};

struct Outcome {
  double ranking = 0.0;
  double reading = 0.0;
  Grid<double> users{1, 1}, items{1, 1};  // gradients of the step
  std::vector<Grid<double>> readers;
};

Outcome pass_of(const game::NeuralModel& model, Case& example, const Moment& moment = {}) {
  tape::Tape<double> tape;
  Outcome outcome;
  outcome.users = Grid<double>(example.users.rows(), example.users.columns());
  outcome.items = Grid<double>(example.items.rows(), example.items.columns());
  const std::vector<tape::Var> tables{tape.parameter(example.users.view(), outcome.users.view()),
                                      tape.parameter(example.items.view(), outcome.items.view()),
                                      tape.constant(example.hidden.view())};
  for (auto& reader : example.readers) outcome.readers.emplace_back(reader.rows(), reader.columns());
  std::vector<tape::Var> dense;
  for (std::size_t k = 0; k < example.readers.size(); ++k)
    dense.push_back(tape.parameter(example.readers[k].view(), outcome.readers[k].view()));
  game::NeuralBatch batch;
  batch.slots = {example.user, example.positive, example.negative};
  batch.examples = static_cast<int>(example.user.size());
  tape::Var second;
  const game::Pass<double> pass{
      .context = {tape, dense}, .batch = batch, .tables = tables, .moment = moment, .second = &second};
  const tape::Var loss = model.loss(pass);
  outcome.ranking = tape.value(loss).at(0, 0);
  outcome.reading = tape.value(second).at(0, 0);
  tape.backward(tape::add(tape, loss, second));
  return outcome;
}

// Three users, one of whom has three triples and one no label of the second attribute; two attributes.
Case example_of(const game::NeuralModel& model) {
  Case example{Grid<double>(3, model.user_columns(), 0.8, 1),
               Grid<double>(4, model.item_columns(), 0.7, 2),
               Grid<double>(3, 5),
               {},
               {0, 1, 0, 2, 0},
               {0, 1, 2, 2, 1},
               {1, 2, 3, 3, 0}};
  const double rows[3][5] = {{1, 0.6, 3, 1.2, 0.4}, {2, 1.7, 0, 0.0, 1.1}, {1, 0.6, 1, 0.8, 2.0}};
  for (int r = 0; r < 3; ++r) {
    for (int c = 0; c < 5; ++c) example.hidden.at(r, c) = rows[r][c];
  }
  int salt = 10;
  for (const auto& parameter : model.declarations().all())
    example.readers.emplace_back(parameter.rows, parameter.columns, 0.6, ++salt);
  return example;
}

const std::vector<std::string> two_attributes{"model.dim=5", "privacy.attributes=gender,age", "privacy.classes=2,3"};

std::vector<std::string> with(std::vector<std::string> settings, const std::vector<std::string>& more) {
  settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}

// The derivative of one of the losses by an entry, from central differences.
double slope(const game::NeuralModel& model, Case& example, double& entry, double Outcome::*loss) {
  constexpr double step = 1e-6;
  const double kept = entry;
  entry = kept + step;
  const double above = pass_of(model, example).*loss;
  entry = kept - step;
  const double below = pass_of(model, example).*loss;
  entry = kept;
  return (above - below) / (2 * step);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pat)

BOOST_AUTO_TEST_CASE(users_follow_the_ranking_against_lambda_times_the_reading_and_readers_the_reading) {
  constexpr double lambda = 0.7;
  for (const std::string reader : {"linear", "hidden"}) {
    const auto model = model_of(with(two_attributes, {"privacy.weight=0.7", "privacy.reader=" + reader}));
    Case example = example_of(*model);
    const Outcome got = pass_of(*model, example);
    for (int r = 0; r < 3; ++r) {
      for (int c = 0; c < 5; ++c) {
        double& entry = example.users.at(r, c);
        const double expected = slope(*model, example, entry, &Outcome::ranking) -
                                lambda * slope(*model, example, entry, &Outcome::reading);
        BOOST_TEST(std::abs(got.users.at(r, c) - expected) < 1e-7);
      }
    }
    for (int r = 0; r < 4; ++r) {
      for (int c = 0; c < 5; ++c) {
        double& entry = example.items.at(r, c);
        BOOST_TEST(std::abs(got.items.at(r, c) - slope(*model, example, entry, &Outcome::ranking)) < 1e-7);
        BOOST_TEST(slope(*model, example, entry, &Outcome::reading) == 0.0);
      }
    }
    for (std::size_t k = 0; k < example.readers.size(); ++k) {
      double most = 0.0;
      for (int r = 0; r < example.readers[k].rows(); ++r) {
        for (int c = 0; c < example.readers[k].columns(); ++c) {
          double& entry = example.readers[k].at(r, c);
          const double expected = slope(*model, example, entry, &Outcome::reading);
          BOOST_TEST(std::abs(got.readers[k].at(r, c) - expected) < 1e-7);
          most = std::max(most, std::abs(expected));
        }
      }
      BOOST_TEST(most > 1e-3);
    }
  }
}

BOOST_AUTO_TEST_CASE(lambda_changes_no_loss_and_follows_its_schedule) {
  const auto strong = model_of(with(two_attributes, {"privacy.weight=4"}));
  const auto none = model_of(with(two_attributes, {"privacy.weight=0"}));
  const auto ramp = model_of(with(two_attributes, {"privacy.weight=ramp 0 4 over 10 steps"}));
  Case example = example_of(*strong);
  const Outcome a = pass_of(*strong, example);
  const Outcome b = pass_of(*none, example);
  BOOST_TEST(a.ranking == b.ranking);
  BOOST_TEST(a.reading == b.reading);
  BOOST_TEST((a.users.numbers() != b.users.numbers()));
  BOOST_TEST((a.readers[0].numbers() == b.readers[0].numbers()));
  BOOST_TEST((pass_of(*ramp, example).users.numbers() == b.users.numbers()));
  BOOST_TEST((pass_of(*ramp, example, {.epoch = 2, .step = 1, .steps = 7}).users.numbers() == a.users.numbers()));
}

BOOST_AUTO_TEST_CASE(users_without_a_label_contribute_nothing) {
  const auto model = model_of({"model.dim=5", "privacy.attributes=age", "privacy.classes=3"});
  Case example = example_of(*model);
  Grid<double> labels(3, 3);
  const double rows[3][3] = {{2, 1, 1}, {0, 1, 1}, {3, 1, 1}};
  for (int r = 0; r < 3; ++r) {
    for (int c = 0; c < 3; ++c) labels.at(r, c) = rows[r][c];
  }
  example.hidden = labels;
  const double before = pass_of(*model, example).reading;
  for (int c = 0; c < 5; ++c) {
    BOOST_TEST(slope(*model, example, example.users.at(1, c), &Outcome::reading) == 0.0);
    example.users.at(1, c) += 3.0;
  }
  BOOST_TEST(pass_of(*model, example).reading == before);
  example.users.at(0, 0) += 3.0;
  BOOST_TEST(pass_of(*model, example).reading != before);
}

// MovieLens-1M: 4,331 men of 6,040 users, seven ages.
BOOST_AUTO_TEST_CASE(readers_of_the_class_prior_lose_its_entropy_and_uniform_ones_the_logarithm_of_the_classes) {
  const auto gender =
      model_of({"model.dim=2", "privacy.attributes=gender", "privacy.classes=2", "privacy.reader=linear"});
  const int men = 4331;
  const int all = 6040;
  Case example{Grid<double>(all, 2),
               Grid<double>(2, 2),
               Grid<double>(all, 3),
               {Grid<double>(2, 2), Grid<double>(1, 2)},
               std::vector<std::int32_t>(all),
               std::vector<std::int32_t>(all, 0),
               std::vector<std::int32_t>(all, 1)};
  std::iota(example.user.begin(), example.user.end(), 0);
  for (int r = 0; r < all; ++r) {
    example.hidden.at(r, 0) = r < men ? 1 : 2;
    example.hidden.at(r, 1) = example.hidden.at(r, 2) = 1.0;
  }
  example.readers[1].at(0, 0) = std::log(static_cast<double>(men) / all);
  example.readers[1].at(0, 1) = std::log(static_cast<double>(all - men) / all);
  BOOST_TEST(std::abs(pass_of(*gender, example).reading / all - 0.59572) < 5e-6);
  const auto age = model_of({"model.dim=2", "privacy.attributes=age", "privacy.classes=7", "privacy.reader=linear"});
  example.readers = {Grid<double>(2, 7), Grid<double>(1, 7)};
  for (int r = 0; r < all; ++r) example.hidden.at(r, 0) = 1 + r % 7;
  BOOST_TEST(std::abs(pass_of(*age, example).reading / all - 1.94591) < 5e-6);
}

// The table of private rows divides by a user's interactions, so that an epoch of triples makes up each user once.
BOOST_AUTO_TEST_CASE(an_epoch_of_triples_meets_each_user_as_often_as_he_has_interactions_and_inner_steps_all_alike) {
  const auto model = model_of({"model.dim=2", "privacy.classes=2", "privacy.inner_steps=3"});
  data::UserLists lists;
  lists.first_user = 40;
  for (Index user = 0; user < 12; ++user) {
    for (Index k = 0; k < 1 + user % 5; ++k) lists.items.push_back(static_cast<ItemId>(3 * k));
    lists.offsets.push_back(static_cast<std::int64_t>(lists.items.size()));
  }
  const auto source = model->source(lists, 2, 10, 3, 50, 7);
  constexpr std::int64_t steps = 6;
  constexpr int epochs = 400;
  std::map<Index, double> triples, weights;
  game::NeuralBatch batch;
  for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
    source->begin_epoch(epoch);
    for (std::int64_t step = 0; step < steps; ++step) {
      source->draw(step, steps, batch);
      for (const auto slot : batch.slots[0]) triples[batch.rows[0][static_cast<std::size_t>(slot)]] += 1;
      for (int inner = 0; inner < model->inner_steps(); ++inner) {
        source->draw_inner(step, steps, inner, batch);
        BOOST_TEST_REQUIRE(batch.rows[0].size() == batch.labels.size());
        for (std::size_t e = 0; e < batch.labels.size(); ++e)
          weights[batch.rows[0][e]] += static_cast<double>(batch.labels[e]) / model->inner_steps();
      }
    }
  }
  BOOST_TEST(triples.size() == 10U);
  BOOST_TEST(weights.size() == 10U);
  for (const auto& [user, count] : triples) {
    BOOST_TEST((user >= 42 && user < 52));
    BOOST_TEST(count == epochs * static_cast<double>(lists.of(user - 40).size()));
    BOOST_TEST(std::abs(weights.at(user) / count - 1.0) < 0.1);
  }
}

BOOST_AUTO_TEST_CASE(settings_that_do_not_fit_together_get_one_sentence) {
  const auto fault = [](const std::vector<std::string>& overrides) -> std::string {
    try {
      model_of(overrides);
    } catch (const UserError& error) {
      return error.what();
    }
    return "accepted";
  };
  BOOST_TEST(fault({"privacy.attributes=a,b", "privacy.classes=2,3,4"}) ==
             "privacy.classes has 3 numbers for the 2 names of privacy.attributes");
  BOOST_TEST(fault({"privacy.attributes=a,b"}) == "accepted");
  BOOST_TEST(fault({"privacy.reader=linear", "privacy.hidden=3"}) ==
             "--set: privacy.hidden has no effect with privacy.reader = \"linear\", only with hidden");
}

BOOST_AUTO_TEST_SUITE_END()
