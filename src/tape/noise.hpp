#pragma once
#include <algorithm>

#include "spar/base/lanes.hpp"
#include "spar/base/random_lanes.hpp"
#include "spar/tape/noise.hpp"

namespace spar::tape::detail {

constexpr int noise_block = 64;  // columns whose words one call of block_lanes gives

/// Sixty-four random words for the columns [64 block, 64 block + 64) of one row.
inline BlockLanes noise_words(const RandomStream& stream, Index sample, int position, int block) {
  const auto s = static_cast<std::uint64_t>(sample);
  return block_lanes(stream, static_cast<std::uint32_t>(block) * lanes, static_cast<std::uint32_t>(position),
                     static_cast<std::uint32_t>(s), static_cast<std::uint32_t>(s >> 32));
}

/// Calls f(line of sixteen words, first column) along a row of `columns`.
template <class F>
void for_noise_lines(const RandomStream& stream, Index sample, int position, int columns, F&& f) {
  for (int c = 0; c < columns; c += noise_block) {
    const BlockLanes words = noise_words(stream, sample, position, c / noise_block);
    for (int w = 0; w < 4 && c + w * lanes < columns; ++w) f(words.word[w], c + w * lanes);
  }
}

/// A word below this is kept with probability `keep`.
inline std::uint32_t keep_threshold(double keep) {
  return static_cast<std::uint32_t>(std::clamp(keep * 0x1.0p32, 0.0, 0x1.0p32 - 1.0));
}

/// 1 where the word is below the threshold, 0 elsewhere.
template <class T>
inline Lanes<T> kept(WordLanes words, std::uint32_t threshold) {
  if constexpr (sizeof(T) == sizeof(std::uint32_t)) {
    return words < threshold ? all_lanes(T{1}) : Lanes<T>{};
  } else {
    Lanes<T> mask;
    for (int k = 0; k < lanes; ++k) mask[k] = words[k] < threshold ? T{1} : T{0};
    return mask;
  }
}

}  // namespace spar::tape::detail
