#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#include "src/systems/ncf.hpp"
#include "support/gradient_check.hpp"
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "spar/tape/layers/parameters.hpp"

// Batch norm on the perceptrons of mlp and neumf: the loss of several shards that meet at their cuts.
namespace {

using namespace spar;
using systems::NcfModel;
using test::Grid;

struct Form {
  int product;
  std::vector<int> layers;
};
const Form forms[] = {{0, {6, 4, 3}}, {3, {8, 5, 4, 2}}};
const auto all_forms = boost::unit_test::data::xrange(std::size(forms));

NcfModel model_of(std::size_t form) {
  return {forms[form].product, forms[form].layers, 1, true};
}

struct Example {
  int user;
  int item;
  float label;
};
const std::vector<Example> examples{{0, 0, 1}, {0, 1, 0}, {1, 1, 1}, {2, 2, 1}, {2, 3, 0}, {1, 0, 0}, {0, 3, 1}};
constexpr int users = 3;
constexpr int items = 4;

// Every shard sees all rows; which of them its examples need is told by the slots.
game::NeuralBatch batch_of(std::size_t first, std::size_t count) {
  game::NeuralBatch batch{.rows = {{0, 1, 2}, {0, 1, 2, 3}},
                          .slots = {{}, {}},
                          .labels = {},
                          .samples = {},
                          .examples = static_cast<int>(count),
                          .length = 0,
                          .valid = {}};
  for (std::size_t k = first; k < first + count; ++k) {
    batch.slots[0].push_back(examples[k].user);
    batch.slots[1].push_back(examples[k].item);
    batch.labels.push_back(examples[k].label);
    batch.samples.push_back(static_cast<Index>(k));
  }
  return batch;
}

// Rows of users and items, then dense parameters; and the running moments.
struct Inputs {
  std::vector<Grid<double>> all;
  std::vector<Grid<double>> states;

  explicit Inputs(const NcfModel& model) {
    all.emplace_back(users, model.user_columns(), 0.9, 1);
    all.emplace_back(items, model.item_columns(), 0.9, 2);
    int salt = 3;
    for (const auto& p : model.declarations().all()) all.emplace_back(p.rows, p.columns, 0.9, salt++);
    for (const auto& p : model.declarations().states()) {
      states.emplace_back(p.rows, p.columns, 0.3, salt++);
      // Variances are positive.
      for (int c = 0; c < p.columns; ++c) states.back().at(0, c) = 0.6 + std::abs(states.back().at(0, c));
    }
  }
  std::vector<Grid<double>> like() const {
    std::vector<Grid<double>> zeros;
    for (const auto& grid : all) zeros.emplace_back(grid.rows(), grid.columns());
    return zeros;
  }
};

struct Shard {
  tape::Tape<double> tape;
  game::NeuralBatch batch;
  std::vector<Grid<double>> gradients;
  std::vector<tape::Var> vars;
  std::vector<tape::Matrix<double>> states;
  std::unique_ptr<game::Pass<double>> pass;
  std::vector<tape::Var> kept;
  tape::Var loss;
};

// What the engine does at a cut, in float64 and one shard after the other.
void exchange(std::vector<Shard>& shards, const std::function<const tape::Matrix<double>&(tape::Tape<double>&)>& take,
              const std::function<void(tape::Tape<double>&, const tape::Matrix<double>&)>& give) {
  const tape::Matrix<double> shape = take(shards.front().tape);
  Grid<double> sum(shape.rows, shape.columns);
  for (auto& s : shards) {
    for (int r = 0; r < shape.rows; ++r) {
      for (int c = 0; c < shape.columns; ++c) sum.at(r, c) += take(s.tape).at(r, c);
    }
  }
  for (auto& s : shards) give(s.tape, sum.view());
}

// The total loss of examples dealt to shards of these sizes; gradients are added to `gradients` where given.
double loss_of(const NcfModel& model, Inputs& inputs, const std::vector<std::size_t>& sizes,
               std::vector<Grid<double>>* gradients = nullptr) {
  std::vector<Shard> shards(sizes.size());
  const int last = static_cast<int>(model.cuts().size());
  std::size_t first = 0;
  for (std::size_t k = 0; k < sizes.size(); first += sizes[k++]) {
    Shard& s = shards[k];
    s.batch = batch_of(first, sizes[k]);
    s.gradients = inputs.like();
    for (std::size_t p = 0; p < inputs.all.size(); ++p)
      s.vars.push_back(s.tape.parameter(inputs.all[p].view(), s.gradients[p].view()));
    for (auto& state : inputs.states) s.states.push_back(state.view());
    const std::span<const tape::Var> vars(s.vars);
    s.pass = std::make_unique<game::Pass<double>>(
        game::Pass<double>{.context = {s.tape, vars.subspan(2), s.states}, .batch = s.batch, .tables = vars.first(2)});
    s.pass->context.training = true;
  }
  for (int segment = 0; segment <= last; ++segment) {
    if (segment > 0)
      exchange(
          shards, [](auto& tape) -> const tape::Matrix<double>& { return tape.open_cut(); },
          [](auto& tape, const auto& sum) { tape.close_cut(sum); });
    for (auto& s : shards) s.loss = model.build_segment(*s.pass, segment, s.kept);
  }
  double loss = 0.0;
  for (auto& s : shards) loss += s.tape.value(s.loss).at(0, 0);
  if (gradients == nullptr) return loss;
  for (auto& s : shards) s.tape.begin_backward(s.loss);
  for (bool more = true; more;) {
    for (auto& s : shards) more = s.tape.backward_to_cut();
    if (more)
      exchange(
          shards, [](auto& tape) -> const tape::Matrix<double>& { return tape.cut_gradient(); },
          [](auto& tape, const auto& sum) { tape.set_cut_gradient(sum); });
  }
  for (auto& s : shards) {
    for (std::size_t p = 0; p < gradients->size(); ++p) {
      for (int r = 0; r < s.gradients[p].rows(); ++r) {
        for (int c = 0; c < s.gradients[p].columns(); ++c) (*gradients)[p].at(r, c) += s.gradients[p].at(r, c);
      }
    }
  }
  return loss;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(batch_norm)

BOOST_DATA_TEST_CASE(the_gradient_of_the_loss_of_all_shards_is_that_of_central_differences, all_forms, form) {
  const NcfModel model = model_of(form);
  Inputs inputs(model);
  const std::vector<std::size_t> sizes{3, 0, 2, 2};
  std::vector<Grid<double>> gradients = inputs.like();
  loss_of(model, inputs, sizes, &gradients);
  constexpr double h = 1e-6;
  double largest = 0.0;
  for (std::size_t p = 0; p < inputs.all.size(); ++p) {
    for (int r = 0; r < inputs.all[p].rows(); ++r) {
      for (int c = 0; c < inputs.all[p].columns(); ++c) {
        double& x = inputs.all[p].at(r, c);
        const double before = x;
        x = before + h;
        const double above = loss_of(model, inputs, sizes);
        x = before - h;
        const double below = loss_of(model, inputs, sizes);
        x = before;
        BOOST_TEST(std::abs((above - below) / (2 * h) - gradients[p].at(r, c)) < 1e-7);
        largest = std::max(largest, std::abs(gradients[p].at(r, c)));
      }
    }
  }
  BOOST_TEST(largest > 0.1);
}

BOOST_DATA_TEST_CASE(shards_that_meet_at_cuts_are_one_shard_with_the_whole_batch, all_forms, form) {
  const NcfModel model = model_of(form);
  Inputs inputs(model);
  std::vector<Grid<double>> whole = inputs.like();
  const double loss = loss_of(model, inputs, {7}, &whole);
  for (const auto& sizes : {std::vector<std::size_t>{4, 3}, {1, 0, 5, 1}, {1, 1, 1, 1, 1, 1, 1}}) {
    std::vector<Grid<double>> parts = inputs.like();
    BOOST_TEST(std::abs(loss_of(model, inputs, sizes, &parts) - loss) < 1e-12);
    for (std::size_t p = 0; p < whole.size(); ++p) {
      const auto a = parts[p].numbers();
      const auto b = whole[p].numbers();
      for (std::size_t k = 0; k < a.size(); ++k) BOOST_TEST(std::abs(a[k] - b[k]) < 1e-11);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_step_with_one_example_is_its_offset_alone_and_moves_no_weight_below) {
  const NcfModel model = model_of(0);
  Inputs inputs(model);
  std::vector<Grid<double>> gradients = inputs.like();
  BOOST_TEST(std::isfinite(loss_of(model, inputs, {0, 1, 0}, &gradients)));
  for (std::size_t p = 0; p < gradients.size(); ++p) {
    for (const double g : gradients[p].numbers()) BOOST_TEST(std::isfinite(g));
  }
  // x - mean is 0 whatever the rows are.
  for (std::size_t p = 0; p < 2; ++p) {
    for (const double g : gradients[p].numbers()) BOOST_TEST(std::abs(g) < 1e-9);
  }
}

BOOST_DATA_TEST_CASE(the_score_of_a_pair_is_the_logit_with_running_moments, all_forms, form) {
  const NcfModel model = model_of(form);
  Inputs inputs(model);
  table::DenseParameters dense =
      game::make_dense(model, {1, 1}, 0, {.rule = optim::Rule::adam, .learning_rate = 0.1F}, 1);
  const auto fill = [&](int k, const Grid<double>& from) {
    for (int r = 0; r < from.rows(); ++r) {
      for (int c = 0; c < from.columns(); ++c) dense.table(k).record(r)[c] = static_cast<float>(from.at(r, c));
    }
  };
  for (std::size_t p = 2; p < inputs.all.size(); ++p) fill(static_cast<int>(p) - 2, inputs.all[p]);
  for (std::size_t p = 0; p < inputs.states.size(); ++p) fill(dense.trained() + static_cast<int>(p), inputs.states[p]);
  const auto pairs = model.pair_function(dense);
  const auto columns = static_cast<std::size_t>(model.score_columns());
  double loss = 0.0;
  for (const Example& example : examples) {
    const Grid<float> user_rows = inputs.all[0].as<float>();
    const Grid<float> item_rows = inputs.all[1].as<float>();
    std::vector<float> user(columns);
    std::vector<float> item(columns);
    model.represent_user(dense, user_rows.row(example.user), user.data());
    model.represent_item(dense, item_rows.row(example.item), item.data());
    const double score = catalogue::score_pair(*pairs, user.data(), item.data(), model.score_columns());
    loss += std::max(score, 0.0) - score * example.label + std::log1p(std::exp(-std::abs(score)));
  }
  const game::NeuralBatch batch = batch_of(0, examples.size());
  tape::Tape<double> tape;
  std::vector<tape::Var> vars;
  for (auto& grid : inputs.all) vars.push_back(tape.constant(grid.view()));
  std::vector<tape::Matrix<double>> states;
  for (auto& state : inputs.states) states.push_back(state.view());
  const std::span<const tape::Var> given(vars);
  const game::Pass<double> pass{.context = {tape, given.subspan(2), states}, .batch = batch, .tables = given.first(2)};
  BOOST_TEST(std::abs(loss - tape.value(model.build(pass)).at(0, 0)) < 2e-5);
}

// No step of an optimiser: the gradient has no room for it, and a reset of the optimisers leaves it.
BOOST_AUTO_TEST_CASE(running_moments_belong_to_no_optimiser) {
  const NcfModel model = model_of(0);
  const optim::OptimizerSettings adam{.rule = optim::Rule::adam, .learning_rate = 0.1F};
  table::DenseParameters dense = game::make_dense(model, {1, 1}, 0, adam, 1);
  BOOST_TEST(dense.count() - dense.trained() == 4);
  BOOST_TEST(dense.trained() == static_cast<int>(model.declarations().all().size()));
  const int variance = dense.find("mlp.0.norm.variance");
  BOOST_TEST(variance >= dense.trained());
  for (int c = 0; c < 4; ++c) BOOST_TEST(dense.table(variance).record(0)[c] == 1.0F);
  dense.table(variance).record(0)[2] = 0.25F;
  std::vector<float> gradient(dense.gradient_floats(), 1.0F);
  optim::Updater updater(adam);
  updater.begin_step(1);
  dense.update(updater, gradient.data());
  dense.reset_state(adam);
  BOOST_TEST(dense.table(variance).record(0)[2] == 0.25F);
  BOOST_TEST(dense.table(variance).record(0)[1] == 1.0F);
  bool is_stored = false;
  for (const auto& part : dense.stored(true)) is_stored = is_stored || part.name == "dense.mlp.0.norm.variance";
  BOOST_TEST(is_stored);
}

BOOST_AUTO_TEST_SUITE_END()
