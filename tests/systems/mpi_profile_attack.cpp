#include <algorithm>
#include <cmath>

#include "systems/toy_network.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/threads.hpp"
#include "spar/systems/profile_attack.hpp"

namespace {

using namespace spar;
using systems::FeatureAttackPlan;
using systems::FeatureAttackResult;
using systems::Goal;

constexpr int dim = 5;
constexpr Index items = 23;
const std::vector<std::string> plain{"fncf", "network.layers=[10,8,4]", "model.init_std=0.5"};
const std::vector<std::string> student{"fncf",
                                       "network.layers=[10,8,4]",
                                       "model.init_std=0.5",
                                       "teacher.run=elsewhere",
                                       "noise.input=0.02",
                                       "noise.hidden=0.02"};

// Users are judged by an item that they do not have.
struct Case {
  explicit Case(const comm::Communicator& world, const std::vector<std::string>& words = plain) : toy(world, words) {
    targets.first_user = toy.lists.first_user;
    for (Index u = 0; u < toy.lists.users(); ++u) {
      const Index wanted = (toy.lists.first_user + u) * 5 % items;
      if (!toy.lists.contains(u, static_cast<ItemId>(wanted))) targets.items.push_back(static_cast<ItemId>(wanted));
      targets.offsets.push_back(static_cast<std::int64_t>(targets.items.size()));
    }
    lists.targets = &targets;
    lists.masked = {&toy.lists};
  }

  // What the perceptron gives is left out of the logit, so that it is linear in the sum over a profile.
  void make_linear() {
    table::Table& output = toy.model.dense->table(toy.model.dense->find("output.weights"));
    for (Index k = dim; k < output.rows(); ++k) output.record(k)[0] = 0.0F;
  }

  FeatureAttackResult attack(const FeatureAttackPlan& plan) const {
    return systems::attack_profiles(toy.communicator, toy.layout, toy.model, lists, plan);
  }

  test::ToyNetwork toy;
  data::UserLists targets;
  evaluate::EvaluationLists lists;
};

FeatureAttackPlan plan_of(Goal goal, Index pushed = -1) {
  FeatureAttackPlan plan{.tap = systems::profile_tap, .top = 5, .pushed = pushed};
  plan.goal = goal;
  plan.search.learning_rate = 0.002;  // changes of the toy are short
  return plan;
}

// The logit of a linear model and what an entry of the user's profile adds to it, pair by pair.
struct Linear {
  double logit = 0.0;
  std::vector<double> slopes = std::vector<double>(items, 0.0);
};

Linear linear(const Case& example, Index user, Index item) {
  const auto users = example.toy.values(example.toy.model, "user");
  const auto rows = example.toy.values(example.toy.model, "item");
  const auto weights = example.toy.values(example.toy.model, "dense.output.weights");
  const auto bias = example.toy.values(example.toy.model, "dense.output.bias");
  const test::ToyData data{41, items, false};
  Linear found{.logit = static_cast<double>(bias[0])};
  double count = 0.0;
  std::vector<double> of_item(dim, 0.0);
  for (Index u = 0; u < data.users; ++u) {
    if (!data.has(u, item)) continue;
    count += 1.0;
    for (int c = 0; c < dim; ++c)
      of_item[static_cast<std::size_t>(c)] += static_cast<double>(users[static_cast<std::size_t>(u * dim + c)]);
  }
  double own = 0.0;
  for (Index j = 0; j < items; ++j) own += data.has(user, j) ? 1.0 : 0.0;
  const double scale = 1.0 / std::sqrt(std::max(1.0, own) * std::max(1.0, count));
  for (Index j = 0; j < items; ++j) {
    double& slope = found.slopes[static_cast<std::size_t>(j)];
    for (std::size_t c = 0; c < dim; ++c)
      slope += scale * static_cast<double>(weights[c]) * of_item[c] *
               static_cast<double>(rows[static_cast<std::size_t>(j) * dim + c]);
    if (data.has(user, j)) found.logit += slope;
  }
  return found;
}

// Entries of 0 may only grow and no entry may grow beyond the box or fall below 0: the shortest change of a linear
// logit is -gradient on those that may move, cut where they meet an end, its length found by bisection.
double shortest(const Linear& at, Index user, Index item) {
  const test::ToyData data{41, items, false};
  const auto moved = [&](double length, double& logit) {
    double squares = 0.0;
    logit = at.logit;
    for (Index j = 0; j < items; ++j) {
      if (j == item) continue;
      const double x = data.has(user, j) ? 1.0 : 0.0;
      const double slope = at.slopes[static_cast<std::size_t>(j)];
      const double d = std::clamp(x - length * slope, 0.0, 1.0) - x;
      logit += d * slope;
      squares += d * d;
    }
    return std::sqrt(squares);
  };
  double low = 0.0;
  double high = 1e6;
  double logit = 0.0;
  moved(high, logit);
  if (logit >= 0.0) return -1.0;
  for (int k = 0; k < 200; ++k) {
    const double middle = (low + high) / 2;
    moved(middle, logit);
    (logit >= 0.0 ? low : high) = middle;
  }
  return moved(high, logit);
}

bool same(const FeatureAttackResult& a, const FeatureAttackResult& b) {
  const auto equal = [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); };
  return a.pairs == b.pairs && a.hits == b.hits && a.attacked == b.attacked && a.successes == b.successes &&
         equal(a.distortion, b.distortion) && equal(a.relative, b.relative) && equal(a.changes, b.changes);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(profile_attack)

BOOST_AUTO_TEST_CASE(a_linear_model_gives_the_shortest_change_within_the_box) {
  const auto world = comm::Communicator::world();
  Case example(world);
  example.make_linear();
  FeatureAttackResult wanted;
  double sum = 0.0;
  const test::ToyData data{41, items, false};
  for (Index user = 0; user < data.users; ++user) {
    const Index item = user * 5 % items;
    if (data.has(user, item)) continue;
    ++wanted.pairs;
    const Linear at = linear(example, user, item);
    if (at.logit <= 0.0) continue;
    ++wanted.attacked;
    const double length = shortest(at, user, item);
    if (length < 0.0) continue;
    ++wanted.successes;
    sum += length;
  }
  wanted.distortion = sum / static_cast<double>(wanted.successes);
  FeatureAttackPlan plan = plan_of(Goal::label);
  const auto found = example.attack(plan);
  BOOST_TEST(found.pairs == wanted.pairs);
  BOOST_TEST(found.attacked == wanted.attacked);
  BOOST_TEST(found.hits == wanted.attacked);
  BOOST_TEST(wanted.successes > 5);
  BOOST_TEST(found.successes == wanted.successes);
  BOOST_TEST(std::abs(found.distortion - wanted.distortion) < 0.02 * wanted.distortion);
}

BOOST_AUTO_TEST_CASE(changes_reach_the_list_alike_on_any_ranks_and_threads) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  std::int64_t attacked = 0;
  std::int64_t successes = 0;
  for (const Index pushed : {Index{-1}, Index{4}}) {
    for (const Goal goal : {Goal::list, Goal::label}) {
      FeatureAttackPlan plan = plan_of(goal, pushed);
      plan.search.steps = 60;
      const auto wanted = Case(alone).attack(plan);
      attacked += wanted.attacked;
      successes += wanted.successes;
      for (const int thread_count : {1, 2}) {
        set_threads(thread_count);
        BOOST_TEST(same(Case(world).attack(plan), wanted));
      }
      set_threads(1);
      BOOST_TEST(wanted.attacked > 0);
    }
  }
  BOOST_TEST(attacked > 20);
  BOOST_TEST(successes > 20);
}

BOOST_AUTO_TEST_CASE(more_confidence_costs_distortion_and_a_cap_on_changes_costs_distortion_or_success) {
  const auto world = comm::Communicator::world();
  const Case example(world);
  FeatureAttackPlan plan = plan_of(Goal::list);
  const auto free = example.attack(plan);
  BOOST_TEST(free.successes > 5);
  plan.search.confidence = 0.001;
  const auto sure = example.attack(plan);
  BOOST_TEST((sure.successes < free.successes || sure.distortion > free.distortion));
  plan.search.confidence = 0.0;
  FeatureAttackResult before = free;
  for (const std::int64_t most : {6, 3, 1}) {
    plan.search.most_changes = most;
    const auto capped = example.attack(plan);
    BOOST_TEST(capped.attacked == free.attacked);
    BOOST_TEST(capped.successes <= before.successes);
    BOOST_TEST((capped.successes < before.successes || capped.distortion > before.distortion));
    if (capped.successes > 0) BOOST_TEST(capped.changes <= static_cast<double>(most));
    before = capped;
  }
}

// The lists that a found change makes are those of the evaluation, so a wider box cannot lose what a narrower one won.
BOOST_AUTO_TEST_CASE(a_wider_box_reaches_what_the_unit_box_does_not) {
  const auto world = comm::Communicator::world();
  const Case example(world);
  FeatureAttackPlan plan = plan_of(Goal::list, 4);
  plan.search.most_changes = 1;
  const auto unit = example.attack(plan);
  plan.box = {0.0, 20.0};
  const auto wide = example.attack(plan);
  BOOST_TEST(wide.attacked == unit.attacked);
  BOOST_TEST(wide.successes > unit.successes);
}

BOOST_AUTO_TEST_CASE(logits_are_averaged_over_the_noise_of_training) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  FeatureAttackPlan plan = plan_of(Goal::label);
  plan.search.steps = 60;
  const auto quiet = Case(world, student).attack(plan);
  plan.draws = 4;
  const auto noisy = Case(world, student).attack(plan);
  BOOST_TEST(!same(noisy, quiet));
  BOOST_TEST(noisy.successes > 3);
  BOOST_TEST(same(noisy, Case(alone, student).attack(plan)));
  plan.seed = 2;
  BOOST_TEST(!same(noisy, Case(world, student).attack(plan)));
  std::vector<std::string> faint = student;
  faint[4] = "noise.input=1e-6";
  faint[5] = "noise.hidden=1e-6";
  const auto near = Case(world, faint).attack(plan);
  BOOST_TEST(near.attacked == quiet.attacked);
  BOOST_TEST(std::abs(near.distortion - quiet.distortion) < 0.01 * quiet.distortion);
}

BOOST_AUTO_TEST_SUITE_END()
