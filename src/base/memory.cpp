#include "spar/base/memory.hpp"

#include <cstdint>
#include <cstdlib>
#include <sys/mman.h>

#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar {

namespace {

std::size_t rounded(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

void* allocate_lines(std::size_t bytes) {
  if (bytes == 0) return nullptr;
  const std::size_t unit = bytes >= huge_page_bytes ? huge_page_bytes : line_bytes;
  void* memory = std::aligned_alloc(unit, rounded(bytes, unit));
  if (memory == nullptr)
    throw EnvironmentError(fmt::format("no memory: {:.2f} GB were refused", static_cast<double>(bytes) * 1e-9));
  if (unit == huge_page_bytes) madvise(memory, rounded(bytes, unit), MADV_HUGEPAGE);
  std::memset(memory, 0, rounded(bytes, unit));
  return memory;
}

void release_lines(void* memory, std::size_t) noexcept {
  std::free(memory);
}

}  // namespace spar
