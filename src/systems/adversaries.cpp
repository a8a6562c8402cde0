#include "adversaries.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "spar/base/error.hpp"
#include "spar/systems/factor_model.hpp"

namespace spar::systems {

namespace {

using adversary::Ball;
using adversary::Method;
using adversary::Scope;

void check_network(const Recipe& recipe, const game::Adversary& adversary, const game::NeuralModel& network) {
  if (adversary.scope == Scope::sample)
    throw UserError(
        fmt::format("adversary.scope = \"sample\" is for factor models: {} takes shard and batch", recipe.system()));
  if (adversary.scope == Scope::batch && adversary.perturbation.ball == Ball::global_l2)
    throw UserError(
        fmt::format("adversary.ball = \"global_l2\" of {} is that of a shard's micro-batch: it needs adversary.scope = "
                    "\"shard\"; scope batch takes row_l2 and linf",
                    recipe.system()));
  const auto known = network.taps();
  if (adversary.taps.empty())
    throw UserError(fmt::format("network.taps is empty: {} has {}", recipe.system(), fmt::join(known, ", ")));
  for (const game::FurtherTable& table : network.further()) {
    const auto has = [&](const std::string& tap) {
      return std::ranges::find(adversary.taps, tap) != adversary.taps.end();
    };
    for (const game::RowPart& part : table.parts) {
      if (has(table.name) && has(part.tap))
        throw UserError(
            fmt::format("network.taps has both {0} and {1}, which is a part of {0}: choose one", table.name, part.tap));
    }
  }
  for (const std::string& tap : adversary.taps) {
    if (std::ranges::find(known, tap) == known.end())
      throw UserError(
          fmt::format("network.taps: {} has no tap \"{}\", only {}", recipe.system(), tap, fmt::join(known, ", ")));
  }
}

void check_autoencoder(const Recipe& recipe, const game::Adversary& adversary) {
  if (adversary.scope != Scope::batch)
    throw UserError(fmt::format(
        "adversary.scope = \"{}\" is for users' and items' vectors: the weights that {} perturbs belong to the whole "
        "batch, so it takes batch",
        recipe.text("adversary.scope"), recipe.system()));
}

}  // namespace

game::Adversary adversary_of(const Recipe& recipe, const game::NeuralModel* network) {
  game::Adversary adversary;
  adversary.perturbation.method = adversary::method_of(recipe.text("adversary.method"));
  adversary.perturbation.ball = adversary::ball_of(recipe.text("adversary.ball"));
  const auto vary = [&](const char* key, double& value, std::optional<Schedule>& schedule) {
    const Schedule given = recipe.schedule(key);
    value = std::max(given.first(), given.last());
    if (!given.is_constant()) schedule = given;
  };
  vary("adversary.epsilon", adversary.perturbation.epsilon, adversary.epsilon_schedule);
  vary("adversary.weight", adversary.weight, adversary.weight_schedule);
  adversary.perturbation.norm_floor = recipe.real("adversary.norm_floor");
  adversary.scope = adversary::scope_of(recipe.text("adversary.scope"));
  if (network != nullptr) {
    adversary.taps = recipe.texts("network.taps");
    check_network(recipe, adversary, *network);
  }
  if (autoencoder_of(recipe)) {
    adversary.taps = {"encoder.weights", "decoder.weights"};
    check_autoencoder(recipe, adversary);
  }
  if (adversary.scope == Scope::sample && adversary.perturbation.method != Method::random &&
      (adversary.perturbation.method != Method::fgm || adversary.perturbation.ball != Ball::row_l2)) {
    throw UserError(
        "adversary.scope = \"sample\" perturbs each triple by its own L2 step: it needs adversary.method = \"fgm\" "
        "and adversary.ball = \"row_l2\"; scopes shard and batch take all methods and balls");
  }
  if (adversary.perturbation.method == Method::random && adversary.perturbation.ball == Ball::global_l2) {
    throw UserError(
        "adversary.method = \"random\" draws each row on its own: it needs adversary.ball = \"row_l2\" or \"linf\"");
  }
  return adversary;
}

}  // namespace spar::systems
