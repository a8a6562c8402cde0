#include "spar/data/alias_table.hpp"

#include <numeric>
#include <vector>

#include "spar/base/error.hpp"
#include "spar/base/random.hpp"

namespace spar::data {

AliasTable::AliasTable(std::span<const double> weights) {
  const std::size_t n = weights.size();
  SPAR_ASSERT(n < (std::size_t{1} << 32));
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (total == 0.0) return;
  std::vector<double> share(n);
  std::vector<std::uint32_t> poor;
  std::vector<std::uint32_t> rich;
  for (std::size_t k = 0; k < n; ++k) {
    share[k] = weights[k] * (static_cast<double>(n) / total);
    (share[k] < 1.0 ? poor : rich).push_back(static_cast<std::uint32_t>(k));
  }
  entries_.resize(n);
  while (!poor.empty() && !rich.empty()) {
    const std::uint32_t low = poor.back();
    const std::uint32_t high = rich.back();
    poor.pop_back();
    entries_[low] = {static_cast<std::uint32_t>(share[low] * 0x1.0p32), high};
    share[high] -= 1.0 - share[low];
    if (share[high] < 1.0) {
      rich.pop_back();
      poor.push_back(high);
    }
  }
  // What is left is whole but for rounding; what must not be drawn borrows whoever can be.
  std::uint32_t any = 0;
  while (weights[any] == 0.0) ++any;
  for (const auto& rest : {poor, rich}) {
    for (const std::uint32_t k : rest) entries_[k] = {0, weights[k] == 0.0 ? any : k};
  }
}

std::uint32_t AliasTable::draw(std::uint64_t word) const {
  const Word128 product = static_cast<Word128>(word) * entries_.size();
  const auto at = static_cast<std::size_t>(product >> 64);
  const auto rest = static_cast<std::uint32_t>(static_cast<std::uint64_t>(product) >> 32);
  const Entry& entry = entries_[at];
  return rest < entry.threshold ? static_cast<std::uint32_t>(at) : entry.alias;
}

}  // namespace spar::data
