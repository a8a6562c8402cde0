#include "data_tools/candidates.hpp"

#include <algorithm>

#include "spar/base/error.hpp"

namespace spar::data_tools {

CandidateDrawer::CandidateDrawer(Index items, int wanted, std::uint64_t seed)
    : items_(items), wanted_(static_cast<std::size_t>(wanted)), stream_(seed, Purpose::sampled_candidates) {
  SPAR_ASSERT(wanted > 0);
}

std::span<const std::uint32_t> CandidateDrawer::draw(std::uint32_t user, std::span<const std::uint32_t> own) {
  taken_.assign(own.begin(), own.end());
  std::ranges::sort(taken_);
  taken_.erase(std::unique(taken_.begin(), taken_.end()), taken_.end());
  drawn_.clear();
  const std::size_t count = std::min(wanted_, static_cast<std::size_t>(items_) - taken_.size());
  for (std::uint32_t attempt = 0; drawn_.size() < count; ++attempt) {
    const auto block = stream_.block(user, attempt);
    const auto item = static_cast<std::uint32_t>(bounded(word64(block, 0), static_cast<std::uint64_t>(items_)));
    const auto place = std::ranges::lower_bound(taken_, item);
    if (place != taken_.end() && *place == item) continue;
    taken_.insert(place, item);
    drawn_.push_back(item);
  }
  return drawn_;
}

}  // namespace spar::data_tools
