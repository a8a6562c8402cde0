#include "spar/systems/declarations.hpp"

namespace spar::systems {

namespace {

// Users' rows (U-AutoRec); a data set with users and items exchanged makes it the form over items.
game::Autoencoder autorec_of(const Recipe& recipe) {
  game::Autoencoder model;
  model.encoder = {static_cast<int>(recipe.integer("model.dim"))};
  model.activation = tape::Activation::sigmoid;
  model.reads_ratings = true;
  model.loss = catalogue::OutputLoss::square;
  model.cells = game::LossCells::observed;
  model.mean_over_users = false;
  model.l2 = recipe.real("objective.l2");
  return model;
}

}  // namespace

SystemInfo declare_autorec() {
  SystemInfo info;
  info.name = "autorec";
  info.family = "base";
  info.sentence = "Auto-encoder of users' ratings, trained on the ratings that are there alone";
  info.inputs = {"interactions", "ratings"};
  info.score = "sigmoid(sum of the training ratings' rows) . item + item_bias, a predicted rating";
  info.bibtex = R"(@inproceedings{sedhain2015autorec,
  author    = {Suvash Sedhain and Aditya Krishna Menon and Scott Sanner and Lexing Xie},
  title     = {{AutoRec}: Autoencoders Meet Collaborative Filtering},
  booktitle = {Proceedings of the 24th International Conference on World Wide Web (Companion Volume)},
  pages     = {111--112},
  year      = {2015}
}
)";
  const std::string paper = "AutoRec paper";
  info.settings = {
      .system = info.name,
      .takes = {"model.dim", "autoencoder.init_scale", "objective.l2", "optimizer.*", "train.*"},
      .defaults = {
          {"model.dim", std::int64_t{500}, paper},
          {"autoencoder.init_scale", 1.0, "own choice"},
          {"objective.l2", 10.0, "own choice, by validation on MovieLens-1M: lambda / 2, counted in each step"},
          {"optimizer.name", std::string("adam"), "own choice: the paper takes resilient propagation"},
          {"optimizer.learning_rate", 0.001, "own choice"},
          {"train.epochs", std::int64_t{200}, "own choice"},
          {"train.batch_size", std::int64_t{500}, "own choice"},
          {"evaluate.metrics", std::vector<std::string>{"rmse", "mae"}, paper},
          {"evaluate.select_by", std::string("rmse"), paper}}};
  info.autoencoder = autorec_of;
  return info;
}

}  // namespace spar::systems
