#include "row_penalty.hpp"

#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::systems {

game::RowPenalty row_penalty_of(const Recipe& recipe, double factor) {
  using Of = game::RowPenalty::Of;
  const std::string& form = recipe.text("objective.l2_form");
  if (form != "distinct" && form != "table") return {};
  return {form == "distinct" ? Of::distinct_rows : Of::tables, factor * recipe.real("objective.l2")};
}

double loss_penalty_of(const Recipe& recipe) {
  if (recipe.text("objective.l2_form") == "batch_mean")
    throw UserError(fmt::format(
        "objective.l2_form = \"batch_mean\" is the penalty of APR's code, for bpr-mf and apr as they train by "
        "default: {} takes occurrence, distinct and table here",
        recipe.system()));
  return row_penalty_of(recipe, 1.0).of == game::RowPenalty::Of::occurrences ? recipe.real("objective.l2") : 0.0;
}

game::Decorrelation decorrelation_of(const Recipe& recipe) {
  if (!recipe.has("objective.decorrelation")) return {};
  return {recipe.schedule("objective.decorrelation"), recipe.integer("objective.decorrelation_every")};
}

}  // namespace spar::systems
