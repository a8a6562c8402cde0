#include <map>

#include "game/toy_game.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/evaluate/evaluator.hpp"
#include "spar/systems/attack.hpp"

namespace {

using namespace spar;

constexpr int shards = 8;
const test::ToyData everything{401, 127, false};

// One item of every user who has more than one is kept for testing, drawn by the user's number.
Index held_out(Index user) {
  std::vector<Index> own;
  for (Index i = 0; i < everything.items; ++i) {
    if (everything.has(user, i)) own.push_back(i);
  }
  if (own.size() < 2 || static_cast<Index>(own.size()) == everything.items) return -1;
  return own[static_cast<std::size_t>(user * 31 + 7) % own.size()];
}

struct Lists {
  data::UserLists train;
  data::UserLists test;
};

Lists lists_of(Index first, Index end) {
  Lists lists;
  lists.train.first_user = lists.test.first_user = first;
  for (Index u = first; u < end; ++u) {
    const Index kept = held_out(u);
    for (Index i = 0; i < everything.items; ++i) {
      if (everything.has(u, i)) (i == kept ? lists.test : lists.train).items.push_back(static_cast<ItemId>(i));
    }
    for (auto* l : {&lists.train, &lists.test}) l->offsets.push_back(static_cast<std::int64_t>(l->items.size()));
  }
  return lists;
}

// A model trained for so many epochs of BPR, then so many of APR, and its judge.
class Trained {
 public:
  Trained(const comm::Communicator& world, int bpr_epochs, int apr_epochs)
      : world_(world), layout_{shards, world.size()} {
    const optim::OptimizerSettings adagrad{.rule = optim::Rule::adagrad, .learning_rate = 0.05F};
    const auto table = [&](const char* name, Index rows, std::uint32_t number) {
      auto t =
          std::make_unique<table::Table>(name, rows, layout_, world.rank(), table::RowShape{16, false, 0}, adagrad);
      t->initialize(1, number, "normal", 0.01);
      return t;
    };
    model_.users = table("user", everything.users, 0);
    model_.items = table("item", everything.items, 1);
    lists_ = lists_of(model_.users->first_row(), model_.users->first_row() + model_.users->rows());
    positives_ = world.sum(lists_.train.count());
    game::PairwiseSetup setup;
    setup.communicator = &world;
    setup.layout = layout_;
    setup.users = model_.users.get();
    setup.items = model_.items.get();
    setup.train = &lists_.train;
    setup.total_positives = positives_;
    setup.batch_size = 256;
    game::PairwiseEngine engine(setup);
    engine.use_optimizer(adagrad, 0);
    const auto adversary = test::adversary_of(adversary::Scope::batch);
    for (int epoch = 0; epoch < bpr_epochs + apr_epochs; ++epoch) {
      if (epoch == bpr_epochs) {
        for (auto* t : {model_.users.get(), model_.items.get()}) t->reset_state(adagrad);
        engine.set_adversary(&adversary);
      }
      engine.begin_epoch(epoch, 0);
      while (engine.next_step() < engine.steps()) engine.step(0);
      engine.end_epoch();
    }
  }

  double clean() const { return judge(model_); }
  double attacked(systems::AttackMethod method, double epsilon, std::uint64_t seed = 1) const {
    systems::AttackPlan plan;
    plan.method = method;
    plan.epsilon = epsilon;
    plan.seed = seed;
    return judge(systems::perturbed_model(world_, layout_, model_, lists_.train, positives_, plan));
  }
  // The relative change of nDCG, in per cent.
  double change(systems::AttackMethod method, double epsilon, std::uint64_t seed = 1) const {
    return 100.0 * (attacked(method, epsilon, seed) - clean()) / clean();
  }

 private:
  double judge(const systems::FactorModel& model) const {
    evaluate::EvaluationLists lists;
    lists.targets = &lists_.test;
    lists.masked = {&lists_.train};
    evaluate::EvaluationOptions options;
    options.cutoffs = {10};
    options.metrics = {"ndcg"};
    return evaluate::evaluate(world_, shards, model.scoring(world_, shards, lists).scorer, lists, options)
        .metrics.at("ndcg@10")
        .mean;
  }

  const comm::Communicator& world_;
  ShardLayout layout_;
  systems::FactorModel model_;
  Lists lists_;
  std::int64_t positives_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(robustness)

// APR, sheet's check 8: on the same toy data, each against its own clean value.
BOOST_AUTO_TEST_CASE(apr_loses_less_than_bpr_under_attack_and_noise_hurts_less_than_the_adversary) {
  const auto world = comm::Communicator::world();
  const Trained bpr(world, 120, 0);
  const Trained apr(world, 60, 60);
  const double chance = 10.0 / static_cast<double>(everything.items);
  BOOST_TEST(bpr.clean() > 3.0 * chance);
  BOOST_TEST(apr.clean() > 3.0 * chance);
  for (const double epsilon : {0.5, 1.0, 2.0}) {
    const double bpr_change = bpr.change(systems::AttackMethod::fgm, epsilon);
    const double apr_change = apr.change(systems::AttackMethod::fgm, epsilon);
    double bpr_noise = 0.0;
    double apr_noise = 0.0;
    constexpr int seeds = 5;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      bpr_noise += bpr.change(systems::AttackMethod::random, epsilon, seed) / seeds;
      apr_noise += apr.change(systems::AttackMethod::random, epsilon, seed) / seeds;
    }
    BOOST_TEST_MESSAGE("epsilon " << epsilon << ": bpr " << bpr_change << "% (noise " << bpr_noise << "%), apr "
                                  << apr_change << "% (noise " << apr_noise << "%)");
    BOOST_TEST(bpr_change < 0.0);
    BOOST_TEST(apr_change > bpr_change);
    BOOST_TEST(bpr_noise > bpr_change);
    BOOST_TEST(apr_noise > apr_change);
  }
}

BOOST_AUTO_TEST_CASE(metrics_under_attack_are_the_same_bits_on_any_number_of_ranks) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  const Trained together(world, 6, 4);
  const Trained single(alone, 6, 4);
  BOOST_TEST(together.clean() == single.clean());
  for (const auto method : {systems::AttackMethod::fgm, systems::AttackMethod::pgd, systems::AttackMethod::random})
    BOOST_TEST(together.attacked(method, 0.5) == single.attacked(method, 0.5));
}

BOOST_AUTO_TEST_SUITE_END()
