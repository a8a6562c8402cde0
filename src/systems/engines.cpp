#include "factor_network.hpp"
#include "neural_setup.hpp"
#include "row_penalty.hpp"

#include "spar/base/error.hpp"
#include "spar/game/catalogue_engine.hpp"
#include "spar/game/neural_engine.hpp"
#include "spar/game/pairwise_engine.hpp"
#include "spar/systems/factor_model.hpp"
#include "spar/systems/negatives.hpp"

namespace spar::systems {

namespace {

std::unique_ptr<game::Engine> pairwise_engine(const comm::Communicator& communicator, const ShardLayout& layout,
                                              const data::DatasetHeader& data, const Recipe& recipe, FactorModel& model,
                                              const data::UserLists& train) {
  game::PairwiseSetup setup;
  setup.communicator = &communicator;
  setup.layout = layout;
  setup.users = model.users.get();
  setup.items = model.items.get();
  setup.train = &train;
  setup.law = negative_law(communicator, layout, recipe, train, data.items, model.dislikes);
  setup.total_positives = data.counts[0];
  setup.batch_size = recipe.integer("train.batch_size");
  setup.seed = static_cast<std::uint64_t>(recipe.integer("train.seed"));
  setup.l2 = recipe.real("objective.l2");
  setup.l2_batch_mean = recipe.text("objective.l2_form") == "batch_mean";
  setup.rate = recipe.schedule("optimizer.learning_rate");
  setup.pipeline = recipe.integer("parallel.pipeline") == 1;
  setup.node_memory = recipe.flag("parallel.node_memory");
  setup.deadline_seconds = recipe.real("parallel.deadline_seconds");
  return std::make_unique<game::PairwiseEngine>(setup);
}

std::unique_ptr<game::Engine> neural_engine(const comm::Communicator& communicator, const ShardLayout& layout,
                                            const Recipe& recipe, FactorModel& model, const data::UserLists& train,
                                            const data::PostRows* posts) {
  game::NeuralSetup setup = model.network ? neural_setup(communicator, layout, model, train, posts)
                                          : factor_network_setup(communicator, layout, recipe, model, train);
  setup.rate = recipe.schedule("optimizer.learning_rate");
  setup.clip_norm = recipe.real("optimizer.clip_norm");
  setup.decorrelation = decorrelation_of(recipe);
  if (recipe.has("rates.item")) {
    setup.table_rates = {Schedule(), recipe.schedule("rates.item")};
    setup.dense_rate = recipe.schedule("rates.dense");
  }
  const Index ranked = model.table_named(setup.model->question().ranks).total_rows();
  setup.law = negative_law(communicator, layout, recipe, train, ranked, model.dislikes);
  setup.batch_size = recipe.integer("train.batch_size");
  setup.seed = static_cast<std::uint64_t>(recipe.integer("train.seed"));
  setup.node_memory = recipe.flag("parallel.node_memory");
  setup.deadline_seconds = recipe.real("parallel.deadline_seconds");
  return std::make_unique<game::NeuralEngine>(setup);
}

std::unique_ptr<game::Engine> catalogue_engine(const comm::Communicator& communicator, const ShardLayout& layout,
                                               const data::DatasetHeader& data, const Recipe& recipe,
                                               FactorModel& model, const data::UserLists& train) {
  game::CatalogueSetup setup;
  setup.communicator = &communicator;
  setup.layout = layout;
  setup.model = *model.autoencoder;
  setup.tables = model.autoencoder_tables();
  setup.train = &train;
  if (model.predicts_ratings()) setup.values = std::span(train.ratings.data(), train.ratings.size());
  setup.users = data.users;
  setup.rate = recipe.schedule("optimizer.learning_rate");
  setup.clip_norm = recipe.real("optimizer.clip_norm");
  setup.batch_users = recipe.integer("train.batch_size");
  setup.node_memory = recipe.flag("parallel.node_memory");
  setup.deadline_seconds = recipe.real("parallel.deadline_seconds");
  setup.seed = static_cast<std::uint64_t>(recipe.integer("train.seed"));
  if (recipe.has("autoencoder.encoder_weight")) {
    setup.encoder_weight = recipe.real("autoencoder.encoder_weight");
    setup.decoder_weight = recipe.real("autoencoder.decoder_weight");
  }
  return std::make_unique<game::CatalogueEngine>(setup);
}

}  // namespace

std::unique_ptr<game::Engine> make_engine(const comm::Communicator& communicator, const ShardLayout& layout,
                                          const data::DatasetHeader& data, const Recipe& recipe, FactorModel& model,
                                          const data::UserLists& train, const data::PostRows* posts) {
  if (model.autoencoder) return catalogue_engine(communicator, layout, data, recipe, model, train);
  return model.network || !beyond_pairwise(recipe).empty()
             ? neural_engine(communicator, layout, recipe, model, train, posts)
             : pairwise_engine(communicator, layout, data, recipe, model, train);
}

}  // namespace spar::systems
