#include "spar/systems/item_features.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "spar/base/error.hpp"
#include "spar/data/features.hpp"
#include "spar/data/side_data.hpp"

namespace spar::systems {

namespace {

std::string only_features(const Recipe& recipe, const store::ArrayFile& file) {
  std::vector<std::string> names;
  for (const data::SideDescription& side : data::list_side_data(file)) {
    if (side.kind == data::SideKind::features && side.side == data::Side::items) names.push_back(side.name);
  }
  if (names.empty())
    throw UserError(
        fmt::format("{}: has no item features, which {} needs; spar import brings them with --item-features",
                    file.path(), recipe.system()));
  if (names.size() > 1)
    throw UserError(fmt::format("{} has several item features: choose by --set features.name=NAME one of {}",
                                file.path(), fmt::join(names, ", ")));
  return names.front();
}

// Copies the features of the rank's items; returns their largest absolute value.
double read_rows(const store::ArrayFile& file, const std::string& name, const ShardLayout& layout, int rank,
                 table::Table& table) {
  double largest = 0.0;
  const Partition& items = table.partition();
  for (int shard = layout.first_shard(rank); shard < layout.end_shard(rank); ++shard) {
    const auto features = data::read_features(file, data::Side::items, name, items.begin(shard), items.end(shard));
    for (Index k = 0; k < items.size(shard); ++k) {
      const auto row = features.of(k);
      for (const float x : row) {
        if (!std::isfinite(x))
          throw UserError(fmt::format("{}: item features \"{}\" of row {} are not finite", file.path(), name,
                                      items.begin(shard) + k));
        largest = std::max(largest, std::abs(static_cast<double>(x)));
      }
      std::copy(row.begin(), row.end(), table.record(items.begin(shard) + k - table.first_row()));
    }
  }
  return largest;
}

}  // namespace

void resolve_features(Recipe& recipe, const store::ArrayFile& file) {
  if (!recipe.has("features.name")) return;
  if (recipe.text("features.name").empty()) recipe.set("features.name", only_features(recipe, file));
  const std::string name = recipe.text("features.name");
  const auto side = data::find_side_data(file, data::SideKind::features, data::Side::items, name);
  if (recipe.is_auto("features.columns")) recipe.set("features.columns", side.width);
  if (recipe.integer("features.columns") != side.width)
    throw UserError(
        fmt::format("{}: item features \"{}\" have {} columns, but features.columns = {}: \"auto\" is right",
                    file.path(), name, side.width, recipe.integer("features.columns")));
}

void load_features(const comm::Communicator& communicator, const store::ArrayFile& file, const Recipe& recipe,
                   FactorModel& model) {
  if (model.frozen.empty()) return;
  table::Table& table = *model.frozen.front();
  double largest = 0.0;
  comm::agree(communicator, [&] {
    const ShardLayout layout{table.partition().parts, communicator.size()};
    largest = read_rows(file, recipe.text("features.name"), layout, communicator.rank(), table);
  });
  largest = communicator.max(largest);
  if (recipe.text("features.scale") == "none" || largest == 0.0) return;
  const auto scale = static_cast<float>(largest);
  for (Index k = 0; k < table.rows(); ++k) {
    float* row = table.record(k);
    for (int c = 0; c < table.shape().dim; ++c) row[c] /= scale;
  }
}

void mark_seen_items(const comm::Communicator& communicator, const data::UserLists& train, FactorModel& model) {
  const auto seen = std::ranges::find_if(model.frozen, [](const auto& table) { return table->name() == "item_seen"; });
  if (seen == model.frozen.end()) return;
  const auto marks = seen_items(communicator, train, *model.users, *model.items);
  for (std::size_t k = 0; k < marks.size(); ++k) *(*seen)->record(static_cast<Index>(k)) = marks[k];
}

}  // namespace spar::systems
