#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

/// Sorting of words by a range of their bits.
namespace spar::data_tools {

/// Wide enough for three 32-bit fields and a position.
__extension__ using WideWord = unsigned __int128;

/// Bits that hold every number up to `value`.
inline int bits_of(std::uint64_t value) {
  return static_cast<int>(std::bit_width(value));
}

/// Stable sort by bits [low, high), least significant digits first (11 bits a pass). `scratch` is overwritten.
template <class Word>
void radix_sort(std::vector<Word>& words, std::vector<Word>& scratch, int low, int high) {
  constexpr int digit_bits = 11;
  constexpr std::size_t digits = std::size_t{1} << digit_bits;
  scratch.resize(words.size());
  std::array<std::size_t, digits> place;
  for (int shift = low; shift < high; shift += digit_bits) {
    const std::size_t mask = (std::size_t{1} << std::min(digit_bits, high - shift)) - 1;
    place.fill(0);
    for (const Word word : words) ++place[static_cast<std::size_t>(word >> shift) & mask];
    std::size_t sum = 0;
    for (std::size_t& count : place) {
      const std::size_t before = sum;
      sum += count;
      count = before;
    }
    for (const Word word : words) scratch[place[static_cast<std::size_t>(word >> shift) & mask]++] = word;
    words.swap(scratch);
  }
}

}  // namespace spar::data_tools
