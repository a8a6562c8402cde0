#include "data_tools/side_import.hpp"

#include <fmt/format.h>

#include "data_tools/side_files.hpp"

namespace spar::data_tools {

namespace {

std::string option_of(data::Side side, const char* kind) {
  return fmt::format("--{}-{}", side == data::Side::users ? "user" : "item", kind);
}

/// The path of the ids for each file of features: by name, or one for all.
std::string ids_of(const std::vector<std::string>& entries, const std::string& name) {
  for (const std::string& entry : entries) {
    if (entry.starts_with(name + "=")) return entry.substr(name.size() + 1);
  }
  for (const std::string& entry : entries) {
    if (entry.find('=') == std::string::npos) return entry;
  }
  return "";
}

/// One entry for all files, or one for each.
std::string columns_of(const EntitySideOptions& options, std::size_t k, const std::string& option) {
  const std::vector<std::string>& columns = options.attributes_columns;
  if (columns.empty()) return "";
  if (columns.size() == 1) return columns[0];
  if (columns.size() != options.attributes.size()) {
    throw UserError(fmt::format("{}-columns is given {} times for {} files: give it once, or once for each file",
                                option, columns.size(), options.attributes.size()));
  }
  return columns[k];
}

void check_entity(data::Side side, const EntitySideOptions& options) {
  for (const std::string& entry : options.features) {
    const SideFile file = parse_side_file(option_of(side, "features"), entry);
    require_side_file(option_of(side, "features"), file.path);
    const std::string ids = ids_of(options.features_ids, file.name);
    if (!ids.empty()) require_side_file(option_of(side, "features-ids"), ids);
  }
  if (options.features.empty() && !options.features_ids.empty())
    throw UserError(fmt::format("{} needs {}", option_of(side, "features-ids"), option_of(side, "features")));
  for (std::size_t k = 0; k < options.attributes.size(); ++k) {
    require_side_file(option_of(side, "attributes"), options.attributes[k]);
    columns_of(options, k, option_of(side, "attributes"));
  }
  for (const std::string& entry : options.bags)
    require_side_file(option_of(side, "bags"), parse_side_file(option_of(side, "bags"), entry).path);
}

void read_entity(data::Side side, const SideOptions& options, const Entities& entities, SideSet& set) {
  const EntitySideOptions& own = of_side(options, side);
  for (const std::string& entry : own.features) {
    const std::string option = option_of(side, "features");
    const SideFile file = parse_side_file(option, entry);
    read_features(option, file, ids_of(own.features_ids, file.name), side, options, entities, set);
  }
  for (std::size_t k = 0; k < own.attributes.size(); ++k) {
    const std::string option = option_of(side, "attributes");
    read_attributes(option, own.attributes[k], columns_of(own, k, option), side, options, entities, set);
  }
  for (const std::string& entry : own.bags)
    read_bag(parse_side_file(option_of(side, "bags"), entry), side, options, entities, set);
}

}  // namespace

void check_side_options(const SideOptions& options) {
  check_entity(data::Side::users, options.users);
  check_entity(data::Side::items, options.items);
  for (const std::string& entry : options.user_edges)
    require_side_file("--user-edges", parse_side_file("--user-edges", entry).path);
  for (const std::string& path : options.tags) require_side_file("--tags", path);
  if (options.undirected && options.user_edges.empty()) throw UserError("--undirected needs --user-edges");
  if (!options.tags_columns.empty() && options.tags.empty()) throw UserError("--tags-columns needs --tags");
}

void read_side_data(const SideOptions& options, const std::vector<std::string>& movielens_paths, std::uint64_t seed,
                    const Entities& entities, SideSet& set) {
  read_movielens(movielens_paths, options, entities, set);
  read_entity(data::Side::users, options, entities, set);
  read_entity(data::Side::items, options, entities, set);
  for (const std::string& entry : options.user_edges)
    read_edges(parse_side_file("--user-edges", entry), options, entities, set);
  if (!options.tags.empty()) read_tags(options, seed, entities, set);
}

}  // namespace spar::data_tools
