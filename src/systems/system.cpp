#include "spar/systems/system.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/store/durable.hpp"
#include "spar/systems/declarations.hpp"

namespace spar::systems {

namespace {

const SystemSettings* find_settings(const std::string& name) {
  const SystemInfo* info = find_system(name);
  return info == nullptr ? nullptr : &info->settings;
}

}  // namespace

const std::vector<SystemInfo>& all_systems() {
  static const std::vector<SystemInfo> systems{
      declare_popularity(), declare_bpr_mf(),   declare_mf(),       declare_apr(),  declare_gmf(),
      declare_mlp(),        declare_neumf(),    declare_vbpr(),     declare_amr(),  declare_sasrec(),
      declare_gru4rec(),    declare_mult_vae(), declare_mult_dae(), declare_cdae(), declare_acae(),
      declare_autorec(),    declare_pitf(),     declare_atf(),      declare_pat(),  declare_fncf()};
  return systems;
}

const SystemInfo* find_system(const std::string& name) {
  for (const SystemInfo& info : all_systems()) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

std::vector<std::string> system_names() {
  std::vector<std::string> names;
  for (const SystemInfo& info : all_systems()) names.push_back(info.name);
  return names;
}

Recipe load_recipe(const std::string& recipe, const std::vector<std::string>& overrides) {
  std::vector<std::string> known;
  for (const ReadyRecipe& ready : ready_recipes()) {
    known.push_back(ready.name);
    if (ready.name == recipe) return parse_recipe(ready.toml, recipe, overrides, find_settings, system_names());
  }
  if (std::filesystem::is_regular_file(recipe))
    return parse_recipe(store::read_text(recipe), recipe, overrides, find_settings, system_names());
  if (std::filesystem::is_directory(recipe))
    throw UserError(fmt::format("{} is a directory: RECIPE is a TOML file or the name of a ready recipe", recipe));
  const auto proposal = nearest(recipe, known);
  throw UserError(fmt::format("there is no recipe {}: {}", recipe,
                              proposal ? fmt::format("did you mean {}?", *proposal)
                                       : fmt::format("give a TOML file, or one of {}", fmt::join(known, ", "))));
}

Recipe read_recipe(const std::string& toml, const std::string& origin) {
  return parse_recipe(toml, origin, {}, find_settings, system_names());
}

}  // namespace spar::systems
