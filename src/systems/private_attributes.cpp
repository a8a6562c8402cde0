#include "spar/systems/private_attributes.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "spar/base/error.hpp"
#include "spar/data/attributes.hpp"
#include "spar/data/side_data.hpp"

namespace spar::systems {

namespace {

using Counts = std::vector<std::vector<std::int64_t>>;  // by attribute and code: users with training interactions

std::string only_attribute(const Recipe& recipe, const store::ArrayFile& file) {
  std::vector<std::string> names;
  for (const data::SideDescription& side : data::list_side_data(file)) {
    if (side.kind == data::SideKind::attribute && side.side == data::Side::users) names.push_back(side.name);
  }
  if (names.empty())
    throw UserError(
        fmt::format("{}: has no attributes of users, which {} needs; spar import brings them with --user-attributes",
                    file.path(), recipe.system()));
  if (names.size() > 1)
    throw UserError(fmt::format("{} has several attributes of users: choose by --set privacy.attributes=NAME,... of {}",
                                file.path(), fmt::join(names, ", ")));
  return names.front();
}

// The number of values, the missing one left out.
std::int64_t classes_of(const store::ArrayFile& file, const std::string& name) {
  const auto side = data::find_side_data(file, data::SideKind::attribute, data::Side::users, name);
  const Index values = side.width - 1;
  if (values < 2)
    throw UserError(
        fmt::format("{}: the user attribute \"{}\" has {}, so there is nothing that a reader could tell apart",
                    file.path(), name, values == 1 ? "one value only" : "no values"));
  return values;
}

// Reads the codes of this rank's users into the table, and counts them.
Counts read_codes(const store::ArrayFile& file, const Recipe& recipe, const data::UserLists& train,
                  table::Table& table) {
  const auto& names = recipe.texts("privacy.attributes");
  Counts counts;
  for (std::size_t k = 0; k < names.size(); ++k) {
    counts.emplace_back(static_cast<std::size_t>(recipe.integers("privacy.classes")[k]) + 1);
    if (table.rows() == 0) continue;
    const auto codes =
        data::read_attribute(file, data::Side::users, names[k], table.first_row(), table.first_row() + table.rows());
    for (Index user = 0; user < table.rows(); ++user) {
      if (train.of(user).empty()) continue;
      const std::uint32_t code = codes[static_cast<std::size_t>(user)];
      table.record(user)[2 * k] = static_cast<float>(code);
      ++counts[k][code];
    }
  }
  return counts;
}

// What users of each value count.
std::vector<double> value_weights(const std::vector<std::int64_t>& counts, std::int64_t users, bool balanced) {
  std::int64_t labelled = 0;
  std::int64_t present = 0;
  for (std::size_t c = 1; c < counts.size(); ++c) {
    labelled += counts[c];
    present += counts[c] > 0 ? 1 : 0;
  }
  std::vector<double> weights(counts.size());
  for (std::size_t c = 1; c < counts.size(); ++c) {
    if (counts[c] == 0) continue;
    weights[c] = balanced ? static_cast<double>(users) / static_cast<double>(present * counts[c])
                          : static_cast<double>(users) / static_cast<double>(labelled);
  }
  return weights;
}

}  // namespace

void resolve_attributes(Recipe& recipe, const store::ArrayFile& file) {
  if (!recipe.has("privacy.attributes")) return;
  if (recipe.texts("privacy.attributes") == std::vector<std::string>{""})
    recipe.set("privacy.attributes", std::vector<std::string>{only_attribute(recipe, file)});
  const std::vector<std::string> names = recipe.texts("privacy.attributes");
  std::vector<std::int64_t> classes;
  for (auto name = names.begin(); name != names.end(); ++name) {
    classes.push_back(classes_of(file, *name));
    if (std::find(names.begin(), name, *name) != name)
      throw UserError(fmt::format("privacy.attributes names \"{}\" twice", *name));
  }
  if (recipe.integers("privacy.classes") == std::vector<std::int64_t>{0}) recipe.set("privacy.classes", classes);
  if (recipe.integers("privacy.classes") != classes)
    throw UserError(fmt::format("{}: the user attributes {} have [{}] values, but privacy.classes = [{}]: 0 is right",
                                file.path(), fmt::join(names, ", "), fmt::join(classes, ", "),
                                fmt::join(recipe.integers("privacy.classes"), ", ")));
}

void load_attributes(const comm::Communicator& communicator, const store::ArrayFile& file, const Recipe& recipe,
                     const data::UserLists& train, FactorModel& model) {
  if (model.staying.empty()) return;
  table::Table& table = *model.staying.front();
  SPAR_ASSERT(table.name() == private_table && train.users() == table.rows());
  Counts counts;
  comm::agree(communicator, [&] { counts = read_codes(file, recipe, train, table); });
  std::int64_t totals[] = {0, train.count()};  // users with interactions, interactions
  for (Index user = 0; user < table.rows(); ++user) totals[0] += train.of(user).empty() ? 0 : 1;
  communicator.sum(totals);
  const double activity = static_cast<double>(totals[1]) / static_cast<double>(std::max<std::int64_t>(1, totals[0]));
  const bool balanced = recipe.text("privacy.class_weights") == "balanced";
  for (std::size_t k = 0; k < counts.size(); ++k) {
    communicator.sum(counts[k]);
    if (std::count_if(counts[k].begin() + 1, counts[k].end(), [](std::int64_t n) { return n > 0; }) < 2)
      throw UserError(
          fmt::format("{}: the users with training interactions have fewer than two values of the attribute \"{}\"",
                      file.path(), recipe.texts("privacy.attributes")[k]));
    const std::vector<double> weights = value_weights(counts[k], totals[0], balanced);
    for (Index user = 0; user < table.rows(); ++user) {
      float* row = table.record(user);
      row[2 * k + 1] = static_cast<float>(weights[static_cast<std::size_t>(row[2 * k])]);
    }
  }
  for (Index user = 0; user < table.rows(); ++user) {
    const auto own = static_cast<double>(train.of(user).size());
    table.record(user)[2 * counts.size()] = own > 0 ? static_cast<float>(activity / own) : 0.0F;
  }
}

}  // namespace spar::systems
