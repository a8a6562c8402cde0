#include <algorithm>

#include "vbpr_pass.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/random.hpp"

namespace {

using namespace spar;
using namespace spar::test;

constexpr int dim = 3;
constexpr int width = 7;

std::vector<std::string> small(const std::string& form, std::vector<std::string> more = {}) {
  for (const std::string& setting : {std::string("model.dim=3"), std::string("features.columns=7"),
                                     std::string("sampling.cold_items=true"), "network.form=" + form})
    more.push_back(setting);
  if (form == "full") more.emplace_back("network.visual_dim=2");
  return more;
}

// Two users, four items; item 1 is the positive of one triple and the negative of another, and a triple stands twice.
FeatureCase example_of(const game::NeuralModel& model) {
  const auto& projection = model.declarations().all().front();
  return {{Grid<double>(2, model.user_columns(), 0.8, 1), Grid<double>(4, model.item_columns(), 0.7, 2),
           Grid<double>(4, width, 0.9, 3), Grid<double>(projection.rows, projection.columns, 0.6, 4)},
          {0, 0, 1, 1, 1},
          {0, 1, 2, 2, 1},
          {1, 2, 3, 3, 0}};
}

Grid<double> grid_of(int rows, int columns, const std::vector<double>& numbers) {
  Grid<double> grid(rows, columns);
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) grid.at(r, c) = numbers[static_cast<std::size_t>(r * columns + c)];
  }
  return grid;
}

template <class T>
void check_hand_example(double tolerance) {
  const auto model = feature_model({"model.dim=2", "features.columns=2", "sampling.cold_items=true"});
  const FeatureCase one{{grid_of(1, 2, {1, 2}), grid_of(2, 2, {0.5, 0, 0, 0.5}), grid_of(2, 2, {1, 0, 0, 1}),
                         grid_of(2, 2, {1, 0, 0, 1})},
                        {0},
                        {0},
                        {1}};
  const auto clean = feature_pass<T>(*model, one);
  BOOST_TEST(std::abs(clean.loss - 1.7014133) < tolerance);
  const Grid<double> gradient = clean.gradients[2].template as<double>();
  for (int c = 0; c < 2; ++c) {
    BOOST_TEST(std::abs(gradient.at(0, c) + 0.8175745 * (c + 1)) < tolerance);
    BOOST_TEST(std::abs(gradient.at(1, c) - 0.8175745 * (c + 1)) < tolerance);
  }
  for (const auto& [epsilon, loss] : {std::pair{0.1, 2.0805822}, {0.2, 2.4817280}}) {
    Grid<double> delta = row_steps(gradient, epsilon);
    BOOST_TEST(std::abs(feature_pass<T>(*model, one, &delta).loss - loss) < tolerance);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(vbpr)

BOOST_AUTO_TEST_CASE(the_example_of_one_triple_has_the_losses_and_gradients_worked_out_by_hand) {
  check_hand_example<double>(1e-7);
  check_hand_example<float>(1e-5);
}

BOOST_AUTO_TEST_CASE(gradients_of_both_forms_are_those_of_differences_with_the_perturbation_held) {
  for (const std::string form : {"shared", "full"}) {
    const auto model = feature_model(small(form, {"penalty.user=0.3", "penalty.item=0.2", "penalty.dense=0.1"}));
    FeatureCase example = example_of(*model);
    const auto clean = feature_pass<double>(*model, example);
    Grid<double> delta = row_steps(clean.gradients[2], 0.4);
    const auto perturbed = feature_pass<double>(*model, example, &delta);
    const auto penalty = feature_pass<double>(*model, example, nullptr, true);
    constexpr double lambda = 0.7;
    const auto numeric = numeric_gradients(example.inputs, [&](std::vector<Grid<double>>&) {
      const auto now = feature_pass<double>(*model, example);
      return now.loss + lambda * feature_pass<double>(*model, example, &delta).loss + now.penalty;
    });
    std::vector<Grid<double>> sums;
    for (std::size_t k = 0; k < numeric.size(); ++k) {
      sums.emplace_back(numeric[k].rows(), numeric[k].columns());
      for (int r = 0; r < numeric[k].rows(); ++r) {
        for (int c = 0; c < numeric[k].columns(); ++c)
          sums[k].at(r, c) =
              clean.gradients[k].at(r, c) + lambda * perturbed.gradients[k].at(r, c) + penalty.gradients[k].at(r, c);
      }
    }
    BOOST_TEST_CONTEXT(form) {
      check_close(sums, numeric, 1e-7);
    }
  }
}

// With a_i = sum of -+c_t p_u over the triples of item i: G_i = E a_i, and the score of i moves by
// p_u . (epsilon E'E a_i / |G_i|).
BOOST_AUTO_TEST_CASE(the_perturbation_is_the_one_of_the_small_form) {
  const auto model = feature_model(small("shared"));
  const FeatureCase example = example_of(*model);
  const auto clean = feature_pass<double>(*model, example);
  const Grid<double>& projection = example.inputs[3];
  const auto item = [&](int i, int c) {
    double x = example.inputs[1].at(i, c);
    for (int k = 0; k < width; ++k) x += example.inputs[2].at(i, k) * projection.at(k, c);
    return x;
  };
  const auto margin = [&](std::size_t t) {
    double x = 0.0;
    for (int c = 0; c < dim; ++c)
      x += example.inputs[0].at(example.users[t], c) * (item(example.positives[t], c) - item(example.negatives[t], c));
    return x;
  };
  Grid<double> a(4, dim);
  for (std::size_t t = 0; t < example.users.size(); ++t) {
    const double weight = 1.0 / (1.0 + std::exp(margin(t)));
    for (int c = 0; c < dim; ++c) {
      a.at(example.positives[t], c) -= weight * example.inputs[0].at(example.users[t], c);
      a.at(example.negatives[t], c) += weight * example.inputs[0].at(example.users[t], c);
    }
  }
  const auto image = [&](int i, int k) {
    double x = 0.0;
    for (int c = 0; c < dim; ++c) x += projection.at(k, c) * a.at(i, c);
    return x;
  };
  constexpr double epsilon = 0.3;
  double expected = 0.0;
  const auto shift = [&](int user, int i) {
    double squares = 0.0;
    double product = 0.0;
    for (int k = 0; k < width; ++k) {
      squares += image(i, k) * image(i, k);
      double projected_user = 0.0;
      for (int c = 0; c < dim; ++c) projected_user += projection.at(k, c) * example.inputs[0].at(user, c);
      product += projected_user * image(i, k);
    }
    return epsilon * product / std::sqrt(squares);
  };
  for (std::size_t t = 0; t < example.users.size(); ++t) {
    const double moved =
        margin(t) + shift(example.users[t], example.positives[t]) - shift(example.users[t], example.negatives[t]);
    expected += std::log1p(std::exp(-moved));
  }
  for (int i = 0; i < 4; ++i) {
    for (int k = 0; k < width; ++k) BOOST_TEST(std::abs(clean.gradients[2].at(i, k) - image(i, k)) < 1e-10);
  }
  Grid<double> delta = row_steps(clean.gradients[2], epsilon);
  BOOST_TEST(std::abs(feature_pass<double>(*model, example, &delta).loss - expected) < 1e-10);
}

BOOST_AUTO_TEST_CASE(the_adversary_beats_random_directions_and_epsilon_0_changes_nothing) {
  const auto model = feature_model(small("shared"));
  const FeatureCase example = example_of(*model);
  const auto clean = feature_pass<double>(*model, example);
  Grid<double> none = row_steps(clean.gradients[2], 0.0);
  BOOST_TEST(feature_pass<double>(*model, example, &none).loss == clean.loss);
  Grid<double> worst = row_steps(clean.gradients[2], 0.05);
  const double raised = feature_pass<double>(*model, example, &worst).loss;
  BOOST_TEST(raised > clean.loss);
  const RandomStream stream(5, Purpose::adversary_noise);
  double mean = 0.0;
  constexpr std::uint32_t draws = 1000;
  for (std::uint32_t draw = 0; draw < draws; ++draw) {
    Grid<double> noise(4, width);
    for (int r = 0; r < 4; ++r) {
      for (int c = 0; c < width; ++c)
        noise.at(r, c) =
            normal_pair(stream.block(draw, static_cast<std::uint32_t>(r), static_cast<std::uint32_t>(c)))[0];
    }
    Grid<double> delta = row_steps(noise, 0.05);
    mean += feature_pass<double>(*model, example, &delta).loss / draws;
  }
  BOOST_TEST(raised > mean + 0.5 * (raised - clean.loss));
}

BOOST_AUTO_TEST_CASE(larger_features_under_a_smaller_projection_score_alike_but_are_harder_to_move) {
  const auto model = feature_model(small("shared"));
  const FeatureCase example = example_of(*model);
  FeatureCase scaled = example;
  for (int r = 0; r < 4; ++r) {
    for (int c = 0; c < width; ++c) scaled.inputs[2].at(r, c) *= 8.0;
  }
  for (int r = 0; r < width; ++r) {
    for (int c = 0; c < dim; ++c) scaled.inputs[3].at(r, c) /= 8.0;
  }
  const auto clean = feature_pass<double>(*model, example);
  const auto same = feature_pass<double>(*model, scaled);
  BOOST_TEST(std::abs(clean.loss - same.loss) < 1e-12);
  Grid<double> step = row_steps(clean.gradients[2], 0.1);
  Grid<double> small_step = row_steps(same.gradients[2], 0.1);
  const double far = feature_pass<double>(*model, example, &step).loss - clean.loss;
  const double near = feature_pass<double>(*model, scaled, &small_step).loss - same.loss;
  BOOST_TEST(near > 0.0);
  BOOST_TEST(near < 0.2 * far);
}

BOOST_AUTO_TEST_CASE(triples_whose_negative_was_never_seen_count_nothing) {
  const auto model = feature_model(small("shared", {"penalty.user=0.3", "penalty.item=0.2"}));
  auto settings = small("shared", {"penalty.user=0.3", "penalty.item=0.2"});
  std::erase(settings, "sampling.cold_items=true");
  const auto choosy = feature_model(settings);
  FeatureCase all = example_of(*model);
  all.seen = {1, 1, 1, 0};
  const auto skipping = feature_pass<double>(*choosy, all);
  FeatureCase rest = example_of(*model);
  // Item 3 is the negative of the third and fourth triple.
  rest.users = {0, 0, 1};
  rest.positives = {0, 1, 1};
  rest.negatives = {1, 2, 0};
  const auto expected = feature_pass<double>(*model, rest);
  BOOST_TEST(std::abs(skipping.loss - expected.loss) < 1e-12);
  BOOST_TEST(std::abs(skipping.penalty - expected.penalty) < 1e-12);
  check_close(skipping.gradients, expected.gradients, 1e-12);
}

BOOST_AUTO_TEST_SUITE_END()
