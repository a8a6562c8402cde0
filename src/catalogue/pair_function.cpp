#include "spar/catalogue/pair_function.hpp"

#include <cmath>

#include "spar/base/memory.hpp"
#include "spar/catalogue/lanes.hpp"

namespace spar::catalogue {

float score_pair(const PairFunction& pairs, const float* user, const float* item, int dim) {
  thread_local Buffer<float> columns;
  columns.require(static_cast<std::size_t>(dim) * lanes);
  for (int c = 0; c < dim; ++c) store(columns.data() + static_cast<std::ptrdiff_t>(c) * lanes, broadcast(item[c]));
  alignas(64) float scores[lanes];
  pairs.score_lanes(user, columns.data(), lanes, scores);
  return scores[0];
}

bool score_panels(const PairFunction& pairs, const float* const* user_rows, int users, const ItemPanels& items,
                  int first_panel, int panels, float* scores, Index stride) {
  bool finite = true;
  for (int p = 0; p < panels; ++p) {
    const float* panel = items.panel(first_panel + p);
    const float* bias = panel + static_cast<std::ptrdiff_t>(items.dim()) * panel_items;
    for (int u = 0; u < users; ++u) {
      float* out = scores + u * stride + static_cast<Index>(p) * panel_items;
      for (int k = 0; k < panel_items; k += lanes) {
        pairs.score_lanes(user_rows[u], panel + k, panel_items, out + k);
        if (items.has_bias()) store(out + k, load(out + k) + load(bias + k));
        for (int l = 0; l < lanes; ++l) finite = finite && std::isfinite(out[k + l]);
      }
    }
  }
  return finite;
}

}  // namespace spar::catalogue
