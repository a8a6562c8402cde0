#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <vector>

#include "slow_ranking.hpp"
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/tape/pairwise.hpp"

namespace {

using namespace spar;
using test::Grid;
using test::SlowShape;
using test::TripleList;
using Vars = std::vector<tape::Var>;

constexpr int users = 6;
constexpr int items = 11;

SlowShape shape_of(int dim, bool with_bias) {
  return {dim, with_bias ? padded(dim) : -1};
}

// Rows of norm about one; the biases' own column is filled, the padding before it is zero.
template <class T>
std::vector<Grid<T>> rows(const SlowShape& shape) {
  const double scale = 1.4 / std::sqrt(static_cast<double>(shape.dim));
  std::vector<Grid<T>> inputs;
  inputs.emplace_back(users, shape.dim, scale, 1);
  inputs.emplace_back(items, shape.item_columns(), scale, 2);
  for (int r = 0; shape.bias >= 0 && r < items; ++r) {
    for (int c = shape.dim; c < shape.bias; ++c) inputs[1].at(r, c) = T{};
  }
  return inputs;
}

template <class T>
test::Build<T> ranking(const TripleList& triples, const tape::PairwiseSettings& settings, const SlowShape& shape) {
  return [&triples, settings, shape](tape::Tape<T>& tape, const Vars& x) {
    return tape::pairwise_ranking(tape, x[0], x[1], triples.view(), settings, shape.bias, nullptr);
  };
}

const auto dims = boost::unit_test::data::make({5, 16, 20, 64});
const auto biases = boost::unit_test::data::make({false, true});
const auto penalties = boost::unit_test::data::make({0.0, 0.3});

}  // namespace

BOOST_AUTO_TEST_SUITE(pairwise)

BOOST_DATA_TEST_CASE(ranking_has_the_value_and_the_gradients_of_the_formula_written_out, dims* biases* penalties, dim,
                     with_bias, l2) {
  const SlowShape shape = shape_of(dim, with_bias);
  const tape::PairwiseSettings settings{.l2 = l2};
  for (const int count : {1, 2, 16, 17, 37}) {
    const TripleList triples = test::some_triples(count, users, items);
    auto inputs = rows<double>(shape);
    const auto slow = [&](const std::vector<Grid<double>>& x) {
      return test::slow_ranking(x, triples, settings, shape);
    };
    tape::Tape<double> tape;
    double loss64 = 0.0;
    const auto loss = tape::pairwise_ranking(tape, tape.constant(inputs[0].view()), tape.constant(inputs[1].view()),
                                             triples.view(), settings, shape.bias, &loss64);
    BOOST_TEST(tape.value(loss).at(0, 0) == slow(inputs), boost::test_tools::tolerance(1e-13));
    BOOST_TEST(loss64 == tape.value(loss).at(0, 0));

    auto numeric = test::numeric_gradients(inputs, slow);
    for (auto& g : numeric) {
      for (int r = 0; r < g.rows(); ++r) {
        for (int c = 0; c < g.columns(); ++c) g.at(r, c) *= test::scaliser(0, 0);
      }
    }
    test::check_close(test::tape_gradients(inputs, ranking<double>(triples, settings, shape)), numeric, 1e-8);
  }
}

BOOST_DATA_TEST_CASE(ranking_in_float_is_ranking_in_double_to_float_precision, dims* biases* penalties, dim, with_bias,
                     l2) {
  const SlowShape shape = shape_of(dim, with_bias);
  const tape::PairwiseSettings settings{.l2 = l2};
  const TripleList triples = test::some_triples(37, users, items);
  auto floats = rows<float>(shape);
  std::vector<Grid<double>> doubles{floats[0].as<double>(), floats[1].as<double>()};
  double float_loss = 0.0;
  tape::Tape<float> tape;
  tape::pairwise_ranking(tape, tape.constant(floats[0].view()), tape.constant(floats[1].view()), triples.view(),
                         settings, shape.bias, &float_loss);
  BOOST_TEST(float_loss == test::slow_ranking(doubles, triples, settings, shape), boost::test_tools::tolerance(1e-6));
  test::check_close(test::tape_gradients(floats, ranking<float>(triples, settings, shape)),
                    test::tape_gradients(doubles, ranking<double>(triples, settings, shape)), 2e-6);
}

BOOST_AUTO_TEST_CASE(gradients_add_up_where_rows_serve_two_losses) {
  const SlowShape shape = shape_of(20, true);
  const TripleList one = test::some_triples(9, users, items);
  TripleList two = test::some_triples(21, users, items);
  std::reverse(two.user.begin(), two.user.end());
  test::check_gradients(rows<double>(shape), [&](tape::Tape<double>& tape, const Vars& x) {
    return tape::add(tape, tape::pairwise_ranking(tape, x[0], x[1], one.view(), {.l2 = 0.1}, shape.bias, nullptr),
                     tape::pairwise_ranking(tape, x[0], x[1], two.view(), {}, shape.bias, nullptr));
  });
}

BOOST_AUTO_TEST_CASE(rows_that_no_triple_names_get_gradient_zero_and_padding_stays_zero) {
  const SlowShape shape = shape_of(5, true);
  const TripleList triples = test::some_triples(9, users, items);
  auto inputs = rows<float>(shape);
  const auto gradients = test::tape_gradients(inputs, ranking<float>(triples, {.l2 = 0.5}, shape));
  for (int c = 0; c < shape.dim; ++c) BOOST_TEST(gradients[0].at(users - 1, c) == 0.0F);
  for (int c = 0; c <= shape.bias; ++c) BOOST_TEST(gradients[1].at(items - 1, c) == 0.0F);
  for (int r = 0; r < users; ++r) {
    for (int c = shape.dim; c < padded(shape.dim); ++c) BOOST_TEST(gradients[0].row(r)[c] == 0.0F);
  }
  for (int r = 0; r < items; ++r) {
    for (int c = shape.dim; c < gradients[1].stride(); ++c) {
      if (c != shape.bias) BOOST_TEST(gradients[1].row(r)[c] == 0.0F);
    }
  }
}

// APR, sheet's check 4: equal weights cancel exactly.
BOOST_AUTO_TEST_CASE(an_item_that_a_user_both_prefers_and_rejects_with_equal_weight_has_gradient_zero) {
  TripleList triples;
  triples.user = {0, 0};
  triples.positive = {0, 2};
  triples.negative = {1, 0};
  const SlowShape shape{5, -1};
  auto inputs = rows<double>(shape);
  // Margins u.(v0 - v1) and u.(v2 - v0) are the same number where v1 = 0, v2 = 2 v0.
  for (int c = 0; c < 5; ++c) {
    inputs[1].at(1, c) = 0.0;
    inputs[1].at(2, c) = 2.0 * inputs[1].at(0, c);
  }
  const auto gradients = test::tape_gradients(inputs, ranking<double>(triples, {}, shape));
  for (int c = 0; c < 5; ++c) {
    BOOST_TEST(gradients[1].at(0, c) == 0.0);
    BOOST_TEST(gradients[1].at(1, c) == -gradients[1].at(2, c));
  }
}

BOOST_AUTO_TEST_CASE(margins_below_the_floor_count_as_the_floor_and_have_no_gradient) {
  const SlowShape shape{5, -1};
  const TripleList triples = test::some_triples(17, users, items);
  const tape::PairwiseSettings settings{.floor = -0.05};
  auto inputs = rows<double>(shape);
  auto numeric =
      test::numeric_gradients(inputs, [&](const auto& x) { return test::slow_ranking(x, triples, settings, shape); });
  for (auto& g : numeric) {
    for (int r = 0; r < g.rows(); ++r) {
      for (int c = 0; c < g.columns(); ++c) g.at(r, c) *= test::scaliser(0, 0);
    }
  }
  test::check_close(test::tape_gradients(inputs, ranking<double>(triples, settings, shape)), numeric, 1e-8);

  TripleList hopeless;
  hopeless.user = {0};
  hopeless.positive = {0};
  hopeless.negative = {1};
  auto far = rows<float>(shape);
  for (int c = 0; c < 5; ++c) {
    far[0].at(0, c) = 10.0F;
    far[1].at(0, c) = -5.0F;
    far[1].at(1, c) = 5.0F;
  }
  double loss = 0.0;
  tape::Tape<float> tape;
  tape::pairwise_ranking(tape, tape.constant(far[0].view()), tape.constant(far[1].view()), hopeless.view(), {}, -1,
                         &loss);
  BOOST_TEST(loss == 80.0);
  const auto gradients = test::tape_gradients(far, ranking<float>(hopeless, {}, shape));
  for (int c = 0; c < 5; ++c) BOOST_TEST(gradients[0].at(0, c) == 0.0F);
}

BOOST_AUTO_TEST_CASE(no_triples_are_no_loss) {
  const SlowShape shape = shape_of(16, true);
  const TripleList none;
  auto inputs = rows<float>(shape);
  double loss = 1.0;
  tape::Tape<float> tape;
  tape::pairwise_ranking(tape, tape.constant(inputs[0].view()), tape.constant(inputs[1].view()), none.view(), {},
                         shape.bias, &loss);
  BOOST_TEST(loss == 0.0);
  const auto gradients = test::tape_gradients(inputs, ranking<float>(none, {.l2 = 1.0}, shape));
  for (int c = 0; c <= shape.bias; ++c) BOOST_TEST(gradients[1].at(3, c) == 0.0F);
}

// The bits of a triple's gradient must not depend on what else stands beside it in its group of sixteen.
BOOST_AUTO_TEST_CASE(a_triple_gives_the_same_bits_wherever_it_stands_in_the_list) {
  const SlowShape shape = shape_of(20, true);
  auto inputs = rows<float>(shape);
  const TripleList many = test::some_triples(23, users, items);
  for (std::size_t t = 0; t < many.size(); ++t) {
    const TripleList one{{many.user[t]}, {many.positive[t]}, {many.negative[t]}};
    double alone = 0.0;
    tape::Tape<float> tape;
    tape::pairwise_ranking(tape, tape.constant(inputs[0].view()), tape.constant(inputs[1].view()), one.view(), {},
                           shape.bias, &alone);
    TripleList before{{many.user.begin(), many.user.begin() + static_cast<std::ptrdiff_t>(t)},
                      {many.positive.begin(), many.positive.begin() + static_cast<std::ptrdiff_t>(t)},
                      {many.negative.begin(), many.negative.begin() + static_cast<std::ptrdiff_t>(t)}};
    double without = 0.0;
    tape::pairwise_ranking(tape, tape.constant(inputs[0].view()), tape.constant(inputs[1].view()), before.view(), {},
                           shape.bias, &without);
    before.user.push_back(many.user[t]);
    before.positive.push_back(many.positive[t]);
    before.negative.push_back(many.negative[t]);
    double with = 0.0;
    tape::pairwise_ranking(tape, tape.constant(inputs[0].view()), tape.constant(inputs[1].view()), before.view(), {},
                           shape.bias, &with);
    BOOST_TEST(with == without + alone);
  }
}

BOOST_AUTO_TEST_CASE(triples_and_rows_that_do_not_fit_are_named) {
  Grid<float> u(3, 5);
  Grid<float> v(4, 20);
  const TripleList triples{{0}, {1}, {2}};
  const TripleList ragged{{0, 1}, {1}, {2}};
  const auto sentence = [&](tape::Matrix<float> a, tape::Matrix<float> b, const TripleList& list, int bias) {
    tape::Tape<float> tape;
    try {
      tape::pairwise_ranking(tape, tape.constant(a), tape.constant(b), list.view(), {}, bias, nullptr);
    } catch (const Bug& bug) {
      return std::string(bug.what());
    }
    return std::string("no bug was thrown");
  };
  BOOST_TEST(sentence(u.view(), v.view(), triples, -1) ==
             "tape: pairwise_ranking does not fit 3 x 5 and 4 x 20 with 1 triples");
  Grid<float> w(4, 5);
  BOOST_TEST(sentence(u.view(), w.view(), ragged, -1) ==
             "tape: pairwise_ranking does not fit 3 x 5 and 4 x 5 with 2 triples");
  BOOST_TEST(sentence(u.view(), w.view(), triples, 16) ==
             "tape: pairwise_ranking does not fit 3 x 5 and 4 x 5 with 1 triples");
}

BOOST_DATA_TEST_CASE(rows_that_lie_anywhere_give_the_bits_of_rows_side_by_side, dims* biases* penalties, dim, with_bias,
                     l2) {
  const SlowShape shape = shape_of(dim, with_bias);
  const TripleList triples = test::some_triples(37, users, items);
  auto inputs = rows<float>(shape);
  // Copies in reverse order, a row apart.
  std::vector<Grid<float>> far;
  std::vector<std::vector<float*>> places(2);
  for (std::size_t k = 0; k < 2; ++k) {
    const int count = inputs[k].rows();
    far.emplace_back(2 * count, inputs[k].columns());
    for (int r = 0; r < count; ++r) {
      const int there = 2 * (count - 1 - r);
      for (int c = 0; c < inputs[k].columns(); ++c) far[k].at(there, c) = inputs[k].at(r, c);
      places[k].push_back(far[k].view().row(there));
    }
  }
  const auto gradients = [&](bool scattered) {
    tape::Tape<float> tape;
    std::vector<Grid<float>> out{inputs[0], inputs[1]};
    Vars x;
    for (std::size_t k = 0; k < 2; ++k) {
      tape::Matrix<float> value = inputs[k].view();
      if (scattered) value = {nullptr, value.rows, value.columns, value.stride, places[k].data()};
      x.push_back(tape.parameter(value, out[k].view()));
    }
    double loss = 0.0;
    tape.backward(tape::pairwise_ranking(tape, x[0], x[1], triples.view(), {.l2 = l2}, shape.bias, &loss));
    return std::make_pair(loss, out);
  };
  const auto [near_loss, near] = gradients(false);
  const auto [far_loss, far_gradients] = gradients(true);
  BOOST_TEST(near_loss == far_loss);
  for (std::size_t k = 0; k < 2; ++k) {
    for (int r = 0; r < near[k].rows(); ++r) {
      for (int c = 0; c < near[k].columns(); ++c) BOOST_TEST(near[k].at(r, c) == far_gradients[k].at(r, c));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
