#include <cmath>
#include <vector>

#include "src/systems/pitf.hpp"
#include "support/gradient_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/catalogue/lanes.hpp"
#include "spar/catalogue/score.hpp"

namespace {

using namespace spar;
using systems::PitfModel;
using Rows = test::Grid<double>;

/// Distinct rows of users, items and tags ([TU; TI]), and the examples' slots into them.
struct Case {
  int dim;
  std::vector<Rows> tables;
  std::vector<std::vector<std::int32_t>> slots;  // user, item, t+, t-
};

struct Result {
  double loss = 0.0;
  double penalty = 0.0;
  std::vector<Rows> gradients;
};

Result pass(const Case& example, double l2 = 0.0, bool of_penalty = false) {
  const PitfModel model(example.dim, l2);
  game::NeuralBatch batch;
  batch.slots = example.slots;
  batch.examples = static_cast<int>(example.slots[0].size());
  Result result;
  std::vector<Rows> inputs = example.tables;
  for (const Rows& input : inputs) result.gradients.emplace_back(input.rows(), input.columns());
  tape::Tape<double> tape;
  std::vector<tape::Var> tables;
  for (std::size_t k = 0; k < inputs.size(); ++k)
    tables.push_back(tape.parameter(inputs[k].view(), result.gradients[k].view()));
  tape::Var penalty;
  const game::Pass<double> pass{
      .context = {tape, {}}, .batch = batch, .tables = tables, .share = 1.0, .penalty = &penalty};
  const tape::Var loss = model.build(pass);
  result.loss = tape.value(loss).at(0, 0);
  if (penalty.id >= 0) result.penalty = tape.value(penalty).at(0, 0);
  tape.backward(of_penalty ? penalty : loss);
  return result;
}

Rows rows_of(const std::vector<std::vector<double>>& values) {
  Rows rows(static_cast<int>(values.size()), static_cast<int>(values.front().size()));
  for (int r = 0; r < rows.rows(); ++r) {
    for (int c = 0; c < rows.columns(); ++c)
      rows.at(r, c) = values[static_cast<std::size_t>(r)][static_cast<std::size_t>(c)];
  }
  return rows;
}

// One user, one item, tags a and b; a is given.
Case by_hand() {
  return {2,
          {rows_of({{1, 0.5}}), rows_of({{0.2, -0.4}}), rows_of({{0.3, 0.1, 0.5, 0.5}, {-0.2, 0.4, 0.1, -0.3}})},
          {{0}, {0}, {0}, {1}}};
}

// Three users, two items, five tags, seven examples, rows in several of them.
Case several() {
  return {3,
          {Rows(3, 3, 0.7, 1), Rows(2, 3, 0.8, 2), Rows(5, 6, 0.6, 3)},
          {{0, 0, 1, 2, 2, 1, 0}, {0, 1, 1, 0, 0, 1, 0}, {0, 1, 1, 2, 3, 0, 4}, {4, 2, 0, 0, 1, 3, 3}}};
}

void check_near(double value, double expected, double most) {
  BOOST_TEST(std::abs(value - expected) < most, value << " for " << expected);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pitf)

BOOST_AUTO_TEST_CASE(an_example_on_paper_has_its_loss_and_gradients) {
  const Result result = pass(by_hand());
  check_near(result.loss, 0.6396589, 1e-7);
  const std::vector<std::vector<double>> expected{
      {-0.2362638, 0.1417583}, {-0.1890111, -0.3780222}, {-0.4725277, -0.2362638, -0.0945055, 0.1890111}};
  for (std::size_t t = 0; t < 3; ++t) {
    for (std::size_t c = 0; c < expected[t].size(); ++c) {
      check_near(result.gradients[t].at(0, static_cast<int>(c)), expected[t][c], 1e-7);
      if (t == 2) check_near(result.gradients[t].at(1, static_cast<int>(c)), -expected[t][c], 1e-7);
    }
  }
}

// Each half of a tag's row is a row of its own for the adversary.
BOOST_AUTO_TEST_CASE(six_rows_perturbed_by_a_half_have_the_loss_on_paper) {
  Case example = by_hand();
  const Result clean = pass(example);
  for (std::size_t t = 0; t < 3; ++t) {
    for (int r = 0; r < example.tables[t].rows(); ++r) {
      for (int first = 0; first < example.tables[t].columns(); first += 2) {
        const double norm = std::hypot(clean.gradients[t].at(r, first), clean.gradients[t].at(r, first + 1));
        for (int c = first; c < first + 2; ++c) example.tables[t].at(r, c) += 0.5 * clean.gradients[t].at(r, c) / norm;
      }
    }
  }
  const double loss = pass(example).loss;
  check_near(loss, 2.3281328, 1e-7);
  check_near(std::log(std::expm1(loss)), 2.2255710, 1e-7);
}

BOOST_AUTO_TEST_CASE(the_gradients_of_all_four_tables_and_of_the_penalty_are_those_of_central_differences) {
  constexpr double h = 1e-6;
  for (const bool of_penalty : {false, true}) {
    Case example = several();
    const Result at = pass(example, 0.3, of_penalty);
    const auto value = [&] {
      const Result result = pass(example, 0.3);
      return of_penalty ? result.penalty : result.loss;
    };
    for (std::size_t t = 0; t < example.tables.size(); ++t) {
      Rows& table = example.tables[t];
      for (int r = 0; r < table.rows(); ++r) {
        for (int c = 0; c < table.columns(); ++c) {
          const double x = table.at(r, c);
          table.at(r, c) = x + h;
          const double above = value();
          table.at(r, c) = x - h;
          const double below = value();
          table.at(r, c) = x;
          check_near((above - below) / (2 * h), at.gradients[t].at(r, c), 1e-8);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_penalty_counts_the_six_rows_of_each_example) {
  const Case example = by_hand();
  double squares = 0.0;
  for (const Rows& table : example.tables) {
    for (const double x : table.numbers()) squares += x * x;
  }
  check_near(pass(example, 0.3).penalty, 0.3 * squares, 1e-12);
  BOOST_TEST(pass(example).penalty == 0.0);
}

// softplus(-s) - softplus(s) = -s.
BOOST_AUTO_TEST_CASE(exchanging_the_two_tags_turns_the_sign_of_their_difference) {
  const Case example = by_hand();
  Case turned = example;
  std::swap(turned.slots[2], turned.slots[3]);
  check_near(pass(turned).loss - pass(example).loss, 0.11, 1e-12);
}

BOOST_AUTO_TEST_CASE(what_all_tags_have_in_common_changes_neither_the_loss_nor_the_posts_gradients) {
  const Case example = several();
  Case moved = example;
  for (int tag = 0; tag < 5; ++tag) {
    for (int c = 0; c < 6; ++c) moved.tables[2].at(tag, c) += 0.3 * c - 0.7;
  }
  const Result a = pass(example);
  const Result b = pass(moved);
  check_near(b.loss, a.loss, 1e-12);
  for (std::size_t t = 0; t < 3; ++t) {
    for (int r = 0; r < a.gradients[t].rows(); ++r) {
      for (int c = 0; c < a.gradients[t].columns(); ++c)
        check_near(b.gradients[t].at(r, c), a.gradients[t].at(r, c), 1e-12);
    }
  }
}

// Users, items and tags as the evaluator sees them.
BOOST_AUTO_TEST_CASE(scores_are_those_that_training_ranks_by) {
  const Case example = several();
  const PitfModel model(example.dim, 0.0);
  BOOST_TEST(model.score_columns() == 6);
  const table::DenseParameters dense({}, {1, 1}, 0, {.rule = optim::Rule::sgd});
  std::vector<test::Grid<float>> tables;
  for (const Rows& table : example.tables) tables.push_back(table.as<float>());
  double loss = 0.0;
  for (std::size_t k = 0; k < example.slots[0].size(); ++k) {
    const float* const post[] = {tables[0].row(example.slots[0][k]), tables[1].row(example.slots[1][k])};
    std::vector<float> query(6);
    model.represent_query(dense, post, query.data());
    double scores[2];
    for (std::size_t side = 0; side < 2; ++side) {
      std::vector<float> tag(6);
      model.represent_candidate(dense, tables[2].row(example.slots[2 + side][k]), tag.data());
      scores[side] = catalogue::score_pair(query.data(), tag.data(), 6);
    }
    loss += std::log1p(std::exp(scores[1] - scores[0]));
  }
  check_near(loss, pass(example).loss, 1e-5);
}

BOOST_AUTO_TEST_SUITE_END()
