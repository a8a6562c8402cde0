#include "spar/catalogue/count.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "spar/catalogue/lanes.hpp"

namespace spar::catalogue {

namespace {

std::uint32_t sum(const IntLanes& counts) {
  std::int32_t total = 0;
  for (int k = 0; k < lanes; ++k) total += counts[k];
  return static_cast<std::uint32_t>(total);
}

template <std::size_t... t>
void count_few(const float* scores, Index count, const float* thresholds, std::uint32_t* above,
               std::index_sequence<t...>) {
  const std::array<Lanes, sizeof...(t)> threshold = {broadcast(thresholds[t])...};
  std::array<IntLanes, sizeof...(t)> counts{};
  for (Index k = 0; k < count; k += lanes) {
    const Lanes score = load(scores + k);
    ((std::get<t>(counts) = count_greater(std::get<t>(counts), score, std::get<t>(threshold))), ...);
  }
  ((above[t] += sum(std::get<t>(counts))), ...);
}

}  // namespace

void count_above(const float* scores, Index count, std::span<const float> thresholds, std::uint32_t* above) {
  const std::size_t n = thresholds.size();
  std::size_t t = 0;
  for (; t + 4 <= n; t += 4) count_few(scores, count, &thresholds[t], above + t, std::make_index_sequence<4>{});
  if (n - t == 3) count_few(scores, count, &thresholds[t], above + t, std::make_index_sequence<3>{});
  if (n - t == 2) count_few(scores, count, &thresholds[t], above + t, std::make_index_sequence<2>{});
  if (n - t == 1) count_few(scores, count, &thresholds[t], above + t, std::make_index_sequence<1>{});
}

std::uint32_t count_equal(const float* scores, Index count, float value) {
  std::uint32_t equal = 0;
  for (Index k = 0; k < count; ++k) equal += scores[k] == value ? 1U : 0U;
  return equal;
}

float below(float x) {
  return std::nextafter(x, -std::numeric_limits<float>::infinity());
}

}  // namespace spar::catalogue
