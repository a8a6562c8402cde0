#include <cmath>
#include <cstring>

#include "game/toy_game.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/threads.hpp"
#include "spar/systems/factor_model.hpp"
#include "spar/systems/system.hpp"

// Batch norm driven by the engine: statistics of the whole batch, whatever the launch.
namespace {

using namespace spar;

// Every user lacks one item, so the examples of a step over all positives are the same for any number of shards.
const test::ToyData toy{61, 23, true};

struct Result {
  std::vector<std::vector<float>> tables;  // users, items, then dense parameters and running moments
  std::vector<double> losses;
  bool operator==(const Result&) const = default;
};

Recipe recipe_of(std::vector<std::string> overrides) {
  for (const char* setting : {"network.layers=[10,7,5]", "network.batch_norm=true", "model.dim=3", "model.init_std=0.4",
                              "sampling.per_positive=1"})
    overrides.emplace_back(setting);
  return systems::load_recipe("neumf", overrides);
}

std::vector<float> whole(const comm::Communicator& communicator, const table::Table& table) {
  const std::span<const float> mine(table.rows() == 0 ? nullptr : table.record(0),
                                    static_cast<std::size_t>(table.rows() * table.shape().record()));
  std::vector<float> all;
  for (const auto& part : communicator.allgather(std::as_bytes(mine))) {
    const std::size_t begin = all.size();
    all.resize(begin + part.size() / sizeof(float));
    if (!part.empty()) std::memcpy(all.data() + begin, part.data(), part.size());
  }
  return all;
}

Result train(const comm::Communicator& communicator, Recipe recipe, std::int64_t epochs,
             const std::optional<game::Adversary>& adversary = {}, int thread_count = 1,
             const test::ToyData& data = toy) {
  set_threads(thread_count);
  const ShardLayout layout{systems::resolve_shards(recipe), communicator.size()};
  data::DatasetHeader header;
  header.users = data.users;
  header.items = data.items;
  header.counts[0] = data.positives();
  auto model = systems::make_model(communicator, layout, header, recipe, true);
  const auto lists = data.lists(model.users->first_row(), model.users->first_row() + model.users->rows());
  const auto plan = systems::plan_of(recipe);
  Result result;
  {
    const auto engine = systems::make_engine(communicator, layout, header, recipe, model, lists);
    engine->use_optimizer(plan.optimizer, 0);
    game::Stage stage = plan.stages.back();
    stage.adversary = adversary;
    engine->begin_stage(stage);
    for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
      engine->begin_epoch(epoch, 0, {});
      while (engine->next_step() < engine->steps()) engine->step(0);
      engine->end_epoch();
      BOOST_TEST(engine->divergence().empty());
      for (auto* losses : {&engine->losses(), &engine->second_losses()})
        result.losses.push_back(comm::tree_sum(communicator, layout.shards, *losses, 1).front());
    }
  }
  for (const auto* table : {model.users.get(), model.items.get()}) result.tables.push_back(whole(communicator, *table));
  for (int k = 0; k < model.dense->count(); ++k) {
    const table::Table& matrix = model.dense->table(k);
    result.tables.emplace_back(matrix.record(0), matrix.record(0) + matrix.rows() * matrix.shape().record());
  }
  set_threads(1);
  return result;
}

game::Adversary adversary_of(adversary::Scope scope, float epsilon, double weight) {
  game::Adversary adversary;
  adversary.perturbation.epsilon = epsilon;
  adversary.scope = scope;
  adversary.weight = weight;
  return adversary;
}

double difference(const Result& a, const Result& b) {
  double most = 0.0;
  for (std::size_t t = 0; t < a.tables.size(); ++t)
    most = std::max(most, test::largest_difference(a.tables[t], b.tables[t]));
  return most;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(batch_norm_mpi)

BOOST_AUTO_TEST_CASE(statistics_of_the_whole_batch_give_the_bits_of_one_process) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  for (const char* setting : {"optimizer.name=sgd", "parallel.node_memory=false", "optimizer.name=adam"}) {
    const Recipe recipe = recipe_of({"train.batch_size=300", "parallel.shards=8", setting});
    const Result expected = train(alone, recipe, 2);
    BOOST_TEST(std::isfinite(expected.losses.front()));
    for (const int thread_count : {1, 2})
      BOOST_TEST((train(world, recipe, 2, {}, thread_count) == expected),
                 setting << " on " << thread_count << " threads");
  }
}

BOOST_AUTO_TEST_CASE(a_step_is_that_of_the_whole_batch_for_any_number_of_shards) {
  const auto world = comm::Communicator::world();
  const std::vector<std::string> step{"train.batch_size=1000000", "optimizer.name=sgd", "optimizer.learning_rate=0.5"};
  const auto of = [&](const char* shards) {
    std::vector<std::string> settings = step;
    settings.emplace_back(shards);
    return train(world, recipe_of(settings), 1);
  };
  const Result few = of("parallel.shards=4");
  const Result many = of("parallel.shards=64");  // more than users: some shards have no example
  BOOST_TEST(difference(few, many) < 1e-5);
  BOOST_TEST(std::abs(few.losses.front() - many.losses.front()) < 1e-3);
  std::vector<std::string> none = step;
  none.emplace_back("parallel.shards=4");
  BOOST_TEST(difference(few, train(world, recipe_of(none), 0)) > 1e-3);
}

BOOST_AUTO_TEST_CASE(adversaries_play_against_normed_networks_with_the_bits_of_one_process) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  const Recipe recipe = recipe_of({"train.batch_size=300", "parallel.shards=8"});
  const Result plain = train(alone, recipe, 1);
  for (const auto scope : {adversary::Scope::batch, adversary::Scope::shard}) {
    const auto adversary = adversary_of(scope, 0.3F, 0.7);
    const Result expected = train(alone, recipe, 1, adversary);
    BOOST_TEST(expected.losses[1] > expected.losses[0]);
    BOOST_TEST((train(world, recipe, 1, adversary, 2) == expected));
    BOOST_TEST(difference(expected, plain) > 1e-4);
  }
}

BOOST_AUTO_TEST_CASE(only_the_clean_pass_moves_the_running_moments) {
  const auto world = comm::Communicator::world();
  const Recipe recipe =
      recipe_of({"train.batch_size=300", "parallel.shards=8", "optimizer.name=sgd", "optimizer.learning_rate=0.1"});
  const Result plain = train(world, recipe, 1);
  // At such a weight the second pass has no say in any parameter; moved by it, the moments would differ.
  const Result watched = train(world, recipe, 1, adversary_of(adversary::Scope::shard, 0.3F, 1e-30));
  BOOST_TEST(watched.losses[1] > watched.losses[0]);
  BOOST_TEST(difference(watched, plain) < 1e-20);
}

BOOST_AUTO_TEST_CASE(steps_of_single_examples_stay_finite_and_have_the_bits_of_one_process) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  const test::ToyData small{13, 5, true};
  // A positive and a negative a step: next to nothing for a variance, and most shards without any.
  const Recipe recipe = recipe_of({"train.batch_size=1", "parallel.shards=4"});
  const Result expected = train(alone, recipe, 1, {}, 1, small);
  for (const auto& table : expected.tables) {
    for (const float x : table) BOOST_TEST(std::isfinite(x));
  }
  BOOST_TEST((train(world, recipe, 1, {}, 2, small) == expected));
}

BOOST_AUTO_TEST_SUITE_END()
