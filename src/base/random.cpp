#include "spar/base/random.hpp"

#include <cmath>
#include <numbers>

namespace spar {

namespace {

// SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014): neighbouring seeds and purposes get unrelated keys.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

r123::Philox4x32::key_type RandomStream::derive_key(std::uint64_t seed, Purpose purpose) {
  const std::uint64_t key = mix(mix(seed) ^ static_cast<std::uint64_t>(purpose));
  return {{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)}};
}

std::array<double, 2> normal_pair(const RandomStream::Block& block) {
  const double radius = std::sqrt(-2.0 * std::log(open_unit(word64(block, 0))));
  const double angle = 2.0 * std::numbers::pi * unit(word64(block, 1));
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

}  // namespace spar
