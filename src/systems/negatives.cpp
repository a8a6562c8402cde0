#include "spar/systems/negatives.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/systems/system.hpp"

namespace spar::systems {

namespace {

constexpr Index items_per_sum = Index{1} << 20;

bool is_uniform(const Recipe& recipe) {
  return !recipe.has("sampling.negatives") || recipe.text("sampling.negatives") == "uniform";
}

}  // namespace

std::shared_ptr<const data::ItemLaw> negative_law(const comm::Communicator& communicator, const Recipe& recipe,
                                                  const data::UserLists& train, Index total_items) {
  if (is_uniform(recipe)) return nullptr;
  std::vector<std::uint32_t> counts(static_cast<std::size_t>(total_items));
  for (const ItemId item : train.items) ++counts[item];
  std::vector<std::int64_t> part;
  for (Index begin = 0; begin < total_items; begin += items_per_sum) {
    const auto first = counts.begin() + begin;
    const auto end = counts.begin() + std::min(total_items, begin + items_per_sum);
    part.assign(first, end);
    communicator.sum(part);
    std::ranges::transform(part, first, [](std::int64_t count) { return static_cast<std::uint32_t>(count); });
  }
  return std::make_shared<data::ItemLaw>(counts, recipe.real("sampling.power"));
}

void check_negatives(const Recipe& recipe) {
  if (is_uniform(recipe)) return;
  const SystemInfo* info = find_system(recipe.system());
  const bool draws = info != nullptr && !info->autoencoder && (!info->network || !info->network(recipe)->histories());
  if (!draws)
    throw UserError(
        fmt::format("sampling.negatives = \"{}\" is for models of users and items: {} draws its negatives uniformly",
                    recipe.text("sampling.negatives"), recipe.system()));
}

}  // namespace spar::systems
