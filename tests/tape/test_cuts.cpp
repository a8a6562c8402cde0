#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <cstring>
#include <functional>

#include "operation_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/tape/elementwise.hpp"
#include "spar/tape/linear.hpp"
#include "spar/tape/normalise.hpp"
#include "spar/tape/reduce.hpp"

namespace {

using namespace spar;
using namespace spar::test;
using tape::Matrix;
using tape::Tape;
using tape::Var;

constexpr int width = 5;
constexpr int hidden = 19;

// What one shard has of a step: its rows, its gradients, and where its segments stand.
struct Shard {
  Shard(const Grid<double>& all, int first, int count)
      : rows(count, width),
        rows_gradient(count, width),
        weights_gradient(width, hidden),
        gain_gradient(1, hidden),
        offset_gradient(1, hidden) {
    for (int r = 0; r < count; ++r) std::memcpy(&rows.at(r, 0), all.row(first + r), width * sizeof(double));
  }

  Tape<double> tape;
  Grid<double> rows;
  Grid<double> rows_gradient;
  Grid<double> weights_gradient;
  Grid<double> gain_gradient;
  Grid<double> offset_gradient;
  Var gain;
  Var offset;
  Var h;
  Var sums;
  Var loss;
};

// Parameters and state that all shards share.
struct Model {
  Grid<double> weights{width, hidden, 0.4, 5};
  Grid<double> gain{1, hidden, 1.1, 6};
  Grid<double> offset{1, hidden, 0.3, 7};
  Grid<double> mean{1, hidden, 0.5, 8};
  Grid<double> variance{1, hidden};
  std::vector<Grid<double>> scalisers;

  tape::RunningMoments<double> running() { return {mean.view(), variance.view()}; }
};

// Three segments with two cuts between: a batch norm, then the variance of its squares over the whole batch.
void first_segment(Model& model, Shard& s) {
  s.tape.reset();
  const Var x = s.tape.parameter(s.rows.view(), s.rows_gradient.view());
  const Var w = s.tape.parameter(model.weights.view(), s.weights_gradient.view());
  s.gain = s.tape.parameter(model.gain.view(), s.gain_gradient.view());
  s.offset = s.tape.parameter(model.offset.view(), s.offset_gradient.view());
  s.h = tape::linear(s.tape, x, w, {}, tape::Activation::tanh);
  s.sums = s.tape.cut(tape::batch_sums(s.tape, s.h, model.running()));
}

void second_segment(Model& model, Shard& s) {
  s.h = tape::batch_normalise(s.tape, s.h, s.sums, model.running(), s.gain, s.offset, 1e-5);
  s.sums = s.tape.cut(tape::column_sum(s.tape, tape::square(s.tape, s.h)));
}

void third_segment(Shard& s, Grid<double>& scaliser_rows) {
  const Var weighted = tape::multiply(s.tape, s.h, s.tape.constant(scaliser_rows.view()));
  // The cross-shard value enters the loss of every shard, so its gradient is a sum over them.
  const Var mixed = tape::multiply(s.tape, weighted, s.tape.constant(scaliser_rows.view()));
  const Var scale = tape::mean(s.tape, s.sums);
  s.loss = tape::add(s.tape, tape::sum(s.tape, weighted), tape::multiply(s.tape, scale, tape::sum(s.tape, mixed)));
}

using Take = std::function<const Matrix<double>&(Tape<double>&)>;
using Give = std::function<void(Tape<double>&, const Matrix<double>&)>;

// What an engine does at a cut: sums over the shards in their order and hands the sum to all.
void exchange(std::vector<Shard>& shards, const Take& take, const Give& give) {
  const Matrix<double> shape = take(shards[0].tape);
  Grid<double> sum(shape.rows, shape.columns);
  for (auto& s : shards) {
    for (int r = 0; r < shape.rows; ++r) {
      for (int c = 0; c < shape.columns; ++c) sum.at(r, c) += take(s.tape).at(r, c);
    }
  }
  for (auto& s : shards) give(s.tape, sum.view());
}

void close_cuts(std::vector<Shard>& shards) {
  exchange(
      shards, [](Tape<double>& t) -> const Matrix<double>& { return t.open_cut(); },
      [](Tape<double>& t, const Matrix<double>& sum) { t.close_cut(sum); });
}

double step(Model& model, std::vector<Shard>& shards, std::vector<Grid<double>>& scalisers) {
  for (auto& s : shards) first_segment(model, s);
  close_cuts(shards);
  for (auto& s : shards) second_segment(model, s);
  close_cuts(shards);
  double loss = 0.0;
  for (std::size_t k = 0; k < shards.size(); ++k) {
    third_segment(shards[k], scalisers[k]);
    loss += shards[k].tape.value(shards[k].loss).at(0, 0);
    shards[k].tape.begin_backward(shards[k].loss);
  }
  for (bool more = true; more;) {
    for (auto& s : shards) more = s.tape.backward_to_cut();
    if (more)
      exchange(
          shards, [](Tape<double>& t) -> const Matrix<double>& { return t.cut_gradient(); },
          [](Tape<double>& t, const Matrix<double>& sum) { t.set_cut_gradient(sum); });
  }
  return loss;
}

struct Outcome {
  double loss;
  Grid<double> rows_gradient;
  std::vector<Grid<double>> dense;
};

Outcome train(Model& model, const Grid<double>& all, const std::vector<int>& sizes) {
  std::vector<Shard> shards;
  std::vector<Grid<double>> scalisers;
  shards.reserve(sizes.size());
  int first = 0;
  for (const int size : sizes) {
    shards.emplace_back(all, first, size);
    scalisers.emplace_back(size, hidden);
    for (int r = 0; r < size; ++r) {
      for (int c = 0; c < hidden; ++c) scalisers.back().at(r, c) = scaliser(first + r, c);
    }
    first += size;
  }
  Outcome outcome{step(model, shards, scalisers), Grid<double>(all.rows(), width), {}};
  outcome.dense = {Grid<double>(width, hidden), Grid<double>(1, hidden), Grid<double>(1, hidden)};
  first = 0;
  for (auto& s : shards) {
    for (int r = 0; r < s.rows.rows(); ++r, ++first)
      std::memcpy(&outcome.rows_gradient.at(first, 0), s.rows_gradient.row(r), width * sizeof(double));
    const Grid<double>* parts[] = {&s.weights_gradient, &s.gain_gradient, &s.offset_gradient};
    for (std::size_t k = 0; k < 3; ++k) {
      for (int r = 0; r < parts[k]->rows(); ++r) {
        for (int c = 0; c < hidden; ++c) outcome.dense[k].at(r, c) += parts[k]->at(r, c);
      }
    }
  }
  return outcome;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuts)

BOOST_AUTO_TEST_CASE(shards_that_meet_at_cuts_equal_one_tape_with_the_whole_batch) {
  const auto all = grid(23, width, 1);
  Model model;
  const auto whole = train(model, all, {23});
  for (const auto& sizes : {std::vector<int>{11, 12}, {1, 4, 18}, {8, 0, 8, 7}}) {
    const auto parts = train(model, all, sizes);
    BOOST_TEST(parts.loss == whole.loss, boost::test_tools::tolerance(1e-13));
    check_close(std::vector{parts.rows_gradient}, std::vector{whole.rows_gradient}, 1e-12);
    check_close(parts.dense, whole.dense, 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(gradients_across_cuts_are_those_of_central_differences) {
  Model model;
  std::vector<Grid<double>> inputs{grid(9, width, 1), model.weights, model.gain, model.offset};
  const auto numeric = numeric_gradients(inputs, [&](std::vector<Grid<double>>& moved) {
    Model at = model;
    at.weights = moved[1];
    at.gain = moved[2];
    at.offset = moved[3];
    return train(at, moved[0], {4, 5}).loss;
  });
  const auto got = train(model, inputs[0], {4, 5});
  check_close(std::vector{got.rows_gradient, got.dense[0], got.dense[1], got.dense[2]}, numeric, 1e-7);
}

BOOST_AUTO_TEST_CASE(plain_backward_takes_a_cut_for_a_sum_over_one_shard) {
  Model model;
  const auto all = grid(6, width, 1);
  const auto expected = train(model, all, {6});
  Shard s(all, 0, 6);
  Grid<double> scalisers(6, hidden);
  for (int r = 0; r < 6; ++r) {
    for (int c = 0; c < hidden; ++c) scalisers.at(r, c) = scaliser(r, c);
  }
  first_segment(model, s);
  s.tape.close_cut(s.tape.open_cut());
  second_segment(model, s);
  s.tape.close_cut(s.tape.open_cut());
  third_segment(s, scalisers);
  s.tape.backward(s.loss);
  check_close(std::vector{s.rows_gradient}, std::vector{expected.rows_gradient}, 0.0);
}

BOOST_AUTO_TEST_CASE(a_shard_whose_loss_is_a_constant_still_meets_the_others_at_the_cut) {
  Grid<double> x(2, 3, 1.0, 1);
  Grid<double> gradient(2, 3);
  gradient.fill(9.0);
  Tape<double> tape;
  const Var total = tape.cut(tape::column_sum(tape, tape.parameter(x.view(), gradient.view())));
  tape.close_cut(tape.open_cut());
  BOOST_TEST(tape.value(total).at(0, 0) == x.at(0, 0) + x.at(1, 0));
  tape.begin_backward();
  BOOST_REQUIRE(tape.backward_to_cut());
  for (int c = 0; c < 3; ++c) BOOST_TEST(tape.cut_gradient().at(0, c) == 0.0);
  Grid<double> sum = matrix(1, 3, {1, 2, 3});
  tape.set_cut_gradient(sum.view());
  BOOST_TEST(!tape.backward_to_cut());
  check_numbers(gradient.numbers(), {1, 2, 3, 1, 2, 3});
}

BOOST_AUTO_TEST_CASE(a_cut_is_closed_before_it_is_used_and_one_at_a_time) {
  Grid<double> x(2, 3, 1.0, 1);
  Tape<double> tape;
  BOOST_TEST(!tape.has_open_cut());
  const Var v = tape.constant(x.view());
  const Var open = tape.cut(v);
  BOOST_TEST(tape.has_open_cut());
  BOOST_TEST(std::isnan(tape.value(open).at(1, 2)));
  BOOST_CHECK_THROW(tape.cut(v), Bug);
  BOOST_CHECK_THROW(tape.begin_backward(), Bug);
  Grid<double> wrong(3, 2);
  BOOST_CHECK_THROW(tape.close_cut(wrong.view()), Bug);
  tape.reset();
  BOOST_CHECK_THROW(tape.open_cut(), Bug);
}

BOOST_AUTO_TEST_SUITE_END()
