#include "spar/catalogue/wide_input.hpp"

#include <algorithm>

#include "spar/base/lanes.hpp"
#include "spar/base/memory.hpp"

namespace spar::catalogue {

namespace {

// to += factor * from.
void add_multiple(float* to, float factor, const float* from, int width) {
  const Lanes<float> f = all_lanes(factor);
  for (int c = 0; c < width; c += lanes) store_lanes(to + c, lane_fma(f, load_lanes(from + c), load_lanes(to + c)));
}

}  // namespace

void input_forward(const SliceRows& rows, const SliceBatch& batch, float* sums) {
  const int width = padded(rows.dim);
  std::fill_n(sums, static_cast<std::size_t>(batch.users()) * static_cast<std::size_t>(width), 0.0F);
  for (int u = 0; u < batch.users(); ++u) {
    float* to = sums + static_cast<std::size_t>(u) * static_cast<std::size_t>(width);
    for (auto k = static_cast<std::size_t>(batch.offsets[static_cast<std::size_t>(u)]);
         k < static_cast<std::size_t>(batch.offsets[static_cast<std::size_t>(u) + 1]); ++k) {
      if (batch.inputs[k] != 0.0F) add_multiple(to, batch.inputs[k], rows.row(batch.items[k]), width);
    }
  }
}

void input_backward(const SliceRows& rows, const SliceBatch& batch, const float* delta, TouchedRows& gradients) {
  const int width = padded(rows.dim);
  for (int u = 0; u < batch.users(); ++u) {
    const float* from = delta + static_cast<std::size_t>(u) * static_cast<std::size_t>(width);
    for (auto k = static_cast<std::size_t>(batch.offsets[static_cast<std::size_t>(u)]);
         k < static_cast<std::size_t>(batch.offsets[static_cast<std::size_t>(u) + 1]); ++k) {
      if (batch.inputs[k] != 0.0F) add_multiple(gradients.add(batch.items[k]), batch.inputs[k], from, width);
    }
  }
}

}  // namespace spar::catalogue
