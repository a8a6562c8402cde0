#define BOOST_TEST_DYN_LINK
#include <cmath>
#include <limits>
#include <vector>

#include "support/gradient_check.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/adversary/perturbation.hpp"
#include "spar/optim/update.hpp"
#include "spar/table/contributions.hpp"
#include "spar/tape/pairwise.hpp"

namespace {

using namespace spar;
using adversary::Ball;
using adversary::Method;
using adversary::PerturbationSettings;

// One row of 16 lanes that begins with `values`.
Buffer<float> row_of(const std::vector<double>& values, int width = 16) {
  Buffer<float> row(static_cast<std::size_t>(width));
  for (std::size_t c = 0; c < values.size(); ++c) row[c] = static_cast<float>(values[c]);
  return row;
}

double norm(const Buffer<float>& row) {
  double squares = 0.0;
  for (const float x : row) squares += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(squares);
}

double largest(const Buffer<float>& row) {
  double most = 0.0;
  for (const float x : row) most = std::max(most, std::abs(static_cast<double>(x)));
  return most;
}

Buffer<float> perturbed(const PerturbationSettings& settings, const Buffer<float>& gradient, int dim,
                        const adversary::NoiseKey& key = {}) {
  Buffer<float> delta(gradient.size());
  adversary::perturb_row(settings, gradient.data(), key, dim, static_cast<int>(gradient.size()), delta.data());
  return delta;
}

// The worked example of one triple: p = (1, 2), q_i = (0.5, 0.25), q_j = (0.1, 0.5), epsilon 0.5.
struct Example {
  test::Grid<float> user{1, 2};
  test::Grid<float> items{2, 2};
  std::vector<std::int32_t> zero{0};
  std::vector<std::int32_t> one{1};

  Example() {
    user.at(0, 0) = 1.0F;
    user.at(0, 1) = 2.0F;
    items.at(0, 0) = 0.5F;
    items.at(0, 1) = 0.25F;
    items.at(1, 0) = 0.1F;
    items.at(1, 1) = 0.5F;
  }

  // Loss and gradients at the given rows: user gradient, then those of i and j.
  double pass(test::Grid<float>& u, test::Grid<float>& v, std::vector<Buffer<float>>& gradients) const {
    tape::Tape<float> tape;
    test::Grid<float> user_gradient(1, 2);
    test::Grid<float> item_gradients(2, 2);
    double loss = 0.0;
    tape.backward(tape::pairwise_ranking(tape, tape.parameter(u.view(), user_gradient.view()),
                                         tape.parameter(v.view(), item_gradients.view()), {zero, zero, one}, {}, -1,
                                         &loss));
    gradients.clear();
    gradients.push_back(row_of({user_gradient.at(0, 0), user_gradient.at(0, 1)}));
    for (int r = 0; r < 2; ++r) gradients.push_back(row_of({item_gradients.at(r, 0), item_gradients.at(r, 1)}));
    return loss;
  }
};

struct Expected {
  const char* name;
  PerturbationSettings settings;
  double user[2];
  double item[2];  // of i; j has the negative
  double loss;
};

// foundations of the attacks: gradients and perturbations worked out by hand, loss at the perturbed rows.
const Expected expected[] = {
    {"row L2", {Method::fgm, Ball::row_l2, 0.5, 1e-6}, {-0.4239992, 0.2649995}, {-0.2236068, -0.4472136}, 2.6896428},
    {"global L2",
     {Method::fgm, Ball::global_l2, 0.5, 1e-6},
     {-0.0625535, 0.0390959},
     {-0.1563837, -0.3127674},
     1.8707660},
    {"sign", {Method::fgsm, Ball::linf, 0.5, 1e-6}, {-0.5, 0.5}, {-0.5, -0.5}, 3.4570308},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(perturbation)

BOOST_AUTO_TEST_CASE(the_worked_example_of_one_triple_comes_out_for_every_attack) {
  Example e;
  std::vector<Buffer<float>> g;
  BOOST_TEST(e.pass(e.user, e.items, g) == 0.7443967, boost::test_tools::tolerance(1e-6));
  const auto near = boost::test_tools::tolerance(2e-6);
  BOOST_TEST(static_cast<double>(g[0][0]) == -0.2099917, near);
  BOOST_TEST(static_cast<double>(g[0][1]) == 0.1312448, near);
  BOOST_TEST(static_cast<double>(g[1][0]) == -0.5249792, near);
  BOOST_TEST(static_cast<double>(g[1][1]) == -1.0499584, near);
  BOOST_TEST(g[2][0] == -g[1][0]);
  BOOST_TEST(g[2][1] == -g[1][1]);
  for (const Expected& x : expected) {
    BOOST_TEST_CONTEXT(x.name) {
      double squares = 0.0;
      for (const auto& row : g) squares += adversary::squared_norm(row.data(), 16);
      test::Grid<float> user = e.user;
      test::Grid<float> items = e.items;
      for (std::size_t k = 0; k < 3; ++k) {
        Buffer<float> delta(16);
        adversary::direction(x.settings, g[k].data(), {}, 2, 16, delta.data());
        const double direction_squares = adversary::squared_norm(delta.data(), 16);
        BOOST_TEST(direction_squares > 0.0);
        adversary::scale_to_ball(x.settings, squares, 16, delta.data());
        for (int c = 0; c < 2; ++c) {
          const double wanted = k == 0 ? x.user[c] : k == 1 ? x.item[c] : -x.item[c];
          BOOST_TEST(std::abs(static_cast<double>(delta[static_cast<std::size_t>(c)]) - wanted) < 1e-6);
          (k == 0 ? user.at(0, c) : items.at(static_cast<int>(k) - 1, c)) += delta[static_cast<std::size_t>(c)];
        }
        for (std::size_t c = 2; c < 16; ++c) BOOST_TEST(delta[c] == 0.0F);
      }
      std::vector<Buffer<float>> at_perturbed;
      BOOST_TEST(std::abs(e.pass(user, items, at_perturbed) - x.loss) < 1e-6);
    }
  }
}

// The same example to its end: total gradients with lambda = 1 and one step of Adagrad.
BOOST_AUTO_TEST_CASE(the_worked_example_ends_in_the_adagrad_step_of_adversarial_training) {
  Example e;
  std::vector<Buffer<float>> clean;
  e.pass(e.user, e.items, clean);
  test::Grid<float> user = e.user;
  test::Grid<float> items = e.items;
  for (std::size_t k = 0; k < 3; ++k) {
    const auto delta = perturbed({Method::fgm, Ball::row_l2, 0.5, 1e-6}, clean[k], 2);
    for (int c = 0; c < 2; ++c)
      (k == 0 ? user.at(0, c) : items.at(static_cast<int>(k) - 1, c)) += delta[static_cast<std::size_t>(c)];
  }
  std::vector<Buffer<float>> second;
  e.pass(user, items, second);
  const double totals[3][2] = {{-0.1659841, 1.1979594}, {-1.0618666, -3.1611526}, {1.0618666, 3.1611526}};
  const double stepped[3][2] = {{1.0232378, 1.9516560}, {0.5479202, 0.2997517}, {0.0520798, 0.4502483}};
  const optim::OptimizerSettings adagrad{optim::Rule::adagrad, 0.05F, 0.1F};
  optim::Updater updater(adagrad);
  updater.begin_step(1);
  for (std::size_t k = 0; k < 3; ++k) {
    table::add_scaled_row(clean[k].data(), 1.0F, second[k].data(), 16);
    Buffer<float> record(32);
    for (int c = 0; c < 2; ++c)
      record[static_cast<std::size_t>(c)] = k == 0 ? e.user.at(0, c) : e.items.at(static_cast<int>(k) - 1, c);
    optim::reset_state(adagrad, record.data(), 16);
    updater.update(record.data(), clean[k].data(), 16, 16);
    for (std::size_t c = 0; c < 2; ++c) {
      BOOST_TEST(std::abs(static_cast<double>(clean[k][c]) - totals[k][c]) < 1e-6);
      BOOST_TEST(std::abs(static_cast<double>(record[c]) - stepped[k][c]) < 1e-6);
    }
  }
}

BOOST_AUTO_TEST_CASE(rows_reach_epsilon_from_the_norm_floor_on_and_fade_out_below) {
  const PerturbationSettings settings{Method::fgm, Ball::row_l2, 0.5, 1e-6};
  for (const double size : {1e3, 1.0, 1e-3, 1.01e-6})
    BOOST_TEST(norm(perturbed(settings, row_of({0.6 * size, -0.8 * size}), 2)) == 0.5,
               boost::test_tools::tolerance(1e-6));
  for (const double size : {0.9e-6, 1e-7, 1e-12})
    BOOST_TEST(norm(perturbed(settings, row_of({0.6 * size, -0.8 * size}), 2)) == 0.5 * size / 1e-6,
               boost::test_tools::tolerance(1e-6));
  const PerturbationSettings low_floor{Method::fgm, Ball::row_l2, 0.5, 1e-12};
  BOOST_TEST(norm(perturbed(low_floor, row_of({0.6e-7, -0.8e-7}), 2)) == 0.5, boost::test_tools::tolerance(1e-6));
}

BOOST_AUTO_TEST_CASE(rows_without_gradient_are_exactly_zero) {
  for (const Ball ball : {Ball::row_l2, Ball::global_l2, Ball::linf}) {
    for (const Method method : {Method::fgm, Method::fgsm}) {
      const auto delta = perturbed({method, ball, 0.5, 1e-6}, row_of({0.0, -0.0}), 2);
      for (const float x : delta) BOOST_TEST(x == 0.0F);
    }
  }
}

BOOST_AUTO_TEST_CASE(every_method_ends_on_the_surface_of_its_ball) {
  std::vector<double> values;
  for (int c = 0; c < 20; ++c) values.push_back(0.02 * test::Grid<float>::wave(3, c, 1));
  const auto gradient = row_of(values, 32);
  for (const double epsilon : {0.01, 0.5, 7.0}) {
    for (const Method method : {Method::fgm, Method::fgsm, Method::random}) {
      const auto l2 = perturbed({method, Ball::row_l2, epsilon, 1e-6}, gradient, 20, {7, 1, 12345, 3, 2});
      BOOST_TEST(norm(l2) == epsilon, boost::test_tools::tolerance(1e-6));
      const auto linf = perturbed({method, Ball::linf, epsilon, 1e-6}, gradient, 20, {7, 1, 12345, 3, 2});
      BOOST_TEST(largest(linf) == epsilon, boost::test_tools::tolerance(1e-6));
      for (std::size_t c = 20; c < 32; ++c) BOOST_TEST((l2[c] == 0.0F && linf[c] == 0.0F));
    }
  }
}

BOOST_AUTO_TEST_CASE(fgsm_is_the_sign_and_nothing_where_there_is_no_gradient) {
  const auto delta = perturbed({Method::fgsm, Ball::linf, 0.25, 1e-6}, row_of({3.0, -1e-20, 0.0, -0.0}), 4);
  BOOST_TEST(delta[0] == 0.25F);
  BOOST_TEST(delta[1] == -0.25F);
  BOOST_TEST(delta[2] == 0.0F);
  BOOST_TEST(delta[3] == 0.0F);
}

BOOST_AUTO_TEST_CASE(the_direction_may_be_written_over_the_gradient) {
  for (const Method method : {Method::fgm, Method::fgsm, Method::random}) {
    auto row = row_of({0.3, -0.2, 0.1});
    const auto apart = perturbed({method, Ball::row_l2, 0.5, 1e-6}, row, 3, {1, 0, 5, 0, 0});
    adversary::perturb_row({method, Ball::row_l2, 0.5, 1e-6}, row.data(), {1, 0, 5, 0, 0}, 3, 16, row.data());
    BOOST_TEST(std::equal(row.begin(), row.end(), apart.begin()));
  }
}

BOOST_AUTO_TEST_CASE(noise_is_a_function_of_its_key_and_of_every_part_of_it) {
  const PerturbationSettings settings{Method::random, Ball::row_l2, 0.5, 1e-6};
  const auto none = row_of({}, 32);
  const adversary::NoiseKey key{7, 1, 12345, 3, 2};
  const auto first = perturbed(settings, none, 20, key);
  const auto again = perturbed(settings, none, 20, key);
  BOOST_TEST(std::equal(first.begin(), first.end(), again.begin()));
  const adversary::NoiseKey others[] = {{8, 1, 12345, 3, 2}, {7, 0, 12345, 3, 2},
                                        {7, 1, 12346, 3, 2}, {7, 1, 12345 + (Index{1} << 32), 3, 2},
                                        {7, 1, 12345, 4, 2}, {7, 1, 12345, 3, 3}};
  for (const auto& other : others) {
    const auto noise = perturbed(settings, none, 20, other);
    BOOST_TEST(!std::equal(first.begin(), first.end(), noise.begin()));
  }
}

BOOST_AUTO_TEST_CASE(noise_points_everywhere_alike) {
  const PerturbationSettings settings{Method::random, Ball::row_l2, 1.0, 1e-6};
  const auto none = row_of({});
  constexpr int draws = 20'000;
  double mean[8] = {};
  double squares[8] = {};
  for (int k = 0; k < draws; ++k) {
    const auto noise = perturbed(settings, none, 8, {3, 0, k, 0, 0});
    for (std::size_t c = 0; c < 8; ++c) {
      mean[c] += static_cast<double>(noise[c]) / draws;
      squares[c] += static_cast<double>(noise[c]) * static_cast<double>(noise[c]) / draws;
    }
  }
  // Five standard deviations of the means.
  for (std::size_t c = 0; c < 8; ++c) {
    BOOST_TEST(std::abs(mean[c]) < 5.0 * std::sqrt(0.125 / draws));
    BOOST_TEST(std::abs(squares[c] - 0.125) < 5.0 * 0.14 / std::sqrt(draws));
  }
}

// APR, sheet's check 5, on one row: the inner product with the gradient is epsilon times its dual norm.
BOOST_AUTO_TEST_CASE(one_step_rises_as_steeply_as_its_ball_allows) {
  const auto g = row_of({0.3, -0.2, 0.1, 0.05});
  double l1 = 0.0;
  for (const float x : g) l1 += std::abs(static_cast<double>(x));
  const auto rise = [&](const Buffer<float>& delta) {
    double product = 0.0;
    for (std::size_t c = 0; c < 16; ++c) product += static_cast<double>(g[c]) * static_cast<double>(delta[c]);
    return product;
  };
  BOOST_TEST(rise(perturbed({Method::fgm, Ball::row_l2, 0.5, 1e-6}, g, 4)) == 0.5 * norm(g),
             boost::test_tools::tolerance(1e-6));
  BOOST_TEST(rise(perturbed({Method::fgsm, Ball::linf, 0.5, 1e-6}, g, 4)) == 0.5 * l1,
             boost::test_tools::tolerance(1e-6));
}

BOOST_AUTO_TEST_CASE(sixteen_l2_factors_are_those_of_the_rows_one_by_one) {
  PerturbationSettings settings;
  settings.epsilon = 0.7;
  std::vector<Buffer<float>> gradients;
  for (int k = 0; k < 11; ++k) gradients.push_back(row_of({0.1 * k, k == 3 ? 0.0 : -1.5, 0.25 * k * k}, 32));
  gradients[5] = row_of({1e-9, 0.0}, 32);  // below the floor
  const auto factors = adversary::l2_factors(
      settings, [&](int k) { return gradients[static_cast<std::size_t>(k)].data(); }, 11, 32);
  for (int k = 0; k < 11; ++k) {
    const auto& gradient = gradients[static_cast<std::size_t>(k)];
    const auto delta = perturbed(settings, gradient, 3);
    for (std::size_t c = 0; c < 3; ++c)
      BOOST_TEST(factors[k] * gradient[c] == delta[c], boost::test_tools::tolerance(1e-6F));
  }
  BOOST_TEST(adversary::is_l2_multiple(settings));
  settings.method = Method::fgsm;
  BOOST_TEST(!adversary::is_l2_multiple(settings));
}

BOOST_AUTO_TEST_SUITE_END()
