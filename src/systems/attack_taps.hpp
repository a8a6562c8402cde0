#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "spar/systems/factor_model.hpp"

namespace spar::systems {

/// A table of a model that an attack can perturb.
struct Tap {
  std::string name;
  const table::Table* table = nullptr;
  std::uint32_t number = 0;  ///< of the stream of its noise
  Index first_noise_row = 0;
  bool is_trained_rows = false;
  bool is_replicated = false;  ///< a matrix of dense parameters, whole on every rank
};

/// All of them, in a fixed order.
std::vector<Tap> taps_of(const FactorModel& model);

/// A tapped table, and the one that stands in its place in a perturbed model.
struct ReplacedTable {
  Tap tap;
  table::Table* own = nullptr;
};

/// Gives `model`, a copy, tables of its own with the same values in the place of those named; in the order of
/// taps_of().
std::vector<ReplacedTable> replace_tables(FactorModel& model, const ShardLayout& layout, int rank,
                                          const std::vector<std::string>& names);

}  // namespace spar::systems
