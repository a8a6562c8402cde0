#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "spar/base/settings.hpp"
#include "spar/game/autoencoder.hpp"
#include "spar/game/neural_model.hpp"

/// The table of systems: what `spar systems` lists and what a recipe's `system` may name. One visible list, no static
/// initialisers (systems/system.cpp).
namespace spar::systems {

struct SystemInfo {
  std::string name;                 ///< "apr"
  std::string family;               ///< "base", "attack and defence, accuracy", ...
  std::string sentence;             ///< what it is, one sentence
  std::vector<std::string> inputs;  ///< "interactions"; later "item features", ...
  std::string score;                ///< the score formula, in words of the export: "user . item"
  std::string bibtex;               ///< the paper
  SystemSettings settings;          ///< the settings it takes and its defaults with their origins
  std::string base{};               ///< what its first stage trains, where an adversary has a second one: "bpr"
  /// The network of a recipe, for systems that are trained by game::NeuralEngine. UserError where its settings do not
  /// fit together.
  std::function<std::unique_ptr<game::NeuralModel>(const Recipe&)> network{};
  /// The auto-encoder of a recipe, for systems that are trained by game::CatalogueEngine. UserError likewise.
  std::function<game::Autoencoder(const Recipe&)> autoencoder{};
};

/// All systems, in the order in which they are listed.
const std::vector<SystemInfo>& all_systems();
/// The system of that name, or nullptr.
const SystemInfo* find_system(const std::string& name);
std::vector<std::string> system_names();

/// A ready recipe: a system's own name gives its defaults; others ("apr-published") are the files of launch/recipes,
/// compiled in.
struct ReadyRecipe {
  std::string name;
  std::string toml;
};
const std::vector<ReadyRecipe>& ready_recipes();

/// Loads what the user wrote in place of RECIPE: a file, or the name of a ready recipe; then applies --set overrides.
/// UserError naming the nearest recipe where neither exists.
Recipe load_recipe(const std::string& recipe, const std::vector<std::string>& overrides);
/// The same from TOML text; `origin` names it in errors.
Recipe read_recipe(const std::string& toml, const std::string& origin);

}  // namespace spar::systems
