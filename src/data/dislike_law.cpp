#include "spar/data/dislike_law.hpp"

#include <utility>

#include "spar/base/error.hpp"

namespace spar::data {

DislikeLaw::DislikeLaw(std::shared_ptr<const UserLists> lists, double share) : lists_(std::move(lists)), share_(share) {
  SPAR_ASSERT(lists_ != nullptr && share >= 0.0 && share <= 1.0);
}

bool DislikeLaw::draw(Index user, const RandomStream::Block& block, ItemId& item) const {
  const auto list = lists_->of(user);
  if (list.empty() || unit(word64(block, 0)) >= share_) return false;
  item = list[bounded(word64(block, 1), list.size())];
  return true;
}

}  // namespace spar::data
