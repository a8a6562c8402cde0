#include "spar/adversary/perturbation.hpp"

#include <algorithm>
#include <cmath>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"

namespace spar::adversary {

namespace {

void sign_of(const float* gradient, int width, float* delta) {
  const Lanes<float> one = all_lanes(1.0F);
  for (int c = 0; c < width; c += lanes) {
    const auto g = load_lanes(gradient + c);
    store_lanes(delta + c, (g > 0.0F ? one : Lanes<float>{}) - (g < 0.0F ? one : Lanes<float>{}));
  }
}

void noise(const NoiseKey& key, int dim, float* delta) {
  const RandomStream stream(key.seed ^ (static_cast<std::uint64_t>(key.epoch) << 32), Purpose::adversary_noise);
  for (int c = 0; c < dim; c += 2) {
    const auto pair = normal_pair(stream.block(static_cast<std::uint32_t>(key.row),
                                               static_cast<std::uint32_t>(key.row >> 32) | (key.table << 24), key.step,
                                               static_cast<std::uint32_t>(c)));
    delta[c] = static_cast<float>(pair[0]);
    if (c + 1 < dim) delta[c + 1] = static_cast<float>(pair[1]);
  }
}

float largest(const float* row, int width) {
  float most = 0.0F;
  for (int c = 0; c < width; ++c) most = std::max(most, std::abs(row[c]));
  return most;
}

void scale(float* delta, int width, float factor) {
  for (int c = 0; c < width; c += lanes) store_lanes(delta + c, factor * load_lanes(delta + c));
}

}  // namespace

Method method_of(const std::string& name) {
  if (name == "fgm") return Method::fgm;
  if (name == "fgsm") return Method::fgsm;
  SPAR_ASSERT(name == "random");
  return Method::random;
}

Ball ball_of(const std::string& name) {
  if (name == "row_l2") return Ball::row_l2;
  if (name == "global_l2") return Ball::global_l2;
  SPAR_ASSERT(name == "linf");
  return Ball::linf;
}

Scope scope_of(const std::string& name) {
  if (name == "sample") return Scope::sample;
  if (name == "shard") return Scope::shard;
  if (name == "batch") return Scope::batch;
  SPAR_ASSERT(name == "data");
  return Scope::data;
}

void direction(const PerturbationSettings& settings, const float* gradient, const NoiseKey& key, int dim, int width,
               float* delta) {
  switch (settings.method) {
    case Method::fgm:
      if (delta != gradient) std::copy_n(gradient, width, delta);
      return;
    case Method::fgsm:
      return sign_of(gradient, width, delta);
    case Method::random:
      std::fill(delta + dim, delta + width, 0.0F);
      return noise(key, dim, delta);
  }
}

void scale_to_ball(const PerturbationSettings& settings, double global_squares, int width, float* delta) {
  double norm = 0.0;
  switch (settings.ball) {
    case Ball::row_l2:
      norm = std::sqrt(squared_norm(delta, width));
      break;
    case Ball::global_l2:
      norm = std::sqrt(global_squares);
      break;
    case Ball::linf:
      norm = static_cast<double>(largest(delta, width));
      break;
  }
  scale(delta, width, static_cast<float>(settings.epsilon / std::max(norm, settings.norm_floor)));
}

}  // namespace spar::adversary
