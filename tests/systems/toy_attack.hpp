#pragma once
#include <cmath>
#include <map>

#include "game/toy_game.hpp"

#include "spar/systems/attack.hpp"

// What the attack tests share: a trained toy, its rows, its plans.
namespace {

using namespace spar;
using adversary::Ball;
using adversary::Scope;
using systems::AttackMethod;
using systems::AttackPlan;
using systems::FactorModel;

constexpr int dim = 20;
constexpr int shards = 8;
const test::ToyData toy{97, 53, false};

const AttackMethod methods[] = {AttackMethod::random, AttackMethod::fgm, AttackMethod::fgsm, AttackMethod::bim,
                                AttackMethod::pgd};
const Ball balls[] = {Ball::row_l2, Ball::global_l2, Ball::linf};

const char* name(AttackMethod method) {
  const char* names[] = {"random", "fgm", "fgsm", "bim", "pgd"};
  return names[static_cast<int>(method)];
}

// A model with biases that has learnt the toy data, the same numbers on any launch.
struct Trained {
  explicit Trained(const comm::Communicator& world) : communicator(world), layout{shards, world.size()} {
    test::ToySettings settings;
    settings.data = toy;
    settings.dim = dim;
    settings.has_bias = true;
    settings.batch_size = 110;
    test::ToyGame game(world, settings);
    game.train(0, 25);
    const optim::OptimizerSettings none{.rule = optim::Rule::sgd};
    model.users =
        std::make_unique<table::Table>("user", toy.users, layout, world.rank(), table::RowShape{dim, false, 0}, none);
    model.items =
        std::make_unique<table::Table>("item", toy.items, layout, world.rank(), table::RowShape{dim, true, 0}, none);
    for (Index k = 0; k < model.users->rows(); ++k)
      std::copy_n(game.users.record(k), game.users.shape().width(), model.users->record(k));
    for (Index k = 0; k < model.items->rows(); ++k)
      std::copy_n(game.items.record(k), game.items.shape().width(), model.items->record(k));
    lists = toy.lists(model.users->first_row(), model.users->first_row() + model.users->rows());
  }

  FactorModel attacked(const AttackPlan& plan) const {
    return systems::perturbed_model(communicator, layout, model, lists, toy.positives(), plan);
  }

  const comm::Communicator& communicator;
  ShardLayout layout;
  FactorModel model;
  data::UserLists lists;
};

AttackPlan plan_of(AttackMethod method, Ball ball, double epsilon = 0.5, Scope scope = Scope::data) {
  AttackPlan plan;
  plan.method = method;
  plan.ball = ball;
  plan.epsilon = epsilon;
  plan.steps = 5;
  plan.step_size = 2.5 * epsilon / 5;
  plan.scope = scope;
  plan.batch_size = 110;
  return plan;
}

// Every plan that is allowed.
std::vector<AttackPlan> all_plans(double epsilon) {
  std::vector<AttackPlan> plans;
  for (const AttackMethod method : methods) {
    for (const Ball ball : balls) {
      plans.push_back(plan_of(method, ball, epsilon));
      if (ball != Ball::global_l2) plans.push_back(plan_of(method, ball, epsilon, Scope::batch));
    }
  }
  return plans;
}

std::string describe(const AttackPlan& plan) {
  const char* ball_names[] = {"row_l2", "global_l2", "linf"};
  return std::string(name(plan.method)) + " " + ball_names[static_cast<int>(plan.ball)] +
         (plan.scope == Scope::data ? " data" : " batch");
}

// The rows of both tables on every rank, padding included.
struct Rows {
  std::vector<float> users;
  std::vector<float> items;
  bool operator==(const Rows&) const = default;
};

std::vector<float> whole(const comm::Communicator& world, const table::Table& t) {
  const std::span<const float> mine(t.rows() == 0 ? nullptr : t.record(0),
                                    static_cast<std::size_t>(t.rows() * t.shape().record()));
  std::vector<float> all;
  for (const auto& part : world.allgather(std::as_bytes(mine))) {
    const std::size_t begin = all.size();
    all.resize(begin + part.size() / sizeof(float));
    if (!part.empty()) std::memcpy(all.data() + begin, part.data(), part.size());
  }
  return all;
}

Rows rows_of(const comm::Communicator& world, const FactorModel& model) {
  return {whole(world, *model.users), whole(world, *model.items)};
}

// The differences of the vectors, in double, one row after another.
std::vector<std::vector<double>> deltas(const std::vector<float>& moved, const std::vector<float>& clean, int record) {
  std::vector<std::vector<double>> all;
  for (std::size_t at = 0; at < clean.size(); at += static_cast<std::size_t>(record)) {
    std::vector<double> row;
    for (std::size_t c = 0; c < dim; ++c)
      row.push_back(static_cast<double>(moved[at + c]) - static_cast<double>(clean[at + c]));
    all.push_back(row);
  }
  return all;
}

constexpr int user_record = 32;
constexpr int item_record = 48;
constexpr int bias_column = 32;

double squares(const std::vector<double>& row) {
  double total = 0.0;
  for (const double x : row) total += x * x;
  return total;
}

double largest(const std::vector<double>& row) {
  double most = 0.0;
  for (const double x : row) most = std::max(most, std::abs(x));
  return most;
}

// The expected BPR loss of the model: every positive against every item that its user lacks.
double training_loss(const Rows& rows) {
  double total = 0.0;
  const auto score = [&](Index user, Index item) {
    const float* u = rows.users.data() + user * user_record;
    const float* v = rows.items.data() + item * item_record;
    double s = static_cast<double>(v[bias_column]);
    for (int c = 0; c < dim; ++c) s += static_cast<double>(u[c]) * static_cast<double>(v[c]);
    return s;
  };
  for (Index u = 0; u < toy.users; ++u) {
    std::vector<double> scores;
    for (Index i = 0; i < toy.items; ++i) scores.push_back(score(u, i));
    double sum = 0.0;
    std::int64_t pairs = 0;
    std::int64_t positives = 0;
    for (Index i = 0; i < toy.items; ++i) {
      if (!toy.has(u, i)) continue;
      ++positives;
      for (Index j = 0; j < toy.items; ++j) {
        if (toy.has(u, j)) continue;
        const double s = scores[static_cast<std::size_t>(i)] - scores[static_cast<std::size_t>(j)];
        sum += std::max(0.0, -s) + std::log1p(std::exp(-std::abs(s)));
        ++pairs;
      }
    }
    if (pairs > 0) total += sum / static_cast<double>(pairs) * static_cast<double>(positives);
  }
  return total;
}

// Users who give the attack no triple: they have nothing, or everything.
bool silent(Index user) {
  Index count = 0;
  for (Index i = 0; i < toy.items; ++i) count += toy.has(user, i) ? 1 : 0;
  return count == 0 || count == toy.items;
}

}  // namespace
