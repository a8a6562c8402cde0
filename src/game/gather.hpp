#pragma once
#include <algorithm>

#include "spar/adversary/perturbation.hpp"
#include "spar/base/lanes.hpp"
#include "spar/tape/tape.hpp"

/// Rows of tables as matrices on a tape: where they lie, copied, or moved by a perturbation. Loops over rows ask for
/// the tape's early() rows as they go.
namespace spar::game {

// `count` rows where they lie, row(j), as a matrix that nobody may write to. They are read three times in a pass: not
// often enough to pay for a copy.
template <class Row>
tape::Matrix<float> scattered(tape::Tape<float>& tape, std::size_t count, int width, Row&& row) {
  float** places = tape.arena().take<float*>(count);
  for (std::size_t j = 0; j < count; ++j) places[j] = const_cast<float*>(row(j));
  return {nullptr, static_cast<int>(count), width, width, places};
}

// The same rows, each plus delta(j).
template <class Row, class Delta>
tape::Matrix<float> gather_sums(tape::Tape<float>& tape, std::size_t count, int width, Row&& row, Delta&& delta) {
  float* out = tape.arena().take<float>(count * static_cast<std::size_t>(width));
  PacedPrefetch early = tape.early();
  with_width(width, [&](auto w) {
    float* to = out;
    for (std::size_t j = 0; j < count; ++j, to += w) {
      early.ask();
      const float* a = row(j);
      const float* b = delta(j);
      for (int c = 0; c < w; c += lanes) store_lanes(to + c, load_lanes(a + c) + load_lanes(b + c));
    }
  });
  tape.early() = early;
  return {out, static_cast<int>(count), width, width};
}

// out = factor * gradient for the first `vector` of `width` columns, 0 for the rest; plus row, if given.
template <class Width>
[[gnu::always_inline]] inline void step_along(float* out, const float* row, const float* gradient, float factor,
                                              int vector, Width width) {
  for (int c = 0; c < width; c += lanes) {
    const Lanes<float> start = row == nullptr ? Lanes<float>{} : load_lanes(row + c);
    store_lanes(out + c, c < vector ? lane_fma(all_lanes(factor), load_lanes(gradient + c), start) : start);
  }
}

// The same rows, each plus its L2 step along gradients (count x width); `vector` columns are perturbed.
template <class Row>
tape::Matrix<float> gather_l2_steps(tape::Tape<float>& tape, std::size_t count, int width, int vector, Row&& row,
                                    const adversary::PerturbationSettings& settings, const float* gradients) {
  float* out = tape.arena().take<float>(count * static_cast<std::size_t>(width));
  PacedPrefetch early = tape.early();
  with_width(width, [&](auto w) {
    for (std::size_t first = 0; first < count; first += lanes) {
      const int block = static_cast<int>(std::min<std::size_t>(lanes, count - first));
      const float* g = gradients + static_cast<std::ptrdiff_t>(first) * w;
      float* to = out + static_cast<std::ptrdiff_t>(first) * w;
      const Lanes<float> factors = adversary::l2_factors(
          settings, [&](int k) { return g + k * w; }, block, vector);
      for (int k = 0; k < block; ++k, g += w, to += w) {
        early.ask();
        early.ask();
        step_along(to, row(first + static_cast<std::size_t>(k)), g, factors[k], vector, w);
      }
    }
  });
  tape.early() = early;
  return {out, static_cast<int>(count), width, width};
}

}  // namespace spar::game
