#pragma once
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "game/toy_game.hpp"

#include "spar/systems/attack.hpp"
#include "spar/systems/system.hpp"

/// A small model of any system on toy interactions, with made-up features: the same numbers on any launch.
namespace spar::test {

struct ToyNetwork {
  static constexpr std::int64_t batch_size = 40;

  /// `words`: the system, then overrides. `profiles`: the items of each user; empty: what the toy data say.
  ToyNetwork(const comm::Communicator& world, std::vector<std::string> words, const ToyData& data = {41, 23, false},
             const std::vector<std::vector<ItemId>>& profiles = {})
      : communicator(world) {
    const std::string system = words.front();
    words.erase(words.begin());
    recipe = systems::load_recipe(system, words);
    layout = {systems::resolve_shards(recipe), world.size()};
    data::DatasetHeader header;
    header.users = data.users;
    header.items = data.items;
    model = systems::make_model(world, layout, header, recipe, false);
    lists = data.lists(model.users->first_row(), model.users->first_row() + model.users->rows());
    if (!profiles.empty()) {
      lists = {};
      lists.first_user = model.users->first_row();
      for (Index u = 0; u < model.users->rows(); ++u) {
        const auto& items = profiles[static_cast<std::size_t>(lists.first_user + u)];
        lists.items.insert(lists.items.end(), items.begin(), items.end());
        lists.offsets.push_back(static_cast<std::int64_t>(lists.items.size()));
      }
    }
    lists.by_time = lists.items;
    if (model.frozen.empty()) return;
    table::Table& features = *model.frozen.front();
    for (Index k = 0; k < features.rows(); ++k) {
      for (int c = 0; c < features.shape().dim; ++c)
        features.record(k)[c] =
            static_cast<float>(std::sin(0.7 * static_cast<double>(features.first_row() + k) + 1.3 * c));
    }
  }

  systems::FactorModel attacked(const systems::AttackPlan& plan) const {
    return systems::perturbed_model(communicator, layout, model, lists, communicator.sum(lists.count()), plan);
  }

  double loss(const systems::FactorModel& at) const {
    systems::AttackPlan plan;
    plan.batch_size = batch_size;
    return systems::attacked_loss(communicator, layout, at, lists, communicator.sum(lists.count()), plan);
  }

  /// This rank's share of the table behind a tap, and whether every rank has all of it.
  static std::pair<table::Table*, bool> table_of(const systems::FactorModel& at, const std::string& tap) {
    if (tap.starts_with("dense.")) return {&at.dense->table(at.dense->find(tap.substr(6))), true};
    if (tap == "user") return {at.users.get(), false};
    if (tap == "encoder.weights") return {at.encoder.get(), false};
    for (const auto& frozen : at.frozen) {
      if (frozen->name() == tap) return {frozen.get(), false};
    }
    return {at.items.get(), false};
  }

  void set(const std::string& tap, const std::vector<std::vector<float>>& rows) {
    const auto [table, whole] = table_of(model, tap);
    for (Index k = 0; k < table->rows(); ++k) {
      const auto& row = rows[static_cast<std::size_t>(table->first_row() + k)];
      std::copy(row.begin(), row.end(), table->record(k));
    }
  }

  /// All numbers of a tapped table, on every rank, without padding.
  std::vector<float> values(const systems::FactorModel& at, const std::string& tap) const {
    const auto [table, whole] = table_of(at, tap);
    std::vector<float> mine;
    for (Index k = 0; k < table->rows(); ++k)
      mine.insert(mine.end(), table->record(k), table->record(k) + table->shape().dim);
    if (whole) return mine;
    std::vector<float> all;
    for (const auto& part : communicator.allgather(std::as_bytes(std::span(mine)))) {
      const std::size_t begin = all.size();
      all.resize(begin + part.size() / sizeof(float));
      if (!part.empty()) std::memcpy(all.data() + begin, part.data(), part.size());
    }
    return all;
  }

  std::vector<std::vector<float>> numbers(const systems::FactorModel& at) const {
    std::vector<std::vector<float>> all;
    for (const std::string& tap : systems::attack_taps(at)) all.push_back(values(at, tap));
    return all;
  }

  /// How a perturbed model differs at a tap.
  std::vector<double> difference(const systems::FactorModel& moved, const std::string& tap) const {
    const auto a = values(moved, tap);
    const auto b = values(model, tap);
    std::vector<double> all;
    for (std::size_t k = 0; k < a.size(); ++k) all.push_back(static_cast<double>(a[k]) - static_cast<double>(b[k]));
    return all;
  }

  /// The slope of the loss along a direction at a tap, by a central difference of that width.
  double slope(const std::string& tap, const std::vector<double>& direction, double width) const {
    const auto at = [&](double step) {
      systems::AttackPlan none;
      none.method = systems::AttackMethod::random;
      none.epsilon = 0.0;
      none.taps = {tap};
      const systems::FactorModel moved = attacked(none);  // a copy with tables of its own
      const auto [table, whole] = table_of(moved, tap);
      for (Index k = 0; k < table->rows(); ++k) {
        for (int c = 0; c < table->shape().dim; ++c) {
          const auto place = static_cast<std::size_t>((table->first_row() + k) * table->shape().dim + c);
          table->record(k)[c] += static_cast<float>(step * direction[place]);
        }
      }
      return loss(moved);
    };
    return (at(width) - at(-width)) / (2.0 * width);
  }

  const comm::Communicator& communicator;
  ShardLayout layout{};
  Recipe recipe;
  systems::FactorModel model;
  data::UserLists lists;
};

}  // namespace spar::test
