#include "vbpr.hpp"

#include <algorithm>
#include <cmath>

#include "spar/systems/declarations.hpp"
#include "spar/tape/linear.hpp"
#include "spar/tape/losses.hpp"
#include "spar/tape/operations.hpp"
#include "spar/tape/shape.hpp"

namespace spar::systems {

namespace {

using tape::Var;

constexpr std::size_t features_table = 2;
constexpr std::size_t seen_table = 3;

// out += f E for the first `columns` columns of E, one chain a column in the order of the features.
void add_projection(const table::Table& projection, const float* features, int columns, float* out) {
  for (Index k = 0; k < projection.rows(); ++k) {
    const float* row = projection.record(k);
    for (int c = 0; c < columns; ++c) out[c] = std::fma(features[k], row[c], out[c]);
  }
}

}  // namespace

VbprModel::VbprModel(const VbprSettings& settings) : settings_(settings) {
  const int columns = is_full() ? settings.visual_dim + 1 : settings.dim;
  projection_ = declarations_.parameter("projection", settings.features, columns,
                                        {tape::layers::Law::truncated_normal, settings.start_deviation});
}

std::vector<game::FrozenTable> VbprModel::frozen() const {
  std::vector<game::FrozenTable> tables{{.name = "item_features", .follows = 1, .columns = settings_.features}};
  if (!settings_.cold_negatives) tables.push_back({.name = "item_seen", .follows = 1, .columns = 1});
  return tables;
}

std::unique_ptr<game::BatchSource> VbprModel::source(const data::UserLists& lists, Index first_user, Index users,
                                                     int shard, Index total_items, std::uint64_t seed) const {
  return std::make_unique<game::PairSource>(lists, first_user, users, shard, total_items, seed);
}

// What stands against a user, for each distinct item: with the biases' sum as last column in the full form.
template <class T>
Var VbprModel::items(const game::Pass<T>& pass) const {
  tape::Tape<T>& tape = pass.tape();
  const Var projected = tape::matmul(tape, pass.tables[features_table], pass.context[projection_]);
  const Var rows = pass.tables[1];
  if (!is_full()) return tape::add(tape, rows, projected);
  const int visual = settings_.visual_dim;
  const Var parts[] = {tape::slice_columns(tape, rows, 0, settings_.dim),
                       tape::slice_columns(tape, projected, 0, visual),
                       tape::add(tape, tape::slice_columns(tape, rows, settings_.dim, 1),
                                 tape::slice_columns(tape, projected, visual, 1))};
  return tape::concat_columns<T>(tape, parts);
}

template <class T>
Var VbprModel::scores(const game::Pass<T>& pass, Var users, Var items) const {
  tape::Tape<T>& tape = pass.tape();
  if (!is_full()) return tape::row_dot(tape, users, items);
  const Var products = tape::row_dot(tape, users, tape::slice_columns(tape, items, 0, user_columns()));
  return tape::add(tape, products, tape::slice_columns(tape, items, user_columns(), 1));
}

Var VbprModel::pair_scores(const game::Pass<float>& pass) const {
  return scores(pass, pass.rows(0, 0), tape::gather(pass.tape(), items(pass), pass.batch.slots[1]));
}

// `counts`: n x 1, 0 for triples that count nothing; without an id, all count.
template <class T>
Var VbprModel::penalty(const game::Pass<T>& pass, Var users, Var positives, Var negatives, Var counts) const {
  tape::Tape<T>& tape = pass.tape();
  Var total;
  const auto put = [&](double weight, Var of) {
    const Var term = tape::scale(tape, tape::squared_norm(tape, of), static_cast<T>(weight));
    total = total.id < 0 ? term : tape::add(tape, total, term);
  };
  const auto put_rows = [&](double weight, Var rows) {
    if (weight != 0.0) put(weight, counts.id < 0 ? rows : tape::multiply_column(tape, rows, counts));
  };
  put_rows(settings_.user_penalty, users);
  put_rows(settings_.item_penalty, positives);
  put_rows(settings_.item_penalty, negatives);
  if (settings_.dense_penalty != 0.0) put(settings_.dense_penalty * pass.share, pass.context[projection_]);
  return total;
}

template <class T>
Var VbprModel::build(const game::Pass<T>& pass) const {
  tape::Tape<T>& tape = pass.tape();
  const Var users = pass.rows(0, 0);
  const Var all = items(pass);
  const Var positives = tape::gather(tape, all, pass.batch.slots[1]);
  const Var negatives = tape::gather(tape, all, pass.batch.slots[2]);
  const Var counts = settings_.cold_negatives ? Var{} : pass.rows(seen_table, 2);
  if (pass.penalty != nullptr)
    *pass.penalty = is_full() ? penalty(pass, users, pass.rows(1, 1), pass.rows(1, 2), counts)
                              : penalty(pass, users, positives, negatives, counts);
  const Var losses = tape::pairwise_log_sigmoid(tape, scores(pass, users, positives), scores(pass, users, negatives));
  return tape::sum(tape, counts.id < 0 ? losses : tape::multiply(tape, losses, counts));
}

template Var VbprModel::build(const game::Pass<float>&) const;
template Var VbprModel::build(const game::Pass<double>&) const;

void VbprModel::represent_user(const table::DenseParameters&, const float* row, float* out) const {
  std::copy_n(row, user_columns(), out);
  if (is_full()) out[user_columns()] = 1.0F;
}

void VbprModel::represent_item(const table::DenseParameters&, const float* row, float* out) const {
  std::copy_n(row, settings_.dim, out);
  if (!is_full()) return;
  std::fill_n(out + settings_.dim, settings_.visual_dim, 0.0F);
  out[user_columns()] = row[settings_.dim];
}

void VbprModel::represent_described_item(const table::DenseParameters& dense, const float* row,
                                         std::span<const float* const> frozen, float* out) const {
  represent_item(dense, row, out);
  // The full form's bias stands behind its projected features, as in E.
  add_projection(dense.table(dense.find("projection")), frozen[0], is_full() ? settings_.visual_dim + 1 : settings_.dim,
                 is_full() ? out + settings_.dim : out);
}

std::unique_ptr<game::NeuralModel> vbpr_of(const Recipe& recipe) {
  VbprSettings settings;
  settings.dim = static_cast<int>(recipe.integer("model.dim"));
  if (recipe.text("network.form") == "full")
    settings.visual_dim = static_cast<int>(recipe.integer("network.visual_dim"));
  if (!recipe.is_auto("features.columns")) settings.features = static_cast<int>(recipe.integer("features.columns"));
  settings.start_deviation = recipe.real("model.init_std");
  settings.user_penalty = recipe.real("penalty.user");
  settings.item_penalty = recipe.real("penalty.item");
  settings.dense_penalty = recipe.real("penalty.dense");
  settings.cold_negatives = recipe.flag("sampling.cold_items");
  return std::make_unique<VbprModel>(settings);
}

SystemSettings vbpr_settings(const std::string& system) {
  const std::string code = "AMR code";
  return {
      .system = system,
      .takes = {"model.dim", "model.init_law", "model.init_std", "network.form", "network.visual_dim", "features.*",
                "penalty.*", "rates.*", "optimizer.*", "sampling.negatives", "sampling.power", "sampling.dislike_share",
                "sampling.own_items", "sampling.candidates", "sampling.cold_items", "train.*"},
      .defaults = {{"model.dim", std::int64_t{64}, code},
                   {"model.init_law", std::string("truncated_normal"), code},
                   {"model.init_std", 0.01, code},
                   {"features.scale", std::string("largest"), code},
                   {"penalty.user", 0.1, code},
                   {"penalty.item", 0.001, code},
                   {"penalty.dense", 0.0, code},
                   {"rates.item", 1e-4, code},
                   {"rates.dense", 1e-3, code},
                   {"optimizer.name", std::string("adagrad"), code},
                   {"optimizer.learning_rate", 0.01, code},
                   {"optimizer.initial_accumulator", 0.1, code},
                   {"sampling.negatives", std::string("uniform"), code},
                   {"sampling.cold_items", false, code},
                   {"train.batch_size", std::int64_t{512}, code}}};
}

SystemInfo declare_vbpr() {
  SystemInfo info;
  info.name = "vbpr";
  info.family = "base";
  info.sentence = "Matrix factorisation over items that are described by features, such as those of their images";
  info.inputs = {"interactions", "item features"};
  info.score = "user . (item + features projection)";
  info.bibtex = R"(@inproceedings{he2016vbpr,
  author    = {Ruining He and Julian McAuley},
  title     = {{VBPR}: Visual {Bayesian} Personalized Ranking from Implicit Feedback},
  booktitle = {Proceedings of the Thirtieth {AAAI} Conference on Artificial Intelligence},
  pages     = {144--150},
  year      = {2016}
}
)";
  info.settings = vbpr_settings(info.name);
  info.network = vbpr_of;
  return info;
}

}  // namespace spar::systems
