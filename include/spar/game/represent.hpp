#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "spar/game/autoencoder.hpp"

/// Users as the decoder sees them, for evaluation and recommendation: scores are v_i . h_u + c_i.
namespace spar::game {

/// Profiles of some users, trained or not (fold-in): user k has items[offsets[k]] to items[offsets[k + 1] - 1], by
/// ascending item.
struct Profiles {
  std::span<const std::int64_t> offsets;  ///< one more than users, from 0
  std::span<const ItemId> items;
  std::span<const float> values{};  ///< x_ui; empty: 1
  /// Rows of this rank's share of the users' table, for models with user nodes: -1 a user without one, whose node is 0;
  /// empty: none has one.
  std::span<const Index> nodes{};

  int users() const { return static_cast<int>(offsets.size()) - 1; }
};

/// The inputs of the wide output layer for a rank's profiles: users x padded(output_width) floats, padding zero,
/// without corruption and with the code at its mean. Collective: every rank gives any number of profiles, with values
/// on all ranks or on none. A row is a function of its profile and the parameters alone, whatever else is asked. Works
/// in rounds of `block_users` profiles a rank; memory of a rank in a round of R profiles on all ranks: 4 bytes an
/// interaction of theirs (8 with values) and 4 R input_width for each thread and level of the shard tree.
std::vector<float> represent(const comm::Communicator& communicator, const ShardLayout& layout,
                             const Autoencoder& model, const AutoencoderTables& tables, const Profiles& profiles,
                             int block_users = 512);

}  // namespace spar::game
