#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "spar/comm/message_round.hpp"

namespace spar::table {

/// Lists travel in whole lines of 32-bit words.
inline constexpr std::size_t words_per_line = comm::line / sizeof(std::uint32_t);

inline constexpr std::ptrdiff_t floats_per_line = comm::line / sizeof(float);

inline std::size_t lines_of_words(std::size_t words) {
  return (words + words_per_line - 1) / words_per_line;
}

/// A list's first line says how far behind the begin of its sender's block the numbers lie that the list is about.
inline void write_offset(std::uint32_t* list, const std::byte* block, const float* numbers) {
  const auto offset = static_cast<std::uint64_t>(reinterpret_cast<const std::byte*>(numbers) - block);
  std::memcpy(list, &offset, sizeof offset);
}

template <class T>
T* at_offset(const std::uint32_t* list, std::byte* block) {
  std::uint64_t offset = 0;
  std::memcpy(&offset, list, sizeof offset);
  return reinterpret_cast<T*>(block + offset);
}

}  // namespace spar::table
