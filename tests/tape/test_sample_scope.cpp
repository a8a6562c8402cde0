#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <vector>

#include "slow_ranking.hpp"
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "spar/tape/sample_scope.hpp"

namespace {

using namespace spar;
using test::Grid;
using test::SlowShape;
using test::TripleList;
using Vars = std::vector<tape::Var>;

constexpr int users = 6;
constexpr int items = 11;

template <class T>
std::vector<Grid<T>> rows(const SlowShape& shape, double size) {
  const double scale = size / std::sqrt(static_cast<double>(shape.dim));
  std::vector<Grid<T>> inputs;
  inputs.emplace_back(users, shape.dim, scale, 1);
  inputs.emplace_back(items, shape.item_columns(), scale, 2);
  for (int r = 0; shape.bias >= 0 && r < items; ++r) {
    for (int c = shape.dim; c < shape.bias; ++c) inputs[1].at(r, c) = T{};
  }
  return inputs;
}

template <class T>
test::Build<T> sample_scope(const TripleList& triples, const tape::PairwiseSettings& settings,
                            const tape::SampleScope& scope, const SlowShape& shape) {
  return [&triples, settings, scope, shape](tape::Tape<T>& tape, const Vars& x) {
    return tape::pairwise_sample_scope(tape, x[0], x[1], triples.view(), settings, scope, shape.bias, nullptr, nullptr);
  };
}

// Tape against the slow form: the perturbations are built once, from the rows as they are, and stay what they are while
// the rows are moved for the differences.
void check(const SlowShape& shape, double size, const tape::PairwiseSettings& settings, const tape::SampleScope& scope,
           int count) {
  const TripleList triples = test::some_triples(count, users, items);
  auto inputs = rows<double>(shape, size);
  const auto perturbations = test::slow_perturbations(inputs, triples, settings.floor, scope, shape);
  const auto slow = [&](const std::vector<Grid<double>>& x) {
    return test::slow_sample_scope(x, triples, perturbations, settings, scope, shape);
  };
  tape::Tape<double> tape;
  double clean = 0.0;
  double perturbed = 0.0;
  const auto loss = tape::pairwise_sample_scope(tape, tape.constant(inputs[0].view()), tape.constant(inputs[1].view()),
                                                triples.view(), settings, scope, shape.bias, &clean, &perturbed);
  BOOST_TEST(tape.value(loss).at(0, 0) == slow(inputs), boost::test_tools::tolerance(1e-12));
  BOOST_TEST(clean == test::slow_ranking(inputs, triples, settings, shape), boost::test_tools::tolerance(1e-12));
  auto numeric = test::numeric_gradients(inputs, slow);
  for (auto& g : numeric) {
    for (int r = 0; r < g.rows(); ++r) {
      for (int c = 0; c < g.columns(); ++c) g.at(r, c) *= test::scaliser(0, 0);
    }
  }
  test::check_close(test::tape_gradients(inputs, sample_scope<double>(triples, settings, scope, shape)), numeric, 1e-8);
}

const auto dims = boost::unit_test::data::make({5, 16, 20, 64});
const auto biases = boost::unit_test::data::make({false, true});
const auto penalties = boost::unit_test::data::make({0.0, 0.3});

}  // namespace

BOOST_AUTO_TEST_SUITE(sample_scope_of_apr)

BOOST_DATA_TEST_CASE(it_has_the_value_and_the_gradients_of_perturbations_built_triple_by_triple,
                     dims* biases* penalties, dim, with_bias, l2) {
  const SlowShape shape{dim, with_bias ? padded(dim) : -1};
  for (const int count : {1, 17, 37})
    check(shape, 1.4, {.l2 = l2}, {.epsilon = 0.5, .weight = 0.7, .norm_floor = 1e-6}, count);
}

BOOST_AUTO_TEST_CASE(gradients_below_the_norm_floor_give_perturbations_that_fade_out) {
  // Rows of size 1e-7 have gradients of that size, a tenth of the floor.
  check({20, -1}, 1e-7, {}, {.epsilon = 0.5, .weight = 1.0, .norm_floor = 1e-6}, 17);
  check({20, -1}, 0.4, {}, {.epsilon = 0.5, .weight = 1.0, .norm_floor = 0.3}, 37);
}

BOOST_AUTO_TEST_CASE(rows_of_zeros_are_not_perturbed_and_make_no_nan) {
  const TripleList triples = test::some_triples(17, users, items);
  std::vector<Grid<float>> zeros;
  zeros.emplace_back(users, 16);
  zeros.emplace_back(items, 16);
  double clean = 0.0;
  double perturbed = 0.0;
  tape::Tape<float> tape;
  tape::pairwise_sample_scope(tape, tape.constant(zeros[0].view()), tape.constant(zeros[1].view()), triples.view(), {},
                              {}, -1, &clean, &perturbed);
  BOOST_TEST(clean == 17 * std::log(2.0), boost::test_tools::tolerance(1e-6));
  BOOST_TEST(perturbed == clean);
}

BOOST_AUTO_TEST_CASE(epsilon_zero_gives_one_plus_lambda_times_the_clean_gradient) {
  const SlowShape shape{20, 32};
  const TripleList triples = test::some_triples(37, users, items);
  auto inputs = rows<double>(shape, 1.4);
  const auto doubled =
      test::tape_gradients(inputs, sample_scope<double>(triples, {.l2 = 0.1}, {0.0, 0.5, 1e-6}, shape));
  auto clean = test::tape_gradients<double>(inputs, [&](tape::Tape<double>& tape, const Vars& x) {
    return tape::pairwise_ranking(tape, x[0], x[1], triples.view(), {}, shape.bias, nullptr);
  });
  const auto penalised = test::tape_gradients<double>(inputs, [&](tape::Tape<double>& tape, const Vars& x) {
    return tape::pairwise_ranking(tape, x[0], x[1], triples.view(), {.l2 = 0.1}, shape.bias, nullptr);
  });
  // 1.5 times the gradient of the data, and the penalty once for each of the two terms.
  for (std::size_t k = 0; k < clean.size(); ++k) {
    for (int r = 0; r < clean[k].rows(); ++r) {
      for (int c = 0; c < clean[k].columns(); ++c)
        clean[k].at(r, c) = 1.5 * clean[k].at(r, c) + 2.0 * (penalised[k].at(r, c) - clean[k].at(r, c));
    }
  }
  test::check_close(doubled, clean, 1e-12);
}

BOOST_AUTO_TEST_CASE(the_perturbed_loss_is_at_least_the_clean_one) {
  const SlowShape shape{16, -1};
  const TripleList triples = test::some_triples(37, users, items);
  auto inputs = rows<double>(shape, 1.4);
  for (const double epsilon : {1e-4, 0.1, 0.5, 2.0}) {
    tape::Tape<double> tape;
    double clean = 0.0;
    double perturbed = 0.0;
    tape::pairwise_sample_scope(tape, tape.constant(inputs[0].view()), tape.constant(inputs[1].view()), triples.view(),
                                {}, {epsilon, 1.0, 1e-6}, -1, &clean, &perturbed);
    BOOST_TEST(perturbed > clean);
  }
}

BOOST_DATA_TEST_CASE(in_float_it_is_the_double_one_to_float_precision, dims* biases, dim, with_bias) {
  const SlowShape shape{dim, with_bias ? padded(dim) : -1};
  const TripleList triples = test::some_triples(37, users, items);
  auto floats = rows<float>(shape, 1.4);
  std::vector<Grid<double>> doubles{floats[0].as<double>(), floats[1].as<double>()};
  const tape::SampleScope scope{0.5, 0.7, 1e-6};
  test::check_close(test::tape_gradients(floats, sample_scope<float>(triples, {.l2 = 0.1}, scope, shape)),
                    test::tape_gradients(doubles, sample_scope<double>(triples, {.l2 = 0.1}, scope, shape)), 4e-6);
}

BOOST_AUTO_TEST_SUITE_END()
