#include <cmath>
#include <vector>

#include "src/systems/ncf.hpp"
#include "support/gradient_check.hpp"
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "spar/catalogue/lanes.hpp"
#include "spar/tape/layers/parameters.hpp"

namespace {

using namespace spar;
using systems::NcfModel;

struct Form {
  int product;
  std::vector<int> layers;
};
const Form forms[] = {{5, {}}, {0, {6, 4, 3}}, {3, {8, 5, 4, 2}}, {2, {4, 7}}};
const auto all_forms = boost::unit_test::data::xrange(std::size(forms));

NcfModel model_of(std::size_t form) {
  return {forms[form].product, forms[form].layers, 1};
}

// Three users, four items, six examples, some rows in several of them.
game::NeuralBatch batch() {
  return {.rows = {{10, 11, 12}, {7, 3, 5, 1}},
          .slots = {{0, 0, 1, 2, 2, 1}, {0, 1, 1, 2, 3, 0}},
          .labels = {1, 0, 1, 1, 0, 0},
          .samples = {0, 1, 2, 3, 4, 5},
          .examples = 6,
          .length = 0,
          .valid = {}};
}

template <class T>
struct Inputs {
  test::Grid<T> users;
  test::Grid<T> items;
  std::vector<test::Grid<T>> dense;

  Inputs(const NcfModel& model, double scale)
      : users(3, model.user_columns(), scale, 1), items(4, model.item_columns(), scale, 2) {
    int salt = 3;
    for (const auto& p : model.declarations().all()) dense.emplace_back(p.rows, p.columns, scale, salt++);
  }
  std::vector<test::Grid<T>*> all() {
    std::vector<test::Grid<T>*> grids{&users, &items};
    for (auto& grid : dense) grids.push_back(&grid);
    return grids;
  }
};

// The loss, and its gradient in `gradients` where given.
template <class T>
double loss_of(const NcfModel& model, Inputs<T>& inputs, std::vector<test::Grid<T>>* gradients = nullptr) {
  static const game::NeuralBatch examples = batch();
  tape::Tape<T> tape;
  std::vector<tape::Var> vars;
  std::size_t k = 0;
  for (test::Grid<T>* grid : inputs.all())
    vars.push_back(gradients == nullptr ? tape.constant(grid->view())
                                        : tape.parameter(grid->view(), (*gradients)[k++].view()));
  const std::span<const tape::Var> tables(vars.data(), 2);
  const game::Pass<T> pass{{tape, std::span<const tape::Var>(vars).subspan(2)}, examples, tables};
  const tape::Var loss = model.build(pass);
  const auto value = static_cast<double>(tape.value(loss).at(0, 0));
  if (gradients != nullptr) tape.backward(loss);
  return value;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(ncf)

BOOST_DATA_TEST_CASE(the_gradient_of_the_loss_is_that_of_central_differences, all_forms, form) {
  const NcfModel model = model_of(form);
  Inputs<double> inputs(model, 0.7);
  std::vector<test::Grid<double>> gradients;
  for (const test::Grid<double>* grid : inputs.all()) gradients.emplace_back(grid->rows(), grid->columns());
  loss_of(model, inputs, &gradients);
  constexpr double h = 1e-6;
  std::size_t k = 0;
  for (test::Grid<double>* grid : inputs.all()) {
    for (int r = 0; r < grid->rows(); ++r) {
      for (int c = 0; c < grid->columns(); ++c) {
        const double x = grid->at(r, c);
        grid->at(r, c) = x + h;
        const double above = loss_of(model, inputs);
        grid->at(r, c) = x - h;
        const double below = loss_of(model, inputs);
        grid->at(r, c) = x;
        BOOST_TEST(std::abs((above - below) / (2 * h) - gradients[k].at(r, c)) < 1e-7);
      }
    }
    ++k;
  }
}

// He et al., eq. 7 to 12 written out, and what the evaluator scores: the same but for rounding and, for gmf, the bias.
BOOST_DATA_TEST_CASE(the_score_of_a_pair_is_the_logit_that_was_trained, all_forms, form) {
  const NcfModel model = model_of(form);
  Inputs<float> inputs(model, 0.7);
  std::vector<table::DenseShape> shapes;
  for (const auto& p : model.declarations().all()) shapes.push_back({p.name, p.rows, p.columns, "constant", 0.0});
  table::DenseParameters dense(shapes, {1, 1}, 0, {.rule = optim::Rule::sgd});
  for (int k = 0; k < dense.count(); ++k) {
    for (int r = 0; r < shapes[static_cast<std::size_t>(k)].rows; ++r) {
      for (int c = 0; c < shapes[static_cast<std::size_t>(k)].columns; ++c)
        dense.table(k).record(r)[c] = inputs.dense[static_cast<std::size_t>(k)].at(r, c);
    }
  }
  const auto pairs = model.pair_function(dense);
  const auto columns = static_cast<std::size_t>(model.score_columns());
  const game::NeuralBatch examples = batch();
  double loss = 0.0;
  for (std::size_t k = 0; k < examples.labels.size(); ++k) {
    std::vector<float> user(columns);
    std::vector<float> item(columns);
    model.represent_user(dense, inputs.users.row(examples.slots[0][k]), user.data());
    model.represent_item(dense, inputs.items.row(examples.slots[1][k]), item.data());
    double score = 0.0;
    if (pairs) {
      score = catalogue::score_pair(*pairs, user.data(), item.data(), model.score_columns());
    } else {
      score = catalogue::score_pair(user.data(), item.data(), model.score_columns()) +
              dense.table(dense.find("output.bias")).record(0)[0];
    }
    loss += std::max(score, 0.0) - score * examples.labels[k] + std::log1p(std::exp(-std::abs(score)));
  }
  BOOST_TEST(std::abs(loss - loss_of(model, inputs)) < 2e-5);
}

BOOST_AUTO_TEST_CASE(a_score_is_the_same_bits_wherever_the_pair_stands) {
  const NcfModel model = model_of(2);
  std::vector<table::DenseShape> shapes;
  for (const auto& p : model.declarations().all()) shapes.push_back({p.name, p.rows, p.columns, "normal", 0.8});
  table::DenseParameters dense(shapes, {1, 1}, 0, {.rule = optim::Rule::sgd});
  dense.initialize(1, 5);
  const auto pairs = model.pair_function(dense);
  const int columns = model.score_columns();
  constexpr int items = 101;
  test::Grid<float> users(7, columns, 0.9, 1);
  test::Grid<float> rows(items, columns, 0.9, 2);
  catalogue::ItemPanels panels;
  panels.pack({&rows.at(0, 0), 0, items, columns, rows.stride()}, 0, items, {});
  const Index stride = static_cast<Index>(panels.panels()) * catalogue::panel_items;
  Buffer<float> scores(static_cast<std::size_t>(7 * stride));
  std::vector<const float*> user_rows;
  for (int u = 0; u < 7; ++u) user_rows.push_back(users.row(u));
  BOOST_TEST(catalogue::score_panels(*pairs, user_rows.data(), 7, panels, 0, panels.panels(), scores.data(), stride));
  for (int u = 0; u < 7; ++u) {
    for (int i = 0; i < items; ++i)
      BOOST_TEST(scores[static_cast<std::size_t>(u * stride + i)] ==
                 catalogue::score_pair(*pairs, users.row(u), rows.row(i), columns));
  }
}

BOOST_AUTO_TEST_SUITE_END()
