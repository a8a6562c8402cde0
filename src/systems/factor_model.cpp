#include "spar/systems/factor_model.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "adversaries.hpp"
#include "factor_network.hpp"
#include "history_states.hpp"
#include "post_vectors.hpp"
#include "profile_sums.hpp"
#include "profiles.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/random.hpp"
#include "spar/base/threads.hpp"
#include "spar/evaluate/metrics.hpp"
#include "spar/systems/dislikes.hpp"
#include "spar/systems/negatives.hpp"
#include "spar/systems/system.hpp"

namespace spar::systems {

namespace {

constexpr std::uint32_t user_table = 0;
constexpr std::uint32_t item_table = 1;
constexpr std::uint32_t encoder_table = 2;
constexpr std::uint32_t first_dense_table = 3;
constexpr std::uint32_t last_table = 255;  // further ones count down from it
constexpr std::int64_t triples_per_shard = 64;
constexpr int fewest_shards = 8;
constexpr Index rows_per_task = 1024;

bool counts_only(const Recipe& recipe) {
  return recipe.system() == "popularity";
}

}  // namespace

std::vector<table::Table*> FactorModel::tables() const {
  std::vector<table::Table*> tables;
  if (users->shape().dim > 0) tables.push_back(users.get());
  tables.push_back(items.get());
  if (encoder) tables.push_back(encoder.get());
  for (const auto& table : further) tables.push_back(table.get());
  return tables;
}

const table::Table& FactorModel::table_named(const std::string& name) const {
  const auto all = tables();
  const auto found = std::ranges::find(all, name, [](const table::Table* table) { return table->name(); });
  SPAR_ASSERT(found != all.end());
  return **found;
}

game::AutoencoderTables FactorModel::autoencoder_tables() const {
  return {encoder.get(), items.get(), autoencoder->user_nodes ? users.get() : nullptr, dense.get()};
}

Scoring FactorModel::scoring(const comm::Communicator& communicator, int shards,
                             const evaluate::EvaluationLists& lists) const {
  Scoring scoring;
  evaluate::Scorer& scorer = scoring.scorer;
  scorer.users = users->vectors();
  scorer.items = items->vectors();
  scorer.item_bias = items->biases();
  scorer.bias_stride = items->shape().record();
  scorer.total_users = users->total_rows();
  scorer.total_items = items->total_rows();
  if (autoencoder) {
    const int width = autoencoder->output_width();
    const Index wide = padded(width);
    scoring.users = Buffer<float>(static_cast<std::size_t>(users->rows() * wide));
    scorer.users = {scoring.users.data(), users->first_row(), users->rows(), width, wide};
    represent_profiles(communicator, {shards, communicator.size()}, *this, lists, scoring.users.data());
  }
  if (!network) return scoring;
  const int columns = network->score_columns();
  const Index stride = padded(columns);
  const table::Table& ranked = table_named(question().ranks);
  const auto represent = [&](const table::Table& table, Buffer<float>& room, table::RowBlock& block, auto&& one) {
    room = Buffer<float>(static_cast<std::size_t>(table.rows() * stride));
    parallel_for(static_cast<int>((table.rows() + rows_per_task - 1) / rows_per_task), [&](int task) {
      for (Index k = task * rows_per_task; k < std::min(table.rows(), (task + 1) * rows_per_task); ++k)
        one(k, table.record(k), room.data() + k * stride);
    });
    block = {room.data(), table.first_row(), table.rows(), columns, stride};
  };
  const std::optional<ProfileSums> sums =
      network->reads_profiles() ? std::optional(sum_profiles(communicator, shards, *this, lists)) : std::nullopt;
  if (reads_histories()) {
    scoring.users = Buffer<float>(static_cast<std::size_t>(users->rows() * stride));
    scorer.users = {scoring.users.data(), users->first_row(), users->rows(), columns, stride};
    represent_histories(communicator, {shards, communicator.size()}, *this, lists, scoring.users.data(), stride);
  } else if (lists.posts != nullptr) {
    scoring.users = Buffer<float>(static_cast<std::size_t>(lists.posts->count() * stride));
    scorer.users = {scoring.users.data(), 0, lists.posts->count(), columns, stride};
    represent_posts(communicator, {shards, communicator.size()}, *this, *lists.posts, scoring.users.data(), stride);
  } else {
    const table::Table& asking = table_named(question().asks.front());
    SPAR_ASSERT(question().asks.size() == 1);
    represent(asking, scoring.users, scorer.users, [&](Index k, const float* row, float* out) {
      const float* known = sums ? sums->user(k) : row;
      network->represent_query(*dense, {&known, 1}, out);
    });
    scorer.total_users = asking.total_rows();
  }
  represent(ranked, scoring.items, scorer.items, [&](Index k, const float* row, float* out) {
    if (frozen.empty()) return network->represent_candidate(*dense, sums ? sums->item(k) : row, out);
    std::vector<const float*> rows;
    for (const auto& table : frozen) rows.push_back(table->record(k));
    network->represent_described_item(*dense, row, rows, out);
  });
  scorer.total_items = ranked.total_rows();
  scoring.pairs = network->pair_function(*dense);
  scorer.pairs = scoring.pairs.get();
  return scoring;
}

std::vector<store::TableRows> FactorModel::stored(bool with_state) {
  std::vector<store::TableRows> rows;
  for (table::Table* table : tables()) rows.push_back(table->stored(with_state));
  if (!dense) return rows;
  for (store::TableRows& part : dense->stored(with_state)) rows.push_back(std::move(part));
  return rows;
}

void FactorModel::complete(const comm::Communicator& communicator) {
  if (dense) dense->complete(communicator);
}

std::shared_ptr<const game::NeuralModel> network_of(const Recipe& recipe) {
  const SystemInfo* info = find_system(recipe.system());
  return info == nullptr || !info->network ? nullptr : info->network(recipe);
}

std::optional<game::Autoencoder> autoencoder_of(const Recipe& recipe) {
  const SystemInfo* info = find_system(recipe.system());
  if (info == nullptr || !info->autoencoder) return std::nullopt;
  return info->autoencoder(recipe);
}

int resolve_shards(Recipe& recipe) {
  if (recipe.is_auto("parallel.shards")) {
    const std::int64_t batch = recipe.has("train.batch_size") ? recipe.integer("train.batch_size") : 0;
    const auto wanted =
        std::bit_floor(static_cast<std::uint64_t>(std::max<std::int64_t>(1, batch / triples_per_shard)));
    recipe.set("parallel.shards",
               static_cast<std::int64_t>(std::clamp<std::uint64_t>(wanted, fewest_shards, row_groups)));
  }
  return static_cast<int>(recipe.integer("parallel.shards"));
}

void check_layout(const comm::Communicator& communicator, int shards) {
  if (communicator.size() <= shards) return;
  if (communicator.size() > row_groups)
    throw UserError(
        fmt::format("{} ranks are more than the {} shards that there can be: start fewer ranks with more threads",
                    communicator.size(), row_groups));
  throw UserError(
      fmt::format("{0} ranks need at least {0} shards, but parallel.shards = {1}: add --set parallel.shards={2} (a new "
                  "experiment: its numbers differ)",
                  communicator.size(), shards, std::bit_ceil(static_cast<unsigned>(communicator.size()))));
}

void check_data(const Recipe& recipe, const data::DatasetHeader& data) {
  const auto network = network_of(recipe);
  const auto autoencoder = autoencoder_of(recipe);
  const bool knows_new_users = autoencoder || counts_only(recipe) || (network && network->histories() != nullptr);
  if (data.holds_out_users && !knows_new_users) {
    throw UserError(
        fmt::format("{} learns a row for each user, so it has none for the users that {} holds out of training: take a "
                    "system that reads profiles or histories, such as mult-vae or sasrec, or spar split {} --split "
                    "ratio --to other.h5",
                    recipe.system(), data.path, data.path));
  }
  if (autoencoder && autoencoder->reads_ratings && !data.has_ratings)
    throw UserError(fmt::format("{} predicts ratings, which {} lacks: import text that has a column of ratings",
                                recipe.system(), data.path));
  check_negatives(recipe);
  require_dislikes(recipe, data);
  if (autoencoder && autoencoder->samples > data.items)
    throw UserError(
        fmt::format("autoencoder.samples = {} is more than the {} items of {}: take fewer, or "
                    "autoencoder.cells = \"all\"",
                    autoencoder->samples, data.items, data.path));
}

optim::OptimizerSettings optimizer_of(const Recipe& recipe) {
  optim::OptimizerSettings settings;
  settings.rule = optim::Rule::sgd;
  if (counts_only(recipe)) return settings;
  settings.rule = optim::rule_of(recipe.text("optimizer.name"));
  settings.learning_rate = static_cast<float>(recipe.schedule("optimizer.learning_rate").first());
  settings.initial_accumulator = static_cast<float>(recipe.real("optimizer.initial_accumulator"));
  settings.beta1 = static_cast<float>(recipe.real("optimizer.beta1"));
  settings.beta2 = static_cast<float>(recipe.real("optimizer.beta2"));
  settings.epsilon = static_cast<float>(recipe.real("optimizer.epsilon"));
  // APR's Adagrad has no epsilon beside its accumulator, which starts above zero.
  if (settings.rule == optim::Rule::adagrad) settings.epsilon = 0.0F;
  return settings;
}

table::RowShape user_shape(const Recipe& recipe) {
  if (const auto network = network_of(recipe)) return {network->user_columns(), false, 0};
  if (const auto model = autoencoder_of(recipe)) return {model->user_nodes ? model->input_width() : 0, false, 0};
  return {counts_only(recipe) ? 1 : static_cast<int>(recipe.integer("model.dim")), false, 0};
}

table::RowShape item_shape(const Recipe& recipe) {
  if (const auto network = network_of(recipe)) return {network->item_columns(), network->item_bias(), 0};
  if (const auto model = autoencoder_of(recipe)) return {model->output_width(), true, 0};
  table::RowShape shape = user_shape(recipe);
  shape.has_bias = !counts_only(recipe) && recipe.flag("model.item_bias");
  return shape;
}

table::RowShape encoder_shape(const game::Autoencoder& autoencoder) {
  return {autoencoder.input_width(), false, 0};
}

FactorModel make_model(const comm::Communicator& communicator, const ShardLayout& layout,
                       const data::DatasetHeader& data, const Recipe& recipe, bool with_state) {
  optim::OptimizerSettings optimizer = optimizer_of(recipe);
  if (!with_state) optimizer.rule = optim::Rule::sgd;
  FactorModel model;
  const int rank = communicator.rank();
  model.users = std::make_unique<table::Table>("user", data.users, layout, rank, user_shape(recipe), optimizer);
  model.items = std::make_unique<table::Table>("item", data.items, layout, rank, item_shape(recipe), optimizer);
  model.network = network_of(recipe);
  if (counts_only(recipe)) return model;
  const auto seed = static_cast<std::uint64_t>(recipe.integer("train.seed"));
  model.autoencoder = autoencoder_of(recipe);
  if (model.autoencoder) {
    const game::Autoencoder& form = *model.autoencoder;
    model.encoder = std::make_unique<table::Table>("encoder", data.items, layout, rank, encoder_shape(form), optimizer);
    const double scale = recipe.real("autoencoder.init_scale");
    const auto start = [&](table::Table& table, std::uint32_t number) {
      table.initialize(seed, number, "uniform", scale * game::item_deviation(data.items, table.shape().dim));
    };
    start(*model.users, user_table);
    start(*model.items, item_table);
    start(*model.encoder, encoder_table);
    model.dense = std::make_unique<table::DenseParameters>(game::dense_shapes(form), layout, rank, optimizer);
    model.dense->initialize(seed, first_dense_table);
    return model;
  }
  model.users->initialize(seed, user_table, recipe.text("model.init_law"), recipe.real("model.init_std"));
  model.items->initialize(seed, item_table, recipe.text("model.init_law"), recipe.real("model.init_std"));
  if (!model.network) return model;
  const auto clear_last = [](table::Table& table, int zeros) {
    for (Index k = 0; zeros > 0 && k < table.rows(); ++k)
      std::fill_n(table.record(k) + table.shape().dim - zeros, zeros, 0.0F);
  };
  clear_last(*model.users, model.network->zero_user_columns());
  clear_last(*model.items, model.network->zero_item_columns());
  for (const game::FurtherTable& form : model.network->further()) {
    const auto number = last_table - static_cast<std::uint32_t>(model.further.size());
    model.further.push_back(std::make_unique<table::Table>(form.name, data.rows(form.space), layout, rank,
                                                           table::RowShape{form.columns, false, 0}, optimizer));
    model.further.back()->initialize(seed, number, recipe.text("model.init_law"), recipe.real("model.init_std"));
  }
  model.dense =
      std::make_unique<table::DenseParameters>(game::make_dense(*model.network, layout, rank, optimizer, seed));
  for (const game::FrozenTable& frozen : model.network->frozen()) {
    if (frozen.stays_with_owner && !with_state) continue;
    const Index rows = frozen.follows == 0 ? data.users : data.items;
    auto& tables = frozen.stays_with_owner ? model.staying : model.frozen;
    tables.push_back(std::make_unique<table::Table>(frozen.name, rows, layout, rank,
                                                    table::RowShape{frozen.columns, false, 0},
                                                    optim::OptimizerSettings{.rule = optim::Rule::sgd}));
  }
  return model;
}

game::TrainingPlan plan_of(const Recipe& recipe) {
  game::TrainingPlan plan;
  const auto network = network_of(recipe);
  if ((network || autoencoder_of(recipe)) && recipe.integer("parallel.pipeline") != 0)
    throw UserError(fmt::format("parallel.pipeline = 1 is for factor models: {} takes 0", recipe.system()));
  if (!network && recipe.has("objective.l2_form")) check_beyond_pairwise(recipe);
  check_negatives(recipe);
  plan.optimizer = optimizer_of(recipe);
  plan.lower_is_better = evaluate::is_error(recipe.text("evaluate.select_by"));
  plan.validate_every_epochs = recipe.integer("evaluate.every_epochs");
  const std::int64_t patience = plan.validate_every_epochs > 0 ? recipe.integer("evaluate.patience") : 0;
  const std::int64_t epochs = recipe.integer("train.epochs");
  const std::string name = recipe.system() == "bpr-mf" ? "bpr" : recipe.system();
  if (recipe.has("game.pretrain_epochs")) {
    const std::int64_t pretrain = std::min(epochs, recipe.integer("game.pretrain_epochs"));
    const std::string& base = find_system(recipe.system())->base;
    plan.stages.push_back({base, pretrain, std::nullopt, patience});
    plan.stages.push_back({name, epochs, adversary_of(recipe, network.get()),
                           patience == 0 ? 0 : std::max(patience, recipe.integer("game.patience"))});
    plan.start_from_best = recipe.text("game.start_from") == "best";
  } else {
    if (recipe.has("teacher.run") && !recipe.text("teacher.run").empty() && recipe.integer("teacher.hint_epochs") > 0) {
      const auto layers = static_cast<std::int64_t>(recipe.integers("network.layers").size()) - 1;
      plan.stages.push_back(
          {"hints", std::min(epochs, layers * recipe.integer("teacher.hint_epochs")), std::nullopt, 0});
      plan.start_from_best = false;
    }
    plan.stages.push_back({name, epochs, std::nullopt, patience});
  }
  plan.checkpoint_every_epochs = recipe.integer("checkpoint.every_epochs");
  plan.checkpoint_every_minutes = recipe.real("checkpoint.every_minutes");
  plan.checkpoints_kept = static_cast<int>(recipe.integer("checkpoint.keep"));
  return plan;
}

void count_popularity(const comm::Communicator& communicator, const data::UserLists& train, FactorModel& model) {
  for (Index k = 0; k < model.users->rows(); ++k) *model.users->record(k) = 1.0F;
  // Owners count what all ranks have of their items; lists go in bounded pieces, so nothing is as long as the data.
  constexpr std::size_t piece = std::size_t{1} << 22;
  const Partition& items = model.items->partition();
  const ShardLayout layout{items.parts, communicator.size()};
  std::vector<std::int64_t> counts(static_cast<std::size_t>(model.items->rows()));
  const auto pieces = communicator.max(static_cast<std::int64_t>((train.items.size() + piece - 1) / piece));
  for (std::int64_t p = 0; p < pieces; ++p) {
    std::vector<std::vector<std::byte>> outgoing(static_cast<std::size_t>(communicator.size()));
    const std::size_t begin = std::min(train.items.size(), static_cast<std::size_t>(p) * piece);
    const std::size_t end = std::min(train.items.size(), begin + piece);
    for (std::size_t k = begin; k < end; ++k) {
      const ItemId item = train.items[k];
      auto& to = outgoing[static_cast<std::size_t>(layout.rank_of(items.part_of(item)))];
      const auto* bytes = reinterpret_cast<const std::byte*>(&item);
      to.insert(to.end(), bytes, bytes + sizeof item);
    }
    for (const auto& list : communicator.exchange(outgoing)) {
      for (std::size_t k = 0; k < list.size(); k += sizeof(ItemId)) {
        ItemId item = 0;
        std::memcpy(&item, list.data() + k, sizeof item);
        ++counts[static_cast<std::size_t>(item - model.items->first_row())];
      }
    }
  }
  for (Index k = 0; k < model.items->rows(); ++k)
    *model.items->record(k) = static_cast<float>(counts[static_cast<std::size_t>(k)]);
}

// An item is seen where its count is not zero: popularity counts at the owners.
std::vector<std::uint8_t> seen_items(const comm::Communicator& communicator, const data::UserLists& train,
                                     const table::Table& users, const table::Table& items) {
  FactorModel counts;
  const optim::OptimizerSettings none{.rule = optim::Rule::sgd};
  const ShardLayout layout{items.partition().parts, communicator.size()};
  const table::RowShape one{1, false, 0};
  counts.users = std::make_unique<table::Table>("user", users.total_rows(), layout, communicator.rank(), one, none);
  counts.items = std::make_unique<table::Table>("item", items.total_rows(), layout, communicator.rank(), one, none);
  count_popularity(communicator, train, counts);
  std::vector<std::uint8_t> seen(static_cast<std::size_t>(counts.items->rows()));
  for (std::size_t k = 0; k < seen.size(); ++k) seen[k] = *counts.items->record(static_cast<Index>(k)) > 0 ? 1 : 0;
  return seen;
}

evaluate::EvaluationOptions evaluation_options(const Recipe& recipe) {
  evaluate::EvaluationOptions options;
  options.cutoffs = recipe.integers("evaluate.cutoffs");
  options.metrics = recipe.texts("evaluate.metrics");
  const std::string& ties = recipe.text("evaluate.ties");
  using evaluate::Ties;
  options.ties = ties == "pessimistic"  ? Ties::pessimistic
                 : ties == "optimistic" ? Ties::optimistic
                 : ties == "mean"       ? Ties::mean
                                        : Ties::by_id;
  options.protocol =
      recipe.text("evaluate.protocol") == "sampled" ? evaluate::Protocol::sampled : evaluate::Protocol::full;
  options.cold_items = recipe.flag("evaluate.cold_items");
  return options;
}

std::vector<std::uint8_t> choose_users(const comm::Communicator& communicator, Index first_user, Index users,
                                       Index most, std::uint64_t seed, const std::vector<std::uint8_t>& eligible) {
  std::vector<std::uint8_t> chosen = eligible;
  if (!communicator.any(!eligible.empty())) chosen.assign(static_cast<std::size_t>(users), 1);
  const Index total = communicator.sum(static_cast<Index>(std::count(chosen.begin(), chosen.end(), 1)));
  if (most == 0 || total <= most) return chosen;
  const RandomStream stream(seed, Purpose::validation_users);
  const auto key = [&](Index k) {
    const auto row = static_cast<std::uint64_t>(first_user + k);
    return word64(stream.block(static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(row >> 32)), 0);
  };
  // The threshold below which exactly `most` keys lie, found bit by bit: 64 counts, whatever the number of users.
  std::uint64_t threshold = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const std::uint64_t trial = threshold | (std::uint64_t{1} << bit);
    Index below = 0;
    for (Index k = 0; k < users; ++k) below += chosen[static_cast<std::size_t>(k)] != 0 && key(k) < trial ? 1 : 0;
    if (communicator.sum(below) <= most) threshold = trial;
  }
  for (Index k = 0; k < users; ++k) {
    std::uint8_t& mark = chosen[static_cast<std::size_t>(k)];
    mark = mark != 0 && key(k) < threshold ? 1 : 0;
  }
  return chosen;
}

}  // namespace spar::systems
