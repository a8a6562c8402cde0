#include "spar/systems/system.hpp"

namespace spar::systems {

namespace {

struct Embedded {
  const char* name;
  const char* toml;
};

// The files of launch/recipes, written by CMake: SPAR_READY_RECIPE(name, text).
#define SPAR_READY_RECIPE(name, text) {name, text},
constexpr Embedded embedded[] = {
#include "spar_ready_recipes.inc"
};
#undef SPAR_READY_RECIPE

}  // namespace

const std::vector<ReadyRecipe>& ready_recipes() {
  static const std::vector<ReadyRecipe> recipes = [] {
    std::vector<ReadyRecipe> list;
    for (const std::string& name : system_names()) list.push_back({name, "system = \"" + name + "\"\n"});
    for (const Embedded& recipe : embedded) list.push_back({recipe.name, recipe.toml});
    return list;
  }();
  return recipes;
}

}  // namespace spar::systems
