#include <cmath>

#include "catalogue_parts.hpp"
#include "square.hpp"

#include "spar/comm/communicator.hpp"

namespace spar::game {

// The step is walked twice, first for its length: squares of rows are summed by the shard that owns them, in the order
// in which they will move, then along the tree; all ranks have the dense ones.
void CatalogueEngine::clip(float* dense_total) {
  const std::size_t floats = setup_.tables.dense->gradient_floats();
  squares_.assign(shards_.size(), 0.0);
  measures_ = true;
  apply_rows();
  measures_ = false;
  const double square =
      square_of(dense_total, floats) + comm::tree_sum(*setup_.communicator, setup_.layout.shards, squares_, 1).front();
  const double norm = std::sqrt(square);
  clip_factor_ = norm > setup_.clip_norm ? static_cast<float>(setup_.clip_norm / norm) : 1.0F;
  for (std::size_t k = 0; k < floats && clip_factor_ != 1.0F; ++k) dense_total[k] *= clip_factor_;
}

}  // namespace spar::game
