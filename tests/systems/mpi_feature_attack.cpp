#include <algorithm>
#include <cmath>

#include "systems/toy_network.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/threads.hpp"
#include "spar/systems/feature_attack.hpp"

namespace {

using namespace spar;
using systems::FeatureAttackPlan;
using systems::FeatureAttackResult;

constexpr int dim = 5;
constexpr int columns = 21;
constexpr std::int64_t top = 5;
const std::vector<std::string> amr{"amr", "model.dim=5", "model.init_std=0.4", "features.columns=21"};

// Users are judged by an item that they do not have. A last column that no score reads makes the box so wide that no
// change meets it.
struct Case {
  explicit Case(const comm::Communicator& world) : toy(world, amr) {
    table::Table& projection = toy.model.dense->table(0);
    std::fill_n(projection.record(columns - 1), dim, 0.0F);
    table::Table& features = *toy.model.frozen.front();
    for (Index k = 0; k < features.rows(); ++k)
      features.record(k)[columns - 1] = static_cast<float>((features.first_row() + k) % 2 == 0 ? 50 : -50);
    targets.first_user = toy.lists.first_user;
    for (Index u = 0; u < toy.lists.users(); ++u) {
      const Index wanted = (toy.lists.first_user + u) * 5 % 23;
      if (!toy.lists.contains(u, static_cast<ItemId>(wanted))) targets.items.push_back(static_cast<ItemId>(wanted));
      targets.offsets.push_back(static_cast<std::int64_t>(targets.items.size()));
    }
    lists.targets = &targets;
    lists.masked = {&toy.lists};
  }

  FeatureAttackResult attack(const FeatureAttackPlan& plan) const {
    return systems::attack_features(toy.communicator, toy.layout, toy.model, lists, plan);
  }

  test::ToyNetwork toy;
  data::UserLists targets;
  evaluate::EvaluationLists lists;
};

FeatureAttackPlan plan_of(Index pushed) {
  return {.tap = "item_features", .top = top, .pushed = pushed};
}

// The same pairs one after another, on numbers that every rank has: the change of a linear score is along E p_u.
FeatureAttackResult expected(const Case& example, Index pushed, double confidence) {
  const auto users = example.toy.values(example.toy.model, "user");
  const auto items = example.toy.values(example.toy.model, "item");
  const auto features = example.toy.values(example.toy.model, "item_features");
  const auto projection = example.toy.values(example.toy.model, "dense.projection");
  const test::ToyData data{41, 23, false};
  const auto at = [](const std::vector<float>& all, Index row, int width, int c) {
    return static_cast<double>(all[static_cast<std::size_t>(row * width + c)]);
  };
  FeatureAttackResult result;
  for (Index u = 0; u < data.users; ++u) {
    const Index wanted = u * 5 % 23;
    if (data.has(u, wanted)) continue;
    const Index item = pushed < 0 ? wanted : pushed;
    if (data.has(u, item)) continue;
    std::vector<double> slope(columns, 0.0);
    for (int f = 0; f < columns; ++f) {
      for (int c = 0; c < dim; ++c)
        slope[static_cast<std::size_t>(f)] += at(projection, f, dim, c) * at(users, u, dim, c);
    }
    double squares = 0.0;
    for (const double x : slope) squares += x * x;
    std::vector<std::pair<double, Index>> scores;
    double own = 0.0;
    for (Index i = 0; i < data.items; ++i) {
      if (data.has(u, i)) continue;
      double score = 0.0;
      for (int c = 0; c < dim; ++c) score += at(users, u, dim, c) * at(items, i, dim, c);
      for (int f = 0; f < columns; ++f) score += at(features, i, columns, f) * slope[static_cast<std::size_t>(f)];
      (i == item ? own : scores.emplace_back(score, i).first) = score;
    }
    std::ranges::sort(scores, std::greater<>());
    ++result.pairs;
    if (scores.size() < static_cast<std::size_t>(top)) continue;
    const double to_pass = scores[static_cast<std::size_t>(top - 1)].first;
    const bool hit = own > to_pass;
    result.hits += hit ? 1 : 0;
    if (hit != (pushed < 0)) continue;
    ++result.attacked;
    result.distortion += (std::abs(own - to_pass) + confidence) / std::sqrt(squares);
  }
  result.distortion /= static_cast<double>(result.attacked);
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(feature_attack)

BOOST_AUTO_TEST_CASE(changes_of_linear_scores_have_the_length_of_the_closed_form) {
  const auto world = comm::Communicator::world();
  const Case example(world);
  for (const Index pushed : {Index{-1}, Index{4}}) {
    double before = 0.0;
    for (const double confidence : {0.0, 0.3}) {
      FeatureAttackPlan plan = plan_of(pushed);
      plan.search.confidence = confidence;
      const auto found = example.attack(plan);
      const auto wanted = expected(example, pushed, confidence);
      BOOST_TEST(found.pairs == wanted.pairs);
      BOOST_TEST(found.hits == wanted.hits);
      BOOST_TEST(found.attacked == wanted.attacked);
      BOOST_TEST(wanted.attacked > 5);
      BOOST_TEST(found.successes == found.attacked);
      BOOST_TEST(std::abs(found.distortion - wanted.distortion) < 0.02 * wanted.distortion);
      BOOST_TEST(found.relative < found.distortion);  // rows are longer than 1
      BOOST_TEST(found.distortion > before);
      before = found.distortion;
    }
  }
}

BOOST_AUTO_TEST_CASE(fewer_numbers_of_a_row_cost_distortion) {
  const auto world = comm::Communicator::world();
  const Case example(world);
  double before = 0.0;
  for (const std::int64_t most : {0, 8, 2}) {
    FeatureAttackPlan plan = plan_of(-1);
    plan.search.most_changes = most;
    const auto found = example.attack(plan);
    BOOST_TEST(found.successes > 5);
    BOOST_TEST(found.distortion > before);
    if (most > 0) BOOST_TEST(found.changes <= static_cast<double>(most));
    before = found.distortion;
  }
}

BOOST_AUTO_TEST_CASE(a_search_has_the_bits_of_one_process_on_any_ranks_and_threads) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  for (const Index pushed : {Index{-1}, Index{4}}) {
    FeatureAttackPlan plan = plan_of(pushed);
    plan.search.steps = 60;
    const auto wanted = Case(alone).attack(plan);
    for (const int thread_count : {1, 2}) {
      set_threads(thread_count);
      const auto found = Case(world).attack(plan);
      BOOST_TEST(found.attacked == wanted.attacked);
      BOOST_TEST(found.successes == wanted.successes);
      BOOST_TEST(found.distortion == wanted.distortion);
      BOOST_TEST(found.relative == wanted.relative);
    }
    set_threads(1);
  }
}

// Without the wide column the box is [-1, 1], and some goals lie outside.
BOOST_AUTO_TEST_CASE(the_box_of_the_values_costs_distortion_or_success) {
  const auto world = comm::Communicator::world();
  Case example(world);
  const auto free = example.attack(plan_of(-1));
  table::Table& features = *example.toy.model.frozen.front();
  for (Index k = 0; k < features.rows(); ++k) features.record(k)[columns - 1] = 0.0F;
  const auto boxed = example.attack(plan_of(-1));
  BOOST_TEST(boxed.attacked == free.attacked);
  BOOST_TEST(boxed.successes > 0);
  BOOST_TEST((boxed.successes < free.successes || boxed.distortion > free.distortion));
}

BOOST_AUTO_TEST_CASE(only_models_of_described_items_have_continuous_inputs) {
  const auto world = comm::Communicator::world();
  BOOST_TEST(
      (systems::continuous_inputs(test::ToyNetwork(world, amr).model) == std::vector<std::string>{"item_features"}));
  BOOST_TEST((systems::continuous_inputs(test::ToyNetwork(world, {"fncf"}).model) ==
              std::vector<std::string>{systems::profile_tap}));
  for (const char* system : {"gmf", "cdae", "gru4rec"})
    BOOST_TEST(systems::continuous_inputs(test::ToyNetwork(world, {system}).model).empty());
}

BOOST_AUTO_TEST_SUITE_END()
