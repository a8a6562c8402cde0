#include "tap_sizes.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace spar::cli {

std::string tap_sizes(const comm::Communicator& communicator, int shards, const systems::FactorModel& model,
                      const game::Adversary& adversary) {
  const double epsilon = adversary.perturbation.epsilon;
  std::string sizes;
  const auto is_tapped = [&](const std::string& tap) {
    return std::ranges::find(adversary.taps, tap) != adversary.taps.end();
  };
  const auto add = [&](const std::string& tap, const table::Table& table, double size) {
    const double norm = table.median_norm(communicator, shards);
    sizes += fmt::format("{} {:.0f}% of the median {} row", sizes.empty() ? " =" : ",",
                         100 * size / std::max(norm, 1e-30), tap);
  };
  std::vector<std::pair<std::string, const table::Table*>> tables{{"user", model.users.get()},
                                                                  {"item", model.items.get()}};
  for (const auto* more : {&model.further, &model.frozen}) {
    for (const auto& table : *more) tables.emplace_back(table->name(), table.get());
  }
  if (model.autoencoder) tables = {{"encoder.weights", model.encoder.get()}, {"decoder.weights", model.items.get()}};
  for (const auto& [tap, table] : tables) {
    if (is_tapped(tap)) add(tap, *table, epsilon);
  }
  // Steps of a row's parts, each of its own size, are one longer step of the row.
  const auto further = model.network ? model.network->further() : std::vector<game::FurtherTable>{};
  for (std::size_t k = 0; k < further.size(); ++k) {
    const auto parts =
        std::ranges::count_if(further[k].parts, [&](const game::RowPart& part) { return is_tapped(part.tap); });
    if (parts > 0) add(further[k].name, *model.further[k], epsilon * std::sqrt(static_cast<double>(parts)));
  }
  return sizes;
}

}  // namespace spar::cli
