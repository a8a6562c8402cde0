#include "spar/systems/declarations.hpp"

namespace spar::systems {

SystemInfo declare_popularity() {
  SystemInfo info;
  info.name = "popularity";
  info.family = "base";
  info.sentence = "Scores every item by its number of training interactions, the same for all users";
  info.inputs = {"interactions"};
  info.score = "item_bias";
  info.settings = {.system = info.name, .takes = {}, .defaults = {}};
  return info;
}

}  // namespace spar::systems
