#include "cdae.hpp"

#include "spar/systems/declarations.hpp"

namespace spar::systems {

game::Autoencoder cdae_of(const Recipe& recipe) {
  game::Autoencoder model;
  model.encoder = {static_cast<int>(recipe.integer("model.dim"))};
  model.activation = tape::Activation::sigmoid;
  model.user_nodes = true;
  model.keep = recipe.real("autoencoder.keep");
  model.loss = catalogue::OutputLoss::bce;
  model.cells = recipe.text("autoencoder.cells") == "all" ? game::LossCells::all : game::LossCells::sampled;
  model.negatives = static_cast<double>(recipe.integer("sampling.per_positive"));
  model.mean_over_users = false;
  model.l2 = recipe.real("objective.l2");
  return model;
}

SystemSettings cdae_settings(const std::string& system) {
  const std::string code = "CDAE code";
  return {.system = system,
          .takes = {"model.dim", "autoencoder.keep", "autoencoder.cells", "autoencoder.init_scale", "objective.l2",
                    "optimizer.*", "sampling.*", "train.*"},
          .defaults = {
              {"model.dim", std::int64_t{50}, code},
              {"autoencoder.keep", 0.5, code},
              {"autoencoder.cells", std::string("sampled"), code},
              {"autoencoder.init_scale", 4.0, code},
              {"objective.l2", 0.005, "CDAE code: 0.01, with the paper's factor 1/2"},
              {"optimizer.name", std::string("adagrad"), code},
              {"optimizer.learning_rate", 0.1, code},
              {"optimizer.initial_accumulator", 1.0, "own choice: CDAE code adds 1 to the root of the sum instead"},
              {"sampling.per_positive", std::int64_t{5}, code},
              {"train.batch_size", std::int64_t{256}, "own choice: CDAE code moves after each user"}}};
}

SystemInfo declare_cdae() {
  SystemInfo info;
  info.name = "cdae";
  info.family = "base";
  info.sentence = "Denoising auto-encoder of users' profiles with a node for each user, one logit an item";
  info.inputs = {"interactions"};
  info.score = "sigmoid(sum of the training profile's rows + user) . item + item_bias";
  info.bibtex = R"(@inproceedings{wu2016cdae,
  author    = {Yao Wu and Christopher DuBois and Alice X. Zheng and Martin Ester},
  title     = {Collaborative Denoising Auto-Encoders for Top-N Recommender Systems},
  booktitle = {Proceedings of the Ninth {ACM} International Conference on Web Search and Data Mining},
  pages     = {153--162},
  year      = {2016}
}
)";
  info.settings = cdae_settings(info.name);
  info.autoencoder = cdae_of;
  return info;
}

}  // namespace spar::systems
