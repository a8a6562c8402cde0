#pragma once
#include <cmath>

#include "spar/base/lanes.hpp"
#include "spar/optim/update.hpp"

/// The update rules over one record, inlined into the loops over rows. `gradient(c)` gives sixteen numbers from column
/// c on; `width` may be a compile-time constant, which unrolls the loop.
/// Fused operations are named, so that a record ends in the same bits through every loop.
namespace spar::optim {

template <class Width, class Gradient>
[[gnu::always_inline]] inline void update_sgd(const OptimizerSettings& s, float* x, Width width, Gradient&& gradient) {
  for (int c = 0; c < width; c += lanes)
    store_lanes(x + c, lane_fma(all_lanes(-s.learning_rate), gradient(c), load_lanes(x + c)));
}

/// `Plain`: epsilon is 0, as in TensorFlow's Adagrad, and no division is needed.
template <bool Plain, class Width, class Gradient>
[[gnu::always_inline]] inline void update_adagrad(const OptimizerSettings& s, float* x, Width width, int stride,
                                                  Gradient&& gradient) {
  float* a = x + stride;
  for (int c = 0; c < width; c += lanes) {
    const Lanes<float> g = gradient(c);
    const Lanes<float> sum = lane_fma(g, g, load_lanes(a + c));
    store_lanes(a + c, sum);
    if constexpr (Plain) {
      store_lanes(x + c, lane_fma(-s.learning_rate * g, lane_inverse_sqrt(sum), load_lanes(x + c)));
    } else {
      store_lanes(x + c, load_lanes(x + c) - s.learning_rate * g / (lane_sqrt(sum) + s.epsilon));
    }
  }
}

/// `correct1`, `correct2`: 1 / (1 - beta^t).
template <class Width, class Gradient>
[[gnu::always_inline]] inline void update_adam(const OptimizerSettings& s, float* x, Width width, int stride,
                                               float correct1, float correct2, Gradient&& gradient) {
  float* m = x + stride;
  float* v = m + stride;
  for (int c = 0; c < width; c += lanes) {
    const Lanes<float> g = gradient(c);
    const Lanes<float> first = lane_fma(all_lanes(s.beta1), load_lanes(m + c), (1.0F - s.beta1) * g);
    const Lanes<float> second = lane_fma(all_lanes(s.beta2), load_lanes(v + c), (1.0F - s.beta2) * (g * g));
    store_lanes(m + c, first);
    store_lanes(v + c, second);
    store_lanes(x + c,
                load_lanes(x + c) - s.learning_rate * (correct1 * first) / (lane_sqrt(correct2 * second) + s.epsilon));
  }
}

inline float adam_correction(float beta, double steps) {
  return static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(beta), steps)));
}

template <class Record, class Gradient>
void Updater::update_rows(int count, int width, int stride, Record&& record, Gradient&& gradient) const {
  with_width(width, [&](auto w) {
    switch (settings_.rule) {
      case Rule::sgd:
        for (int k = 0; k < count; ++k) update_sgd(settings_, record(k), w, gradient(k));
        return;
      case Rule::adagrad:
        if (settings_.epsilon == 0.0F) {
          for (int k = 0; k < count; ++k) update_adagrad<true>(settings_, record(k), w, stride, gradient(k));
        } else {
          for (int k = 0; k < count; ++k) update_adagrad<false>(settings_, record(k), w, stride, gradient(k));
        }
        return;
      case Rule::adam:
        for (int k = 0; k < count; ++k)
          update_adam(settings_, record(k), w, stride, first_correction_, second_correction_, gradient(k));
        return;
      case Rule::lazy_adam:
        for (int k = 0; k < count; ++k) {
          float* row = record(k);
          const auto steps = static_cast<double>(row[3 * stride] += 1.0F);
          update_adam(settings_, row, w, stride, adam_correction(settings_.beta1, steps),
                      adam_correction(settings_.beta2, steps), gradient(k));
        }
        return;
    }
  });
}

}  // namespace spar::optim
