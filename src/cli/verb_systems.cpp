#include <cstdio>
#include <memory>

#include "verb_list.hpp"
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/base/error.hpp"
#include "spar/systems/system.hpp"

namespace spar::cli {

namespace {

struct SystemsOptions {
  std::string system;
  bool recipe = false;
  bool bibtex = false;
  bool json = false;
};

/// The system of that name or of that ready recipe; UserError with the nearest.
std::string known_recipe(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& ready : systems::ready_recipes()) {
    if (ready.name == name) return name;
    known.push_back(ready.name);
  }
  const auto proposal = nearest(name, known);
  throw UserError(proposal ? fmt::format("unknown system {}: did you mean {}?", name, *proposal)
                           : fmt::format("unknown system {}: there are {}", name, fmt::join(known, ", ")));
}

nlohmann::ordered_json as_json(const systems::SystemInfo& info) {
  nlohmann::ordered_json object;
  object["name"] = info.name;
  object["family"] = info.family;
  object["inputs"] = info.inputs;
  object["sentence"] = info.sentence;
  object["score"] = info.score;
  return object;
}

std::string list_text() {
  std::size_t width = 0;
  for (const auto& ready : systems::ready_recipes()) width = std::max(width, ready.name.size());
  std::string text;
  for (const auto& info : systems::all_systems()) text += fmt::format("{:<{}}  {}\n", info.name, width, info.sentence);
  for (const auto& ready : systems::ready_recipes()) {
    if (systems::find_system(ready.name) == nullptr) {
      text +=
          fmt::format("{:<{}}  Ready recipe of {}\n", ready.name, width, systems::load_recipe(ready.name, {}).system());
    }
  }
  return text;
}

std::string system_text(const Recipe& recipe) {
  const systems::SystemInfo& info = *systems::find_system(recipe.system());
  std::string text = fmt::format("{}: {}.\nfamily  {}\ninputs  {}\nscore   {}\n\n", info.name, info.sentence,
                                 info.family, fmt::join(info.inputs, ", "), info.score);
  return text + recipe.toml(true);
}

int run(const SystemsOptions& options) {
  std::string text;
  if (options.system.empty()) {
    if (options.recipe || options.bibtex)
      throw UserError("spar systems: --recipe and --bibtex need a system, such as spar systems apr --recipe");
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const auto& info : systems::all_systems()) list.push_back(as_json(info));
    text = options.json ? list.dump(2) + "\n" : list_text();
  } else {
    const Recipe recipe = systems::load_recipe(known_recipe(options.system), {});
    const systems::SystemInfo& info = *systems::find_system(recipe.system());
    if (options.bibtex && info.bibtex.empty()) throw UserError(fmt::format("{} has no paper to cite", info.name));
    if (options.json) {
      text = as_json(info).dump(2) + "\n";
    } else if (options.bibtex) {
      text = info.bibtex;
    } else {
      text = options.recipe ? recipe.toml(true) : system_text(recipe);
    }
  }
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace

Verb systems_verb() {
  Verb verb;
  verb.name = "systems";
  verb.sentence = "List the systems, or show one: its inputs, settings and paper";
  verb.examples = {"spar systems", "spar systems apr --recipe > my.toml", "spar systems apr --bibtex"};
  verb.declare = [](OptionSet& set) {
    auto options = std::make_shared<SystemsOptions>();
    set.argument("SYSTEM", options->system, "A system or a ready recipe", Need::optional);
    set.flag("--recipe", options->recipe, "Print its full recipe with comments");
    set.flag("--bibtex", options->bibtex, "Print its paper as BibTeX");
    set.flag("--json", options->json, "Print JSON");
    return Action{[options] { return run(*options); }, {}};
  };
  return verb;
}

}  // namespace spar::cli
