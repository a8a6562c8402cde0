#pragma once
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "toy_game.hpp"

#include "spar/game/catalogue_engine.hpp"

/// Small auto-encoders that every rank can also train alone.
namespace spar::test {

struct AutoencoderSettings {
  ToyData data{101, 53, false};
  game::Autoencoder model;
  bool ratings = false;  ///< values 1 to 5 instead of ones
  int shards = 8;
  std::int64_t batch_users = 23;
  std::uint64_t seed = 5;
  double init = 0.3;
  optim::OptimizerSettings optimizer{.rule = optim::Rule::adam, .learning_rate = 0.01F, .epsilon = 1e-8F};
  std::optional<game::Adversary> adversary;
  double encoder_weight = 1.0;
  Schedule rate{};
  double decoder_weight = 1.0;
  std::int64_t kept_bytes = std::int64_t{1} << 20;
  double clip_norm = 0.0;
};

inline float rating_of(Index user, Index item) {
  return static_cast<float>(1 + (user * 7 + item * 3) % 5);
}

/// All numbers of a model, state included: items' rows, users' rows, dense matrices.
using Numbers = std::vector<std::vector<float>>;

class AutoencoderGame {
 public:
  AutoencoderGame(const comm::Communicator& world, const AutoencoderSettings& s)
      : communicator(world),
        layout{s.shards, world.size()},
        encoder("encoder", s.data.items, layout, world.rank(), {s.model.input_width(), false, 0}, s.optimizer),
        decoder("decoder", s.data.items, layout, world.rank(), {s.model.output_width(), true, 0}, s.optimizer),
        users("user", s.data.users, layout, world.rank(), {s.model.input_width(), false, 0}, s.optimizer),
        dense(game::dense_shapes(s.model), layout, world.rank(), s.optimizer),
        lists(s.data.lists(users.first_row(), users.first_row() + users.rows())),
        settings(s) {
    encoder.initialize(s.seed, 0, "normal", s.init);
    decoder.initialize(s.seed, 1, "normal", s.init);
    users.initialize(s.seed, 2, "normal", s.init);
    dense.initialize(s.seed, 3);
    for (Index k = 0; s.ratings && k < lists.users(); ++k) {
      for (const ItemId item : lists.of(k)) values.push_back(rating_of(lists.first_user + k, item));
    }
    game::CatalogueSetup setup;
    setup.communicator = &communicator;
    setup.layout = layout;
    setup.model = s.model;
    setup.tables = tables();
    setup.train = &lists;
    setup.values = values;
    setup.users = s.data.users;
    setup.batch_users = s.batch_users;
    setup.seed = s.seed;
    setup.kept_bytes = s.kept_bytes;
    setup.rate = s.rate;
    setup.clip_norm = s.clip_norm;
    setup.encoder_weight = s.encoder_weight;
    setup.decoder_weight = s.decoder_weight;
    engine = std::make_unique<game::CatalogueEngine>(setup);
    engine->use_optimizer(s.optimizer, 0);
    engine->begin_stage({"toy", 1, s.adversary});
  }

  game::AutoencoderTables tables() {
    return {&encoder, &decoder, settings.model.user_nodes ? &users : nullptr, &dense};
  }
  std::vector<table::Table*> sharded() {
    std::vector<table::Table*> all{&encoder, &decoder};
    if (settings.model.user_nodes) all.push_back(&users);
    return all;
  }

  /// Trains whole epochs; the two losses of each, summed over the shards.
  std::vector<double> train(std::int64_t first_epoch, std::int64_t end_epoch) {
    std::vector<double> losses;
    for (std::int64_t epoch = first_epoch; epoch < end_epoch; ++epoch) {
      engine->begin_epoch(epoch, 0);
      while (engine->next_step() < engine->steps()) engine->step(0);
      engine->end_epoch();
      losses.push_back(comm::tree_sum(communicator, layout.shards, engine->losses(), 1).front());
      losses.push_back(comm::tree_sum(communicator, layout.shards, engine->second_losses(), 1).front());
    }
    return losses;
  }

  /// Everything on every rank; collective.
  Numbers numbers() {
    Numbers all;
    for (const table::Table* table : sharded()) all.push_back(whole(*table));
    for (int k = 0; k < dense.count(); ++k) {
      const table::Table& t = dense.table(k);
      all.emplace_back(t.record(0), t.record(0) + t.rows() * t.shape().record());
    }
    return all;
  }

  const comm::Communicator& communicator;
  ShardLayout layout;
  table::Table encoder;
  table::Table decoder;
  table::Table users;
  table::DenseParameters dense;
  data::UserLists lists;
  std::vector<float> values;
  AutoencoderSettings settings;
  std::unique_ptr<game::CatalogueEngine> engine;

 private:
  std::vector<float> whole(const table::Table& t) const {
    const std::span<const float> mine(t.rows() == 0 ? nullptr : t.record(0),
                                      static_cast<std::size_t>(t.rows() * t.shape().record()));
    std::vector<float> all;
    for (const auto& part : communicator.allgather(std::as_bytes(mine))) {
      const std::size_t begin = all.size();
      all.resize(begin + part.size() / sizeof(float));
      if (!part.empty()) std::memcpy(all.data() + begin, part.data(), part.size());
    }
    return all;
  }
};

struct Trained {
  Numbers numbers;
  std::vector<double> losses;
  bool operator==(const Trained&) const = default;
};

inline Trained train_autoencoder(const comm::Communicator& world, const AutoencoderSettings& settings,
                                 std::int64_t epochs, int thread_count = 1) {
  set_threads(thread_count);
  AutoencoderGame game(world, settings);
  Trained trained;
  trained.losses = game.train(0, epochs);
  trained.numbers = game.numbers();
  set_threads(1);
  return trained;
}

inline AutoencoderSettings mult_vae() {
  AutoencoderSettings s;
  s.model.encoder = {21};
  s.model.code = 7;
  s.model.gaussian = true;
  s.model.decoder = {19};
  s.model.normalise = true;
  s.model.keep = 0.5;
  s.model.beta = Schedule::parse("ramp 0 0.2 over 10 steps");
  return s;
}

inline AutoencoderSettings mult_dae() {
  AutoencoderSettings s;
  s.model.encoder = {18, 13};
  s.model.normalise = true;
  s.model.keep = 0.5;
  s.model.l2 = 0.002;
  return s;
}

inline AutoencoderSettings cdae(game::LossCells cells = game::LossCells::sampled) {
  AutoencoderSettings s;
  s.model.encoder = {12};
  s.model.activation = tape::Activation::sigmoid;
  s.model.user_nodes = true;
  s.model.keep = 0.5;
  s.model.loss = catalogue::OutputLoss::bce;
  s.model.cells = cells;
  s.model.negatives = 2.0;
  s.optimizer = {.rule = optim::Rule::adagrad, .learning_rate = 0.1F};
  return s;
}

inline AutoencoderSettings autorec() {
  AutoencoderSettings s;
  s.model.encoder = {15};
  s.model.activation = tape::Activation::sigmoid;
  s.model.loss = catalogue::OutputLoss::square;
  s.model.cells = game::LossCells::observed;
  s.ratings = true;
  s.optimizer = {.rule = optim::Rule::lazy_adam, .learning_rate = 0.01F, .epsilon = 1e-8F};
  return s;
}

inline AutoencoderSettings acae(adversary::Ball ball, game::LossCells cells = game::LossCells::all) {
  AutoencoderSettings s = cdae(cells);
  s.adversary = adversary_of(adversary::Scope::batch, adversary::Method::fgm, ball, 0.5, 0.7);
  s.encoder_weight = 0.5;
  return s;
}

/// The softmax of mult_vae() or mult_dae() over items that are drawn for each step.
inline AutoencoderSettings drawn_outputs(AutoencoderSettings s, std::int64_t samples, double power) {
  s.model.cells = game::LossCells::sampled;
  s.model.samples = samples;
  s.model.sample_power = power;
  s.optimizer.rule = optim::Rule::lazy_adam;
  return s;
}

struct Named {
  std::string name;
  AutoencoderSettings settings;
};

inline std::vector<Named> all_models() {
  AutoencoderSettings bce = cdae(game::LossCells::all);
  bce.optimizer = {.rule = optim::Rule::adam, .learning_rate = 0.01F, .epsilon = 1e-8F};
  AutoencoderSettings noisy = drawn_outputs(mult_dae(), 13, 0.75);
  noisy.adversary = adversary_of(adversary::Scope::batch, adversary::Method::fgm, adversary::Ball::row_l2, 0.5, 0.7);
  return {{"mult-vae", mult_vae()},
          {"mult-vae, drawn outputs", drawn_outputs(mult_vae(), 19, 0.0)},
          {"mult-dae, outputs drawn by popularity", drawn_outputs(mult_dae(), 13, 0.75)},
          {"mult-dae against an adversary, drawn outputs", noisy},
          {"mult-dae", mult_dae()},
          {"cdae, drawn cells", cdae()},
          {"cdae, all cells", bce},
          {"autorec", autorec()},
          {"acae by row", acae(adversary::Ball::row_l2)},
          {"acae by table", acae(adversary::Ball::global_l2)},
          {"acae on drawn cells", acae(adversary::Ball::row_l2, game::LossCells::sampled)}};
}

}  // namespace spar::test
