#include "spar/base/error.hpp"

#include <fmt/format.h>

namespace spar {

void broken_invariant(const char* condition, const char* file, int line) {
  throw Bug(
      fmt::format("broken invariant {} at {}:{}; this is a bug in spar, please report it", condition, file, line));
}

}  // namespace spar
