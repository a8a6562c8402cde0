#pragma once
#include <cstddef>
#include <cstdint>

#include "spar/comm/message_round.hpp"

namespace spar::table {

/// Lists travel in whole lines of 32-bit words.
inline constexpr std::size_t words_per_line = comm::line / sizeof(std::uint32_t);

inline std::size_t lines_of_words(std::size_t words) {
  return (words + words_per_line - 1) / words_per_line;
}

}  // namespace spar::table
