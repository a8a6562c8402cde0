#pragma once
#include <cstddef>

#include "spar/base/lanes.hpp"

namespace spar::table {

/// Copies `count` scattered rows of `width` floats side by side: row(k) is where row k lies. Rows to come are asked for
/// early, a few at a time.
template <class Row>
void pack_rows(float* out, std::size_t count, int width, Row&& row) {
  constexpr std::size_t ahead = 8;
  with_width(width, [&](auto w) {
    for (std::size_t k = 0; k < count; ++k, out += w) {
      if (k + ahead < count) {
        const float* later = row(k + ahead);
        for (int c = 0; c < w; c += lanes) __builtin_prefetch(later + c);
      }
      const float* from = row(k);
      for (int c = 0; c < w; c += lanes) store_lanes(out + c, load_lanes(from + c));
    }
  });
}

}  // namespace spar::table
