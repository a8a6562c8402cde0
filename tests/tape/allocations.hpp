#pragma once
#include <cstdint>

namespace spar::test {

/// How often operator new was called in this program.
std::int64_t allocations_so_far();

}  // namespace spar::test
