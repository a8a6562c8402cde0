#include <cmath>
#include <vector>

#include "src/systems/fncf.hpp"
#include "support/gradient_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/catalogue/lanes.hpp"

namespace {

using namespace spar;
using systems::FncfModel;
using systems::FncfSettings;
using test::Grid;

constexpr int dim = 3;
constexpr int users = 4;
constexpr int items = 5;

FncfSettings student() {
  return {.dim = dim,
          .layers = {2 * dim, 5, 4},
          .negatives = 1,
          .power = 0.5,
          .has_teacher = true,
          .input_noise = 0.0,
          .hidden_noise = 0.0,
          .temperature = 2.0,
          .soft_weight = 0.5,
          .hint_weight = 0.1,
          .hint_epochs = 0};
}

// Three users and three items by their profiles among four and five rows, one of them empty.
game::NeuralBatch batch() {
  return {.rows = {{7, 3, 5, 1}, {10, 11, 12, 13, 14}},
          .slots = {{0, 0, 1, 2, 2, 1}, {0, 1, 1, 2, 2, 0}},
          .labels = {1, 0, 1, 1, 0, 0},
          .samples = {0, 1, 2, 3, 4, 5},
          .examples = 6,
          .length = 0,
          .valid = {},
          .bags = {{{0, 3, 4, 6}, {0, 2, 4, 1, 0, 3}}, {{0, 2, 2, 5}, {1, 3, 0, 2, 3}}}};
}

template <class T>
struct Inputs {
  std::vector<Grid<T>> grids;  // users, items, dense parameters
  explicit Inputs(const FncfModel& model, double scale = 0.7) {
    grids.emplace_back(users, model.user_columns(), scale, 1);
    grids.emplace_back(items, model.item_columns(), scale, 2);
    int salt = 3;
    for (const auto& p : model.declarations().all()) grids.emplace_back(p.rows, p.columns, scale, salt++);
  }
  // The student's numbers put in the place of the teacher's.
  void teach_itself(const FncfModel& model) {
    for (std::size_t t = 0; t < 2; ++t) {
      for (int r = 0; r < grids[t].rows(); ++r) {
        for (int c = 0; c < dim; ++c) grids[t].at(r, dim + c) = grids[t].at(r, c);
      }
    }
    const std::size_t half = model.declarations().all().size() / 2;
    for (std::size_t k = 0; k < half; ++k) grids[2 + half + k] = grids[2 + k];
  }
};

template <class T>
double loss_of(const FncfModel& model, std::vector<Grid<T>>& grids, std::vector<Grid<T>>* gradients = nullptr,
               std::int64_t epoch = 0, bool training = false, const std::vector<tape::Matrix<T>>& grams = {}) {
  static const game::NeuralBatch examples = batch();
  tape::Tape<T> tape;
  std::vector<tape::Var> vars;
  for (std::size_t k = 0; k < grids.size(); ++k) {
    vars.push_back(gradients == nullptr ? tape.constant(grids[k].view())
                                        : tape.parameter(grids[k].view(), (*gradients)[k].view()));
  }
  const std::span<const tape::Var> all(vars);
  game::Pass<T> pass{{tape, all.subspan(2)}, examples, all.first(2)};
  pass.moment.epoch = epoch;
  pass.grams = grams;
  pass.context.training = training;
  pass.context.samples = examples.samples;
  const tape::Var loss = model.build(pass);
  const auto value = static_cast<double>(tape.value(loss).at(0, 0));
  if (gradients != nullptr) tape.backward(loss);
  return value;
}

template <class T>
std::vector<Grid<T>> gradients_of(const FncfModel& model, std::vector<Grid<T>>& grids, std::int64_t epoch = 0) {
  std::vector<Grid<T>> gradients;
  for (const Grid<T>& grid : grids) gradients.emplace_back(grid.rows(), grid.columns());
  loss_of(model, grids, &gradients, epoch);
  return gradients;
}

double largest(const Grid<double>& grid, int first = 0) {
  double most = 0.0;
  for (int r = 0; r < grid.rows(); ++r) {
    for (int c = first; c < grid.columns(); ++c) most = std::max(most, std::abs(grid.at(r, c)));
  }
  return most;
}

double largest(const std::vector<Grid<double>>& grids) {
  double most = 0.0;
  for (const auto& grid : grids) most = std::max(most, largest(grid));
  return most;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fncf)

// Of the plain loss, of a stage of hints and of the student's full loss: every number of the student.
BOOST_AUTO_TEST_CASE(the_gradients_of_all_stages_are_those_of_central_differences) {
  FncfSettings plain = student();
  plain.has_teacher = false;
  FncfSettings hinted = student();
  hinted.hint_epochs = 2;
  for (const auto& [settings, epoch] :
       std::vector<std::pair<FncfSettings, int>>{{plain, 0}, {hinted, 0}, {hinted, 3}, {student(), 0}}) {
    const FncfModel model(settings);
    Inputs<double> inputs(model);
    const auto gradients = gradients_of(model, inputs.grids, epoch);
    auto numeric = test::numeric_gradients(inputs.grids, [&, at = epoch](std::vector<Grid<double>>& moved) {
      return loss_of<double>(model, moved, nullptr, at);
    });
    const std::size_t own = settings.has_teacher ? 2 + model.declarations().all().size() / 2 : gradients.size();
    // What the teacher has moves the loss, but never follows it.
    for (std::size_t t = 0; settings.has_teacher && t < 2; ++t) {
      BOOST_TEST(largest(numeric[t], dim) > 0.0);
      BOOST_TEST(largest(gradients[t], dim) == 0.0);
      for (int r = 0; r < numeric[t].rows(); ++r) std::fill_n(&numeric[t].at(r, dim), dim, 0.0);
    }
    for (std::size_t k = own; k < gradients.size(); ++k) {
      BOOST_TEST(largest(gradients[k]) == 0.0);
      numeric[k].fill(0.0);
    }
    test::check_close(gradients, numeric, 1e-8);
  }
}

BOOST_AUTO_TEST_CASE(hints_of_a_teacher_with_the_same_weights_are_zero_and_each_stage_ends_at_its_layer) {
  FncfSettings settings = student();
  settings.hint_epochs = 2;
  const FncfModel model(settings);
  Inputs<double> inputs(model);
  const auto first = gradients_of(model, inputs.grids, 1);
  const auto second = gradients_of(model, inputs.grids, 2);
  const auto at = [&](const std::string& name) {
    const auto& all = model.declarations().all();
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& p) { return p.name == name; });
    return 2 + static_cast<std::size_t>(found - all.begin());
  };
  BOOST_TEST(largest(first[at("mlp.0.weights")]) > 0.0);
  BOOST_TEST(largest(first[at("mlp.1.weights")]) == 0.0);
  BOOST_TEST(largest(second[at("mlp.1.weights")]) > 0.0);
  BOOST_TEST(largest(second[at("output.weights")]) == 0.0);
  inputs.teach_itself(model);
  for (const int epoch : {0, 1, 2, 3}) {
    BOOST_TEST(loss_of<double>(model, inputs.grids, nullptr, epoch) == 0.0);
    BOOST_TEST(largest(gradients_of(model, inputs.grids, epoch)) == 0.0);
  }
}

BOOST_AUTO_TEST_CASE(soft_labels_of_itself_have_no_gradient) {
  FncfSettings settings = student();
  settings.soft_weight = 1.0;
  settings.hint_weight = 0.0;
  for (const double temperature : {1.0, 3.0}) {
    settings.temperature = temperature;
    const FncfModel model(settings);
    Inputs<double> inputs(model);
    BOOST_TEST(largest(gradients_of(model, inputs.grids)) > 1e-3);
    inputs.teach_itself(model);
    BOOST_TEST(largest(gradients_of(model, inputs.grids)) < 1e-14);
  }
}

// T^2 times the cross entropy at temperature T: its gradient by a logit tends to (z - z_t) / 4.
BOOST_AUTO_TEST_CASE(at_high_temperature_soft_labels_pull_by_a_quarter_of_the_difference_of_logits) {
  FncfSettings settings = student();
  settings.soft_weight = 1.0;
  settings.hint_weight = 0.0;
  settings.temperature = 1000.0;
  const FncfModel model(settings);
  Inputs<double> inputs(model);
  inputs.teach_itself(model);
  const auto& all = model.declarations().all();
  const auto bias = std::find_if(all.begin(), all.end(), [](const auto& p) { return p.name == "output.bias"; });
  const auto at = 2 + static_cast<std::size_t>(bias - all.begin());
  constexpr double shift = 0.3;
  inputs.grids[at].at(0, 0) += shift;  // of all six logits
  const auto gradients = gradients_of(model, inputs.grids);
  BOOST_TEST(std::abs(gradients[at].at(0, 0) - 6 * shift / 4) < 1e-5);
}

BOOST_AUTO_TEST_CASE(a_student_of_zero_weights_and_zero_noise_has_the_loss_and_gradients_of_the_plain_model) {
  FncfSettings settings = student();
  settings.soft_weight = 0.0;
  settings.hint_weight = 0.0;
  FncfSettings alone = settings;
  alone.has_teacher = false;
  const FncfModel model(settings);
  const FncfModel plain(alone);
  Inputs<float> inputs(model);
  Inputs<float> few(plain);
  for (std::size_t t = 0; t < 2; ++t) {
    for (int r = 0; r < few.grids[t].rows(); ++r) {
      for (int c = 0; c < dim; ++c) few.grids[t].at(r, c) = inputs.grids[t].at(r, c);
    }
  }
  BOOST_TEST(loss_of(model, inputs.grids) == loss_of(plain, few.grids));
  const auto of_student = gradients_of(model, inputs.grids);
  const auto of_plain = gradients_of(plain, few.grids);
  for (std::size_t k = 0; k < of_plain.size(); ++k) {
    for (int r = 0; r < of_plain[k].rows(); ++r) {
      for (int c = 0; c < of_plain[k].columns(); ++c) BOOST_TEST(of_student[k].at(r, c) == of_plain[k].at(r, c));
    }
  }
}

BOOST_AUTO_TEST_CASE(noise_is_there_in_training_alone) {
  FncfSettings settings = student();
  settings.soft_weight = 0.0;
  settings.hint_weight = 0.0;
  const FncfModel quiet(settings);
  settings.hidden_noise = 0.3;
  const FncfModel inside(settings);
  settings.hidden_noise = 0.0;
  settings.input_noise = 0.3;
  const FncfModel outside(settings);
  Inputs<float> inputs(quiet);
  Grid<float> one(dim, dim);
  for (int c = 0; c < dim; ++c) one.at(c, c) = 1.0F;
  const std::vector<tape::Matrix<float>> grams{one.view(), one.view()};
  const double clean = loss_of(quiet, inputs.grids);
  for (const FncfModel* noisy : {&inside, &outside}) {
    BOOST_TEST(loss_of<float>(*noisy, inputs.grids, nullptr, 0, false, grams) == clean);
    BOOST_TEST(loss_of<float>(*noisy, inputs.grids, nullptr, 0, true, grams) != clean);
  }
}

BOOST_AUTO_TEST_CASE(noise_on_every_entry_of_a_profile_has_the_covariance_of_the_tables_gram_matrix) {
  constexpr int draws = 100000;
  constexpr double deviation = 0.3;
  Grid<double> table(7, dim, 0.8, 4);
  Grid<double> gram(dim, dim);
  for (int i = 0; i < dim; ++i) {
    for (int j = 0; j < dim; ++j) {
      for (int r = 0; r < 7; ++r) gram.at(i, j) += table.at(r, i) * table.at(r, j);
    }
  }
  Grid<double> zero(draws, dim);
  std::vector<Index> samples;
  for (Index k = 0; k < draws; ++k) samples.push_back(k);
  tape::Tape<double> tape;
  const tape::layers::Context<double> context{tape, {}, {}, true, {}, samples};
  const auto noisy =
      tape.value(systems::add_profile_noise(context, tape.constant(zero.view()), gram.view(), deviation, 0));
  for (int i = 0; i < dim; ++i) {
    for (int j = 0; j < dim; ++j) {
      double sum = 0.0;
      for (int k = 0; k < draws; ++k) sum += noisy.at(k, i) * noisy.at(k, j);
      const double expected = deviation * deviation * gram.at(i, j);
      const double scale = deviation * deviation * std::sqrt(gram.at(i, i) * gram.at(j, j));
      BOOST_TEST(std::abs(sum / draws - expected) < 0.02 * scale);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_score_of_a_pair_is_the_logit_that_was_trained) {
  FncfSettings settings = student();
  settings.has_teacher = false;
  const FncfModel model(settings);
  Inputs<float> inputs(model);
  std::vector<table::DenseShape> shapes;
  for (const auto& p : model.declarations().all()) shapes.push_back({p.name, p.rows, p.columns, "constant", 0.0});
  table::DenseParameters dense(shapes, {1, 1}, 0, {.rule = optim::Rule::sgd});
  for (int k = 0; k < dense.count(); ++k) {
    const auto at = static_cast<std::size_t>(k);
    for (int r = 0; r < shapes[at].rows; ++r)
      std::copy_n(inputs.grids[2 + at].row(r), shapes[at].columns, dense.table(k).record(r));
  }
  const game::NeuralBatch examples = batch();
  const auto profile = [&](std::size_t role, std::int32_t bag) {
    const auto& lists = examples.bags[role];
    const auto b = static_cast<std::size_t>(bag);
    std::vector<float> sum(dim);
    for (std::int64_t j = lists.offsets[b]; j < lists.offsets[b + 1]; ++j) {
      for (int c = 0; c < dim; ++c)
        sum[static_cast<std::size_t>(c)] += inputs.grids[1 - role].at(lists.slots[static_cast<std::size_t>(j)], c);
    }
    for (float& x : sum) x *= model.profile_scale(lists.offsets[b + 1] - lists.offsets[b]);
    return sum;
  };
  const auto pairs = model.pair_function(dense);
  BOOST_TEST_REQUIRE((pairs != nullptr));
  double loss = 0.0;
  for (std::size_t k = 0; k < examples.labels.size(); ++k) {
    std::vector<float> user(static_cast<std::size_t>(model.score_columns()));
    std::vector<float> item(user.size());
    model.represent_user(dense, profile(0, examples.slots[0][k]).data(), user.data());
    model.represent_item(dense, profile(1, examples.slots[1][k]).data(), item.data());
    const double z = catalogue::score_pair(*pairs, user.data(), item.data(), model.score_columns());
    loss += std::max(z, 0.0) - z * examples.labels[k] + std::log1p(std::exp(-std::abs(z)));
  }
  BOOST_TEST(std::abs(loss - loss_of(model, inputs.grids)) < 2e-5);
}

BOOST_AUTO_TEST_SUITE_END()
