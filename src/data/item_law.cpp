#include "spar/data/item_law.hpp"

#include <cmath>
#include <vector>

#include "spar/base/error.hpp"
#include "spar/base/random.hpp"

namespace spar::data {

ItemLaw::ItemLaw(Index items, LawOptions options) : drawable_(items), options_(options) {}

ItemLaw::ItemLaw(std::span<const std::uint32_t> counts, double power, LawOptions options) : options_(options) {
  const std::size_t n = counts.size();
  SPAR_ASSERT(power > 0.0 && n < (std::size_t{1} << 32));
  std::vector<double> share(n);
  double total = 0.0;
  for (std::size_t k = 0; k < n; ++k) {
    share[k] = counts[k] == 0 ? 0.0 : std::pow(static_cast<double>(counts[k]), power);
    drawable_ += counts[k] == 0 ? 0 : 1;
    total += share[k];
  }
  SPAR_ASSERT(total > 0.0);
  entries_.resize(n);
  std::vector<std::uint32_t> poor;
  std::vector<std::uint32_t> rich;
  for (std::size_t k = 0; k < n; ++k) {
    share[k] *= static_cast<double>(n) / total;
    (share[k] < 1.0 ? poor : rich).push_back(static_cast<std::uint32_t>(k));
  }
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
  // What is left is whole but for rounding; an item that must not be drawn borrows whoever can be.
  std::uint32_t any = 0;
  while (counts[any] == 0) ++any;
  for (const auto& rest : {poor, rich}) {
    for (const std::uint32_t k : rest) entries_[k] = {0, counts[k] == 0 ? any : k};
  }
}

ItemId ItemLaw::item(std::uint64_t word) const {
  if (entries_.empty()) return static_cast<ItemId>(bounded(word, static_cast<std::uint64_t>(drawable_)));
  const Word128 product = static_cast<Word128>(word) * entries_.size();
  const auto at = static_cast<std::size_t>(product >> 64);
  const auto rest = static_cast<std::uint32_t>(static_cast<std::uint64_t>(product) >> 32);
  const Entry& entry = entries_[at];
  return rest < entry.threshold ? static_cast<ItemId>(at) : entry.alias;
}

}  // namespace spar::data
