#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "spar/base/settings.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/interactions.hpp"
#include "spar/evaluate/evaluator.hpp"
#include "spar/game/autoencoder.hpp"
#include "spar/game/neural_model.hpp"
#include "spar/game/trainer.hpp"
#include "spar/table/table.hpp"

/// Models over two tables. The factor models (popularity, bpr-mf, apr) score user . item (+ item bias); others have a
/// network with dense parameters, which says what its scores are. Where histories stand for users, the table of users
/// has no columns: it says who holds which user, and nothing of it is exchanged or stored. Auto-encoders have two
/// tables of items (what a profile is summed from, and what meets the hidden layer), and rows of users only where the
/// model has user nodes. A network may have further tables, of users, items or tags.
namespace spar::systems {

/// What the evaluator scores: this rank's share, and what the scorer points to. Of a network it holds a copy, made of
/// the values at that time: 4 bytes x score columns for each of the rank's users and items.
struct Scoring {
  evaluate::Scorer scorer;
  Buffer<float> users;
  Buffer<float> items;
  std::unique_ptr<catalogue::PairFunction> pairs;
};

/// What trains a factor model whose recipe asks for more than game::PairwiseEngine knows: the model as a network, which
/// has no dense parameters.
struct StandIn {
  std::unique_ptr<const game::NeuralModel> network;
  table::DenseParameters dense;
};

/// Training lists by item, and those that they were made of.
struct ItemLists {
  const data::UserLists* of = nullptr;
  data::UserLists lists;
};

/// Copies share their tables, so that a perturbed model takes room for the tables that differ only.
struct FactorModel {
  std::shared_ptr<table::Table> users;
  std::shared_ptr<table::Table> items;
  std::shared_ptr<const game::NeuralModel> network{};    ///< nullptr: a factor model
  std::shared_ptr<table::DenseParameters> dense{};       ///< of the network or auto-encoder
  std::vector<std::shared_ptr<table::Table>> further{};  ///< of the network, in the order of its further()
  /// Of the network: content of the data set (load_features), of which checkpoints hold nothing.
  std::vector<std::shared_ptr<table::Table>> frozen{};
  /// Of the network, while it trains: rows that stay with their owners (load_attributes).
  std::vector<std::shared_ptr<table::Table>> staying{};
  /// Of this rank's users, while a recipe trains that draws them (load_dislikes).
  std::shared_ptr<const data::UserLists> dislikes{};
  /// Of a network that reads profiles, while it trains or is attacked: kept, since it is made by messages of all ranks.
  std::shared_ptr<const ItemLists> by_item{};
  /// Where the model is an auto-encoder: its form, and the items' input rows; `items` are the output rows, with bias.
  std::optional<game::Autoencoder> autoencoder{};
  std::shared_ptr<table::Table> encoder{};
  std::shared_ptr<StandIn> stand_in{};  ///< while it trains, where there is one

  /// The sharded tables that hold numbers: users (where they have rows), items, the encoder of auto-encoders, further
  /// ones.
  std::vector<table::Table*> tables() const;
  /// The table of that name, which is one of them.
  const table::Table& table_named(const std::string& name) const;
  /// What evaluations ask: by default a ranking of items for each user.
  game::Question question() const { return network ? network->question() : game::Question{}; }
  /// Whether it learns and ranks the tags of posts.
  bool learns_from_posts() const { return network != nullptr && network->learns_from_posts(); }
  /// Whether users are known by their histories, so that lists must have by_time.
  bool reads_histories() const { return network != nullptr && network->histories() != nullptr; }
  /// Whether scores are predicted ratings, so that lists must have them.
  bool predicts_ratings() const { return autoencoder && autoencoder->reads_ratings; }
  /// Of an auto-encoder.
  game::AutoencoderTables autoencoder_tables() const;
  /// Collective. The lists are those of the evaluation to come: a history is what it masks, in the order of the lists
  /// (training, then validation when testing, as kang205/SASRec does), and only chosen users have one. The profile that
  /// an auto-encoder reads is the first list alone, the training's, as in training, or what is folded in of users held
  /// out; again of chosen users only.
  Scoring scoring(const comm::Communicator& communicator, int shards, const evaluate::EvaluationLists& lists) const;
  /// What a checkpoint stores, and what must be done when it has been loaded (collective).
  std::vector<store::TableRows> stored(bool with_state);
  void complete(const comm::Communicator& communicator);
};

/// The network of the recipe's system, nullptr where it has none. UserError where its settings do not fit together.
std::shared_ptr<const game::NeuralModel> network_of(const Recipe& recipe);

/// The auto-encoder of the recipe's system, nothing where it is none. UserError likewise.
std::optional<game::Autoencoder> autoencoder_of(const Recipe& recipe);

/// The number of shards of a run, resolved from the recipe alone, never from the launch: the largest power of two up to
/// batch_size / 64, within 8 .. 1024. Writes it into the recipe.
int resolve_shards(Recipe& recipe);
/// UserError naming the value to set where there are more ranks than shards.
void check_layout(const comm::Communicator& communicator, int shards);

/// UserError where the data set is not what the recipe's system can learn from and be judged by: users held out of
/// training where it learns a row for each user, no ratings where it predicts some, or no dislikes where it draws them.
void check_data(const Recipe& recipe, const data::DatasetHeader& data);

optim::OptimizerSettings optimizer_of(const Recipe& recipe);
table::RowShape user_shape(const Recipe& recipe);
table::RowShape item_shape(const Recipe& recipe);
/// Of an auto-encoder's input rows.
table::RowShape encoder_shape(const game::Autoencoder& autoencoder);

/// The tables of a recipe, with starting values (zeros for popularity). `with_state`: room for the optimiser's state.
/// Collective only in that all ranks call it.
FactorModel make_model(const comm::Communicator& communicator, const ShardLayout& layout,
                       const data::DatasetHeader& data, const Recipe& recipe, bool with_state);

/// The stages and schedule of a system: one stage, or two where it has an adversary.
game::TrainingPlan plan_of(const Recipe& recipe);

/// What makes the steps of a training of this model on this rank's lists, which must outlive it. `posts`: where the
/// model learns from them. Collective.
std::unique_ptr<game::Engine> make_engine(const comm::Communicator& communicator, const ShardLayout& layout,
                                          const data::DatasetHeader& data, const Recipe& recipe, FactorModel& model,
                                          const data::UserLists& train, const data::PostRows* posts = nullptr);

/// popularity: user vector 1, item vector = number of training interactions. Collective.
void count_popularity(const comm::Communicator& communicator, const data::UserLists& train, FactorModel& model);

/// Marks of this rank's items: 1 where some rank's training lists have them. Collective; `users` and `items` are read
/// for who holds what only.
std::vector<std::uint8_t> seen_items(const comm::Communicator& communicator, const data::UserLists& train,
                                     const table::Table& users, const table::Table& items);

evaluate::EvaluationOptions evaluation_options(const Recipe& recipe);

/// The sample of validation users: those with the `most` smallest random keys (all where 0 or there are not more), as
/// marks of this rank's users; where `eligible` is not empty, among the users that it marks. A function of (seed, total
/// users, eligible users) only. Collective.
std::vector<std::uint8_t> choose_users(const comm::Communicator& communicator, Index first_user, Index users,
                                       Index most, std::uint64_t seed, const std::vector<std::uint8_t>& eligible = {});

}  // namespace spar::systems
