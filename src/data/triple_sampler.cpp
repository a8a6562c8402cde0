#include "spar/data/triple_sampler.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "spar/base/error.hpp"

namespace spar::data {

SlotFinder::SlotFinder(std::size_t most_keys) {
  const std::size_t size = std::bit_ceil(std::max<std::size_t>(16, 4 * most_keys));
  entries_.resize(size);
  shift_ = 64 - std::countr_zero(size);
}

void SlotFinder::clear() {
  count_ = 0;
  if (++generation_ == 0) {
    std::fill(entries_.begin(), entries_.end(), Entry{});
    generation_ = 1;
  }
}

std::int32_t SlotFinder::find(std::uint64_t key, bool& fresh) {
  // Fibonacci hashing (Knuth, volume 3, 6.4): the table is a quarter full at most, so probes are short.
  for (std::size_t place = (key * 0x9e3779b97f4a7c15ULL) >> shift_;; place = (place + 1) & (entries_.size() - 1)) {
    Entry& entry = entries_[place];
    if (entry.generation != generation_) {
      entry = {key, generation_, count_};
      fresh = true;
      return count_++;
    }
    if (entry.key == key) {
      fresh = false;
      return entry.slot;
    }
  }
}

TripleSampler::TripleSampler(const UserLists& lists, Index first_user, Index users, int shard, Index total_items,
                             std::uint64_t seed, Purpose order_purpose, Purpose negative_purpose)
    : lists_(&lists),
      first_user_(first_user),
      shard_(shard),
      total_items_(total_items),
      first_entry_(lists.offsets[static_cast<std::size_t>(first_user)]),
      order_stream_(seed, order_purpose),
      negative_stream_(seed, negative_purpose) {
  positives_ = lists.offsets[static_cast<std::size_t>(first_user + users)] - first_entry_;
  SPAR_ASSERT(positives_ < (std::int64_t{1} << 32));
  order_.resize(static_cast<std::size_t>(positives_));
  user_of_.reserve(order_.size());
  for (Index u = 0; u < users; ++u)
    user_of_.insert(user_of_.end(), lists.of(first_user + u).size(), static_cast<std::uint32_t>(u));
}

// Fisher and Yates' shuffle, from the unshuffled list each time: an epoch's order depends on no earlier epoch.
void TripleSampler::begin_epoch(std::int64_t epoch) {
  epoch_ = epoch;
  skipped_ = 0;
  std::iota(order_.begin(), order_.end(), 0U);
  RandomStream::Block block{};
  for (auto k = static_cast<std::uint32_t>(order_.size()); k > 1; --k) {
    const std::uint32_t pair = (k - 1) / 2;
    if ((k - 1) % 2 == 1 || k == order_.size())
      block = order_stream_.block(pair, static_cast<std::uint32_t>(shard_), 0, static_cast<std::uint32_t>(epoch));
    const auto other = bounded(word64(block, static_cast<int>((k - 1) % 2)), k);
    std::swap(order_[k - 1], order_[other]);
  }
}

bool TripleSampler::draw_negative(Index user, std::int64_t step, std::uint32_t place, ItemId& item) const {
  const auto owned = lists_->of(user);
  if (static_cast<Index>(owned.size()) >= total_items_) return false;
  const auto items = static_cast<std::uint64_t>(total_items_);
  for (std::uint32_t attempt = 0;; ++attempt) {
    const auto block = negative_stream_.block(place, (static_cast<std::uint32_t>(shard_) << 20) | attempt,
                                              static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(epoch_));
    for (int half = 0; half < 2; ++half) {
      item = static_cast<ItemId>(bounded(word64(block, half), items));
      if (!std::binary_search(owned.begin(), owned.end(), item)) return true;
    }
  }
}

void TripleSampler::sample(std::int64_t step, std::int64_t steps, MicroBatch& batch) {
  const std::int64_t begin = step * positives_ / steps;
  const std::int64_t end = (step + 1) * positives_ / steps;
  const auto most = static_cast<std::size_t>(most_triples(steps));
  if (batch.user.capacity() < most) {
    batch.user.reserve(most);
    batch.positive.reserve(most);
    batch.negative.reserve(most);
    batch.users.reserve(most);
    batch.items.reserve(2 * most);
  }
  if (most_found_ < most) {
    user_slots_ = SlotFinder(most);
    item_slots_ = SlotFinder(2 * most);
    most_found_ = most;
  }
  batch.user.clear();
  batch.positive.clear();
  batch.negative.clear();
  batch.users.clear();
  batch.items.clear();
  user_slots_.clear();
  item_slots_.clear();
  const auto slot = [](SlotFinder& finder, std::vector<Index>& rows, Index row) {
    bool fresh = false;
    const std::int32_t s = finder.find(static_cast<std::uint64_t>(row), fresh);
    if (fresh) rows.push_back(row);
    return s;
  };
  for (std::int64_t e = begin; e < end; ++e) {
    const std::uint32_t entry = order_[static_cast<std::size_t>(e)];
    const Index user = first_user_ + user_of_[entry];
    ItemId negative = 0;
    if (!draw_negative(user, step, static_cast<std::uint32_t>(e - begin), negative)) {
      ++skipped_;
      continue;
    }
    batch.user.push_back(slot(user_slots_, batch.users, user));
    batch.positive.push_back(
        slot(item_slots_, batch.items, lists_->items[static_cast<std::size_t>(first_entry_ + entry)]));
    batch.negative.push_back(slot(item_slots_, batch.items, negative));
  }
}

}  // namespace spar::data
