#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "spar/base/lanes.hpp"
#include "spar/base/random.hpp"
#include "spar/base/types.hpp"

/// One-step perturbations of rows: a direction, scaled onto the surface of a ball (survey of adversarial recommenders,
/// eq. 3 to 5; the APR code).
namespace spar::adversary {

enum class Method { fgm, fgsm, random };
enum class Ball { row_l2, global_l2, linf };
/// The loss that a perturbation is built from: one triple, the shard's micro-batch, the whole batch, the whole training
/// set.
enum class Scope { sample, shard, batch, data };

Method method_of(const std::string& name);
Ball ball_of(const std::string& name);
Scope scope_of(const std::string& name);

/// delta = epsilon * direction / max(norm, floor), with direction = gradient (fgm), its sign (fgsm) or normal noise
/// (random), and norm that of the ball: the row's L2 norm, its largest entry (linf) or the L2 norm of all perturbed
/// rows together (global_l2). fgm with row_l2 is what APR calls fast gradient; fgsm with linf is the survey's FGSM. The
/// floor acts on gradients only: rows below it fade out instead of jumping to epsilon (TensorFlow's l2_normalize).
struct PerturbationSettings {
  Method method = Method::fgm;
  Ball ball = Ball::row_l2;
  double epsilon = 0.5;
  double norm_floor = 1e-6;
};

/// Which random row is wanted, for Method::random.
struct NoiseKey {
  std::uint64_t seed = 0;
  std::uint32_t table = 0;
  Index row = 0;
  std::uint32_t step = 0;
  std::uint32_t epoch = 0;
};

/// Writes the direction of one row of `dim` columns (padding up to `width` becomes 0) to `delta`, which may be
/// `gradient` itself. `gradient` is not read for Method::random.
void direction(const PerturbationSettings& settings, const float* gradient, const NoiseKey& key, int dim, int width,
               float* delta);
/// The squared L2 norm of a direction row (padded width).
inline double squared_norm(const float* delta, int width) {
  return static_cast<double>(lane_dot(delta, delta, width));
}
/// Scales a direction row to the ball. `global_squares` is the sum of squared_norm over all rows (global_l2 only).
void scale_to_ball(const PerturbationSettings& settings, double global_squares, int width, float* delta);

/// Whether a perturbation is a multiple of its own row's gradient: then l2_factors says which, and no row need be
/// written.
inline bool is_l2_multiple(const PerturbationSettings& settings) {
  return settings.method == Method::fgm && settings.ball == Ball::row_l2;
}
/// The factors of `count` <= 16 rows at once: gradient(k) is row k of `width` floats. Lanes from `count` on are of no
/// use.
template <class Width, class Gradient>
[[gnu::always_inline]] inline Lanes<float> l2_factors(const PerturbationSettings& settings, Gradient&& gradient,
                                                      int count, Width width) {
  Lanes<float> squares[lanes]{};
  for (int k = 0; k < count; ++k) {
    const float* g = gradient(k);
    for (int c = 0; c < width; c += lanes) squares[k] += load_lanes(g + c) * load_lanes(g + c);
  }
  const Lanes<float> norm = lane_sqrt(lane_sums<float>(squares));
  const Lanes<float> floor = all_lanes(static_cast<float>(settings.norm_floor));
  return static_cast<float>(settings.epsilon) / (norm > floor ? norm : floor);
}

/// direction + scale_to_ball for balls that need no other row.
inline void perturb_row(const PerturbationSettings& settings, const float* gradient, const NoiseKey& key, int dim,
                        int width, float* delta) {
  direction(settings, gradient, key, dim, width, delta);
  scale_to_ball(settings, 0.0, width, delta);
}

}  // namespace spar::adversary
