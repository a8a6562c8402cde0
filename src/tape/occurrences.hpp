#pragma once
#include <algorithm>
#include <cstdint>
#include <span>

#include "spar/tape/tape.hpp"

namespace spar::tape {

/// The occurrences of each row, ascending: a gradient row is built in registers from its own list and written once.
struct Occurrences {
  std::int32_t* head;  ///< by row, -1: none
  std::int32_t* next;  ///< by occurrence, -1: last
};

/// Of the slots of two lists, the second's numbered on from the first's.
inline Occurrences list_occurrences(Arena& arena, int rows, std::span<const std::int32_t> first,
                                    std::span<const std::int32_t> second) {
  const Occurrences o{arena.take<std::int32_t>(static_cast<std::size_t>(rows)),
                      arena.take<std::int32_t>(first.size() + second.size())};
  std::fill_n(o.head, rows, -1);
  const auto n = static_cast<std::int32_t>(first.size());
  for (auto t = static_cast<std::int32_t>(second.size()) - 1; t >= 0; --t) {
    o.next[n + t] = o.head[second[static_cast<std::size_t>(t)]];
    o.head[second[static_cast<std::size_t>(t)]] = n + t;
  }
  for (std::int32_t t = n - 1; t >= 0; --t) {
    o.next[t] = o.head[first[static_cast<std::size_t>(t)]];
    o.head[first[static_cast<std::size_t>(t)]] = t;
  }
  return o;
}

}  // namespace spar::tape
