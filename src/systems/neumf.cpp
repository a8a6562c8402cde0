#include "ncf.hpp"

#include "spar/systems/declarations.hpp"

namespace spar::systems {

namespace {

SystemInfo declare(const std::string& name, const std::string& sentence, const std::string& score) {
  SystemInfo info;
  info.name = name;
  info.family = "base";
  info.sentence = sentence;
  info.inputs = {"interactions"};
  info.score = score;
  info.bibtex = R"(@inproceedings{he2017ncf,
  author    = {Xiangnan He and Lizi Liao and Hanwang Zhang and Liqiang Nie and Xia Hu and Tat-Seng Chua},
  title     = {Neural Collaborative Filtering},
  booktitle = {Proceedings of the 26th International Conference on World Wide Web},
  pages     = {173--182},
  year      = {2017}
}
)";
  const std::string code = "NCF code";
  info.settings = {.system = name,
                   .takes = {"model.init_law", "model.init_std", "objective.decorrelation",
                             "objective.decorrelation_every", "optimizer.*", "sampling.*", "train.*"},
                   .defaults = {{"model.init_law", std::string("normal"), code},
                                {"model.init_std", 0.01, code},
                                {"optimizer.name", std::string("lazy_adam"), "NCF code has dense Adam"},
                                {"optimizer.learning_rate", 0.001, code},
                                {"sampling.per_positive", std::int64_t{4}, code},
                                {"train.epochs", std::int64_t{20}, code},
                                {"train.batch_size", std::int64_t{51}, "NCF code: 256 examples, 5 for each positive"}}};
  return info;
}

int negatives(const Recipe& recipe) {
  return static_cast<int>(recipe.integer("sampling.per_positive"));
}

}  // namespace

SystemInfo declare_gmf() {
  SystemInfo info = declare("gmf", "Generalized matrix factorisation: a weighted product of vectors, pointwise",
                            "weights . (user * item)");
  info.settings.takes.push_back("model.dim");
  info.settings.defaults.push_back({"model.dim", std::int64_t{8}, "NCF code"});
  info.network = [](const Recipe& recipe) -> std::unique_ptr<game::NeuralModel> {
    return std::make_unique<NcfModel>(static_cast<int>(recipe.integer("model.dim")), std::vector<int>{},
                                      negatives(recipe));
  };
  return info;
}

SystemInfo declare_mlp() {
  SystemInfo info =
      declare("mlp", "A perceptron over a user's and an item's vector, pointwise", "perceptron(user, item)");
  info.settings.takes.insert(info.settings.takes.end(), {"network.layers", "network.batch_norm"});
  info.network = [](const Recipe& recipe) -> std::unique_ptr<game::NeuralModel> {
    return std::make_unique<NcfModel>(0, perceptron_layers(recipe), negatives(recipe),
                                      recipe.flag("network.batch_norm"));
  };
  return info;
}

SystemInfo declare_neumf() {
  SystemInfo info = declare("neumf", "Neural matrix factorisation: gmf and mlp under one output, pointwise",
                            "weights . [user * item; perceptron(user, item)]");
  info.settings.takes.insert(info.settings.takes.end(),
                             {"model.dim", "network.layers", "network.batch_norm", "pretrained.*"});
  info.settings.defaults.push_back({"model.dim", std::int64_t{8}, "NCF code"});
  info.network = [](const Recipe& recipe) -> std::unique_ptr<game::NeuralModel> {
    return std::make_unique<NcfModel>(static_cast<int>(recipe.integer("model.dim")), perceptron_layers(recipe),
                                      negatives(recipe), recipe.flag("network.batch_norm"));
  };
  return info;
}

}  // namespace spar::systems
