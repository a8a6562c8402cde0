#include "spar/systems/posts.hpp"

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/systems/factor_model.hpp"

namespace spar::systems {

bool learns_from_posts(const Recipe& recipe) {
  const auto network = network_of(recipe);
  return network && network->learns_from_posts();
}

Index targets_of(const Recipe& recipe, const data::DatasetHeader& data, data::Part part) {
  return (learns_from_posts(recipe) ? data.posts : data.counts)[static_cast<std::size_t>(part)];
}

void require_posts(const Recipe& recipe, const data::DatasetHeader& data) {
  if (!learns_from_posts(recipe)) return;
  if (data.tags == 0)
    throw UserError(fmt::format("{}: has no tags, which {} needs; spar import brings them with --tags", data.path,
                                recipe.system()));
  if (data.posts[0] == 0) throw UserError(fmt::format("{}: holds no training posts", data.path));
  if (recipe.text("evaluate.protocol") == "sampled")
    throw UserError(
        fmt::format("evaluate.protocol = \"sampled\" needs fixed items for each user: {} ranks tags, so it takes full",
                    recipe.system()));
}

}  // namespace spar::systems
