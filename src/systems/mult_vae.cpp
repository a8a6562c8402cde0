#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/optim/update.hpp"
#include "spar/systems/declarations.hpp"

namespace spar::systems {

namespace {

SystemInfo declare(const std::string& name, const std::string& sentence) {
  SystemInfo info;
  info.name = name;
  info.family = "base";
  info.sentence = sentence;
  info.inputs = {"interactions"};
  info.score = "decoder(encoder(training profile)) . item + item_bias";
  info.bibtex = R"(@inproceedings{liang2018variational,
  author    = {Dawen Liang and Rahul G. Krishnan and Matthew D. Hoffman and Tony Jebara},
  title     = {Variational Autoencoders for Collaborative Filtering},
  booktitle = {Proceedings of the 2018 World Wide Web Conference},
  pages     = {689--698},
  year      = {2018}
}
)";
  const std::string code = "Mult-VAE code";
  info.settings = {
      .system = name,
      .takes = {"network.layers", "autoencoder.keep", "autoencoder.cells", "autoencoder.samples",
                "autoencoder.sample_power", "autoencoder.init_scale", "objective.l2", "optimizer.*", "train.*"},
      .defaults = {{"autoencoder.keep", 0.5, code},
                   {"autoencoder.cells", std::string("all"), code},
                   {"autoencoder.init_scale", 1.0, code},
                   {"optimizer.name", std::string("adam"), code},
                   {"optimizer.learning_rate", 0.001, code},
                   {"train.epochs", std::int64_t{200}, code},
                   {"train.batch_size", std::int64_t{500}, code},
                   {"evaluate.select_by", std::string("ndcg@100"), code}}};
  return info;
}

// Steps that draw items cost what the drawn rows do, whatever the catalogue, unless the optimiser moves all of them.
void draw_outputs(const Recipe& recipe, game::Autoencoder& model) {
  if (recipe.text("autoencoder.cells") != "sampled") return;
  model.cells = game::LossCells::sampled;
  model.samples = recipe.integer("autoencoder.samples");
  model.sample_power = recipe.real("autoencoder.sample_power");
  if (optim::rule_of(recipe.text("optimizer.name")) == optim::Rule::adam)
    throw UserError(
        "optimizer.name = \"adam\" moves the rows of all items in every step, which autoencoder.cells = \"sampled\" is "
        "there to avoid: take lazy_adam, adagrad or sgd");
}

// Layers from the catalogue to the code; the decoder has the same, in reverse, as in the published code.
game::Autoencoder mirrored(const Recipe& recipe) {
  const auto& widths = recipe.integers("network.layers");
  game::Autoencoder model;
  model.encoder.assign(widths.begin(), widths.end());
  model.decoder.assign(widths.rbegin() + 1, widths.rend());
  model.normalise = true;
  model.keep = recipe.real("autoencoder.keep");
  model.l2 = recipe.real("objective.l2");
  draw_outputs(recipe, model);
  return model;
}

game::Autoencoder variational(const Recipe& recipe) {
  game::Autoencoder model = mirrored(recipe);
  if (model.encoder.size() < 2)
    throw UserError(
        fmt::format("network.layers = [{}] names the code only: mult-vae needs at least one layer before it, as in "
                    "[600, 200]",
                    model.encoder.front()));
  model.code = model.encoder.back();
  model.encoder.pop_back();
  model.gaussian = true;
  model.beta = recipe.schedule("autoencoder.beta");
  return model;
}

}  // namespace

SystemInfo declare_mult_vae() {
  SystemInfo info =
      declare("mult-vae", "Variational auto-encoder of users' profiles with a multinomial likelihood over all items");
  const std::vector<SettingDefault> own{
      {"network.layers", std::vector<std::int64_t>{600, 200}, "Mult-VAE code: 600-200-600 between the wide layers"},
      {"objective.l2", 0.0, "Mult-VAE code"}};
  info.settings.takes.push_back("autoencoder.beta");
  info.settings.defaults.insert(info.settings.defaults.end(), own.begin(), own.end());
  info.autoencoder = variational;
  return info;
}

SystemInfo declare_mult_dae() {
  SystemInfo info =
      declare("mult-dae", "Denoising auto-encoder of users' profiles with a multinomial likelihood over all items");
  const std::vector<SettingDefault> own{{"network.layers", std::vector<std::int64_t>{200}, "Mult-VAE code"},
                                        {"objective.l2", 2e-5, "Mult-VAE code: 0.01 / 500"}};
  info.settings.defaults.insert(info.settings.defaults.end(), own.begin(), own.end());
  info.autoencoder = mirrored;
  return info;
}

}  // namespace spar::systems
