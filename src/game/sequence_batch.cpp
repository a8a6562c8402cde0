#include "spar/game/sequence_batch.hpp"

#include <algorithm>

#include "spar/base/error.hpp"

namespace spar::game {

namespace {

constexpr std::size_t item_table = 0;

void reset(NeuralBatch& batch, std::size_t roles, std::size_t sequences, int length) {
  batch.rows.resize(1);
  batch.rows[item_table].clear();
  batch.slots.resize(roles);
  for (auto& slots : batch.slots) slots.clear();
  batch.labels.clear();
  batch.samples.clear();
  batch.examples = 0;
  batch.length = length;
  const std::size_t positions = sequences * static_cast<std::size_t>(length);
  batch.slots[SequenceRoles::inputs].assign(positions, 0);
  batch.valid.assign(positions, 0);
}

void make_room(data::SlotFinder& items, std::size_t& most, std::size_t keys) {
  if (keys > most) {
    items = data::SlotFinder(keys);
    most = keys;
  }
  items.clear();
}

std::int32_t slot_of(data::SlotFinder& items, ItemId item, NeuralBatch& batch) {
  bool fresh = false;
  const std::int32_t slot = items.find(item, fresh);
  if (fresh) batch.rows[item_table].push_back(item);
  return slot;
}

// Puts items at the end of sequence `row`.
void place_inputs(data::SlotFinder& finder, std::span<const ItemId> items, int row, NeuralBatch& batch) {
  std::size_t position = (static_cast<std::size_t>(row) + 1) * static_cast<std::size_t>(batch.length) - items.size();
  for (const ItemId item : items) {
    batch.slots[SequenceRoles::inputs][position] = slot_of(finder, item, batch);
    batch.valid[position] = 1;
    ++position;
  }
}

}  // namespace

void HistoryBatcher::fill(std::span<const std::vector<ItemId>> histories, NeuralBatch& batch) {
  const auto most = static_cast<std::size_t>(length_);
  std::size_t longest = 0;
  for (const auto& history : histories) longest = std::max(longest, std::min(history.size(), most));
  make_room(items_, most_, histories.size() * longest);
  reset(batch, SequenceRoles::places + 1, histories.size(), static_cast<int>(longest));
  for (std::size_t k = 0; k < histories.size(); ++k) {
    const std::span<const ItemId> history(histories[k]);
    SPAR_ASSERT(!history.empty());
    place_inputs(items_, history.last(std::min(history.size(), most)), static_cast<int>(k), batch);
    batch.slots[SequenceRoles::places].push_back(static_cast<std::int32_t>((k + 1) * longest - 1));
  }
  batch.examples = static_cast<int>(histories.size());
}

SequenceSource::SequenceSource(const data::UserLists& lists, Index first_user, Index users, int shard,
                               Index total_items, std::uint64_t seed, int length, int negatives)
    : lists_(&lists),
      shard_(shard),
      total_items_(total_items),
      length_(length),
      negatives_(negatives),
      order_stream_(seed, Purpose::shuffle),
      negative_stream_(seed, Purpose::negatives) {
  SPAR_ASSERT(lists.by_time.size() == lists.items.size());
  for (Index user = first_user; user < first_user + users; ++user) {
    if (lists.of(user).size() >= 2) all_users_.push_back(static_cast<std::uint32_t>(user));
  }
  users_ = all_users_;
}

// Fisher and Yates' shuffle, from the unshuffled list each time: an epoch's order depends on no earlier epoch.
void SequenceSource::begin_epoch(std::int64_t epoch) {
  epoch_ = epoch;
  skipped_ = 0;
  users_ = all_users_;
  for (auto k = static_cast<std::uint32_t>(users_.size()); k > 1; --k) {
    const auto block =
        order_stream_.block(k - 1, static_cast<std::uint32_t>(shard_), 0, static_cast<std::uint32_t>(epoch));
    std::swap(users_[k - 1], users_[bounded(word64(block, 0), k)]);
  }
}

ItemId SequenceSource::draw_negative(Index user, std::int64_t step, std::uint32_t place) const {
  for (std::uint32_t attempt = 0;; ++attempt) {
    const auto block = negative_stream_.block(place, (static_cast<std::uint32_t>(shard_) << 20) | attempt,
                                              static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(epoch_));
    for (int half = 0; half < 2; ++half) {
      const auto item = static_cast<ItemId>(bounded(word64(block, half), static_cast<std::uint64_t>(total_items_)));
      if (!lists_->contains(user, item)) return item;
    }
  }
}

void SequenceSource::add(Index user, int row, std::int64_t step, NeuralBatch& batch) {
  const auto history = lists_->history(user);
  const std::size_t targets = std::min(history.size() - 1, static_cast<std::size_t>(length_));
  place_inputs(items_, history.last(targets + 1).first(targets), row, batch);
  const auto newest = history.last(targets);
  const std::int32_t first = (row + 1) * batch.length - static_cast<std::int32_t>(targets);
  for (std::size_t k = 0; k < targets; ++k) {
    const auto place =
        static_cast<std::uint32_t>(batch.slots[SequenceRoles::places].size()) * static_cast<std::uint32_t>(negatives_);
    batch.slots[SequenceRoles::places].push_back(first + static_cast<std::int32_t>(k));
    batch.slots[SequenceRoles::targets].push_back(slot_of(items_, newest[k], batch));
    for (int n = 0; n < negatives_; ++n) {
      const ItemId negative = draw_negative(user, step, place + static_cast<std::uint32_t>(n));
      batch.slots[SequenceRoles::first_negative + static_cast<std::size_t>(n)].push_back(
          slot_of(items_, negative, batch));
    }
  }
  batch.samples.push_back(lists_->first_user + user);
}

void SequenceSource::draw(std::int64_t step, std::int64_t steps, NeuralBatch& batch) {
  std::vector<Index> users;
  std::size_t longest = 0;
  for (std::int64_t e = step * entries() / steps; e < (step + 1) * entries() / steps; ++e) {
    const auto user = static_cast<Index>(users_[static_cast<std::size_t>(e)]);
    const std::size_t items = lists_->of(user).size();
    if (static_cast<Index>(items) >= total_items_) {
      ++skipped_;
      continue;
    }
    users.push_back(user);
    longest = std::max(longest, std::min(items - 1, static_cast<std::size_t>(length_)));
  }
  const auto most = static_cast<std::size_t>(most_rows_per_entry()) * users.size();
  make_room(items_, most_, std::min(most, static_cast<std::size_t>(total_items_)));
  reset(batch, SequenceRoles::first_negative + static_cast<std::size_t>(negatives_), users.size(),
        static_cast<int>(longest));
  for (std::size_t k = 0; k < users.size(); ++k) add(users[k], static_cast<int>(k), step, batch);
  batch.examples = static_cast<int>(batch.slots[SequenceRoles::places].size());
}

}  // namespace spar::game
