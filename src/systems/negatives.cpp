#include "spar/systems/negatives.hpp"

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/systems/dislikes.hpp"
#include "spar/systems/factor_model.hpp"

namespace spar::systems {

namespace {

bool is_popularity(const Recipe& recipe) {
  return recipe.has("sampling.negatives") && recipe.text("sampling.negatives") == "popularity";
}

data::LawOptions options_of(const Recipe& recipe) {
  data::LawOptions options;
  options.own_items = recipe.has("sampling.own_items") && recipe.flag("sampling.own_items");
  if (recipe.has("sampling.candidates")) options.candidates = static_cast<int>(recipe.integer("sampling.candidates"));
  return options;
}

// The first setting by which the recipe asks for another law than the uniform one over items that the user lacks, as
// "key = value"; empty: none.
std::string wish(const Recipe& recipe) {
  for (const char* key : {"sampling.negatives", "sampling.own_items", "sampling.candidates"}) {
    if (recipe.has(key) && recipe.value(key) != find_setting(key)->fallback)
      return fmt::format("{} = {}", key, setting_text(recipe.value(key)));
  }
  return "";
}

}  // namespace

std::shared_ptr<const data::ItemLaw> negative_law(const comm::Communicator& communicator, const ShardLayout& layout,
                                                  const Recipe& recipe, const data::UserLists& train, Index total_items,
                                                  const std::shared_ptr<const data::UserLists>& dislikes) {
  if (wish(recipe).empty()) return nullptr;
  if (draws_dislikes(recipe)) {
    auto law = std::make_shared<data::ItemLaw>(total_items, options_of(recipe));
    law->use_dislikes(std::make_shared<const data::DislikeLaw>(dislikes, recipe.real("sampling.dislike_share")));
    return law;
  }
  if (!is_popularity(recipe)) return std::make_shared<data::ItemLaw>(total_items, options_of(recipe));
  auto popularity =
      std::make_shared<data::Popularity>(communicator, layout, total_items, train.items, recipe.real("sampling.power"));
  return std::make_shared<data::ItemLaw>(std::move(popularity), options_of(recipe));
}

void check_negatives(const Recipe& recipe) {
  const std::string wanted = wish(recipe);
  if (wanted.empty()) return;
  const auto network = network_of(recipe);
  // Posts draw tags, by the uniform law; the hardest of several is chosen wherever pairs are drawn.
  const bool of_items = !network || (network->histories() == nullptr && !network->learns_from_posts());
  const bool of_tags = network && network->learns_from_posts() && wanted.starts_with("sampling.candidates");
  const bool draws = !autoencoder_of(recipe) && (of_items || of_tags);
  if (!draws)
    throw UserError(
        fmt::format("{} is for models of users and items: {} draws its negatives uniformly", wanted, recipe.system()));
}

}  // namespace spar::systems
