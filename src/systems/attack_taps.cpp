#include "attack_taps.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "spar/base/error.hpp"
#include "spar/systems/attack.hpp"

namespace spar::systems {

namespace {

constexpr std::uint32_t user_number = 0;
constexpr std::uint32_t item_number = 1;
constexpr std::uint32_t encoder_number = 2;
constexpr std::uint32_t first_frozen_number = 8;
constexpr std::uint32_t first_further_number = 64;
constexpr std::uint32_t dense_number = 128;

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

std::vector<std::string> names_of(const std::vector<Tap>& taps) {
  std::vector<std::string> names;
  for (const Tap& tap : taps) names.push_back(tap.name);
  return names;
}

// The member of the model that holds a sharded tap.
std::shared_ptr<table::Table>& holder(FactorModel& model, const table::Table* table) {
  for (auto* member : {&model.users, &model.items, &model.encoder}) {
    if (member->get() == table) return *member;
  }
  for (auto* members : {&model.frozen, &model.further}) {
    for (auto& member : *members) {
      if (member.get() == table) return member;
    }
  }
  throw Bug("a tap is no table of its model");
}

void copy_values(const table::Table& from, table::Table& to) {
  for (Index k = 0; k < from.rows(); ++k)
    std::memcpy(to.record(k), from.record(k), static_cast<std::size_t>(from.shape().width()) * sizeof(float));
}

const optim::OptimizerSettings no_state{.rule = optim::Rule::sgd};

std::shared_ptr<table::DenseParameters> copy_of(const table::DenseParameters& dense, const ShardLayout& layout,
                                                int rank) {
  std::vector<table::DenseShape> shapes;
  for (int k = 0; k < dense.count(); ++k) shapes.push_back(dense.shape(k));
  auto copy = std::make_shared<table::DenseParameters>(shapes, layout, rank, no_state);
  for (int k = 0; k < dense.count(); ++k) copy_values(dense.table(k), copy->table(k));
  return copy;
}

}  // namespace

std::vector<Tap> taps_of(const FactorModel& model) {
  std::vector<Tap> taps;
  const bool user_rows = model.users->shape().dim > 0 && (!model.autoencoder || model.autoencoder->user_nodes);
  if (user_rows) taps.push_back({"user", model.users.get(), user_number, 0, true});
  taps.push_back({model.autoencoder ? "decoder.weights" : "item", model.items.get(), item_number, 0, true});
  if (model.encoder) taps.push_back({"encoder.weights", model.encoder.get(), encoder_number, 0, true});
  for (std::size_t k = 0; k < model.further.size(); ++k) {
    const table::Table* table = model.further[k].get();
    taps.push_back({table->name(), table, first_further_number + static_cast<std::uint32_t>(k), 0, true});
  }
  if (model.network) {
    // Frozen tables that only steer the training, such as marks of seen items, are no taps of the model.
    const auto known = model.network->taps();
    for (std::size_t f = 0; f < model.frozen.size(); ++f) {
      const table::Table* table = model.frozen[f].get();
      if (contains(known, table->name()))
        taps.push_back({table->name(), table, first_frozen_number + static_cast<std::uint32_t>(f)});
    }
  }
  Index rows = 0;
  for (int k = 0; model.dense && k < model.dense->trained(); ++k) {
    const table::Table& matrix = model.dense->table(k);
    taps.push_back({matrix.name(), &matrix, dense_number, rows, false, true});
    rows += matrix.rows();
  }
  return taps;
}

std::vector<ReplacedTable> replace_tables(FactorModel& model, const ShardLayout& layout, int rank,
                                          const std::vector<std::string>& names) {
  std::vector<ReplacedTable> replaced;
  std::shared_ptr<table::DenseParameters> dense;
  for (const Tap& tap : taps_of(model)) {
    if (!contains(names, tap.name)) continue;
    if (tap.is_replicated) {
      if (!dense) dense = copy_of(*model.dense, layout, rank);
      replaced.push_back({tap, &dense->table(dense->find(tap.name.substr(std::string("dense.").size())))});
      continue;
    }
    const table::RowShape shape{tap.table->shape().dim, tap.table->shape().has_bias, 0};
    auto own =
        std::make_shared<table::Table>(tap.table->name(), tap.table->total_rows(), layout, rank, shape, no_state);
    copy_values(*tap.table, *own);
    holder(model, tap.table) = own;
    replaced.push_back({tap, own.get()});
  }
  if (dense) model.dense = dense;
  return replaced;
}

std::vector<std::string> attack_taps(const FactorModel& model) {
  return names_of(taps_of(model));
}

std::vector<std::string> trained_taps(const FactorModel& model) {
  std::vector<Tap> taps = taps_of(model);
  std::erase_if(taps, [](const Tap& tap) { return !tap.is_trained_rows; });
  return names_of(taps);
}

std::vector<std::string> default_taps(const Recipe& recipe, const FactorModel& model) {
  std::vector<std::string> trained;
  // Parts of further tables are taps of a training only; an attack moves their whole rows.
  if (model.network && model.further.empty() && recipe.has("network.taps")) trained = recipe.texts("network.taps");
  if (model.autoencoder && recipe.has("adversary.method")) trained = {"decoder.weights", "encoder.weights"};
  std::vector<std::string> taps;
  for (const std::string& tap : attack_taps(model)) {
    if (contains(trained, tap)) taps.push_back(tap);
  }
  return taps.empty() ? trained_taps(model) : taps;
}

std::vector<double> median_norms(const comm::Communicator& communicator, const ShardLayout& layout,
                                 const FactorModel& model, const std::vector<std::string>& taps) {
  std::vector<double> norms;
  const auto all = taps_of(model);
  for (const std::string& name : taps) {
    const auto tap = std::ranges::find(all, name, &Tap::name);
    if (tap != all.end() && !tap->is_replicated) norms.push_back(tap->table->median_norm(communicator, layout.shards));
  }
  return norms;
}

void check_taps(const std::string& system, const FactorModel& model, const std::vector<std::string>& taps) {
  const auto known = attack_taps(model);
  for (const std::string& tap : taps) {
    if (contains(known, tap)) continue;
    if (model.network && contains(model.network->taps(), tap))
      throw UserError(fmt::format(
          "{} has the tap \"{}\" for training examples only, and nothing of it stays when pairs are ranked: "
          "an attack can perturb {}",
          system, tap, fmt::join(known, ", ")));
    throw UserError(fmt::format("{} has no tap \"{}\": an attack can perturb {}", system, tap, fmt::join(known, ", ")));
  }
}

}  // namespace spar::systems
