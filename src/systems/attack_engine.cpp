#include "attack_engine.hpp"

#include "neural_setup.hpp"

#include "spar/base/random.hpp"
#include "spar/game/catalogue_engine.hpp"
#include "spar/game/neural_engine.hpp"
#include "spar/game/pairwise_engine.hpp"

namespace spar::systems {

namespace {

constexpr double deadline_seconds = 600;

// Draws of an attack must not be those of a training of the same seed; sources of networks know no purposes.
std::uint64_t seed_of_draws(const AttackPlan& plan) {
  return word64(RandomStream(plan.seed, Purpose::attack_negatives).block(0), 0);
}

std::unique_ptr<game::Engine> pairwise_engine(const comm::Communicator& communicator, const ShardLayout& layout,
                                              FactorModel& model, const data::UserLists& train,
                                              std::int64_t total_positives, const AttackPlan& plan) {
  game::PairwiseSetup setup;
  setup.communicator = &communicator;
  setup.layout = layout;
  setup.users = model.users.get();
  setup.items = model.items.get();
  setup.train = &train;
  setup.total_positives = total_positives;
  setup.batch_size = plan.batch_size;
  setup.seed = plan.seed;
  setup.deadline_seconds = deadline_seconds;
  setup.order_purpose = Purpose::attack_start;
  setup.negative_purpose = Purpose::attack_negatives;
  return std::make_unique<game::PairwiseEngine>(setup);
}

std::unique_ptr<game::Engine> neural_engine(const comm::Communicator& communicator, const ShardLayout& layout,
                                            FactorModel& model, const data::UserLists& train,
                                            const data::PostRows* posts, const AttackPlan& plan) {
  game::NeuralSetup setup = neural_setup(communicator, layout, model, train, posts);
  setup.batch_size = plan.batch_size;
  setup.seed = seed_of_draws(plan);
  setup.deadline_seconds = deadline_seconds;
  return std::make_unique<game::NeuralEngine>(setup);
}

std::unique_ptr<game::Engine> catalogue_engine(const comm::Communicator& communicator, const ShardLayout& layout,
                                               FactorModel& model, const data::UserLists& train,
                                               const AttackPlan& plan) {
  game::CatalogueSetup setup;
  setup.communicator = &communicator;
  setup.layout = layout;
  setup.model = *model.autoencoder;
  setup.model.keep = 1.0;
  setup.model.code_noise = 0.0;
  setup.model.beta = Schedule(0.0);
  setup.model.l2 = 0.0;
  setup.model.mean_over_users = false;
  if (setup.model.samples_softmax()) setup.model.cells = game::LossCells::all;
  setup.tables = model.autoencoder_tables();
  setup.train = &train;
  if (model.predicts_ratings()) setup.values = std::span(train.ratings.data(), train.ratings.size());
  setup.users = model.users->total_rows();
  setup.batch_users = plan.batch_size;
  setup.seed = seed_of_draws(plan);
  return std::make_unique<game::CatalogueEngine>(setup);
}

}  // namespace

std::unique_ptr<game::Engine> attack_engine(const comm::Communicator& communicator, const ShardLayout& layout,
                                            FactorModel& model, const data::UserLists& train,
                                            std::int64_t total_positives, const AttackPlan& plan,
                                            const data::PostRows* posts) {
  if (model.autoencoder) return catalogue_engine(communicator, layout, model, train, plan);
  return model.network ? neural_engine(communicator, layout, model, train, posts, plan)
                       : pairwise_engine(communicator, layout, model, train, total_positives, plan);
}

void run_pass(game::Engine& engine) {
  engine.begin_epoch(0, 0, {});
  while (engine.next_step() < engine.steps()) engine.step(0);
  engine.end_epoch();
}

}  // namespace spar::systems
