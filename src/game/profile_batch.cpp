#include "spar/game/profile_batch.hpp"

#include <algorithm>
#include <cstring>

#include "spar/base/threads.hpp"

namespace spar::game {

namespace {

void add_words(std::span<const std::uint32_t> words, std::vector<std::byte>& to) {
  const auto bytes = std::as_bytes(words);
  to.insert(to.end(), bytes.begin(), bytes.end());
}

std::vector<std::uint32_t> words_of(const std::vector<std::byte>& bytes) {
  std::vector<std::uint32_t> words(bytes.size() / sizeof(std::uint32_t));
  if (!words.empty()) std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

// The bags of `targets` and the distinct rows of their members, in order of first appearance.
template <class ListOf>
void fill_bags(const std::vector<Index>& targets, ListOf&& list_of, data::SlotFinder& finder, std::size_t& most,
               BagLists& bags, std::vector<Index>& rows) {
  std::size_t members = 0;
  for (const Index target : targets) members += list_of(target).size();
  if (members > most) {
    most = members + members / 4;
    finder = data::SlotFinder(most);
  }
  finder.clear();
  rows.clear();
  bags.offsets.assign(1, 0);
  bags.slots.clear();
  bags.slots.reserve(members);
  for (const Index target : targets) {
    for (const ItemId member : list_of(target)) {
      bool fresh = false;
      bags.slots.push_back(finder.find(member, fresh));
      if (fresh) rows.push_back(member);
    }
    bags.offsets.push_back(static_cast<std::int64_t>(bags.slots.size()));
  }
}

}  // namespace

ProfileBatcher::ProfileBatcher(const comm::Communicator& communicator, const data::UserLists& users,
                               const data::UserLists& items, const Partition& item_rows)
    : communicator_(communicator),
      users_(users),
      items_(items),
      item_rows_(item_rows),
      layout_{item_rows.parts, communicator.size()} {}

// Asks the owners for the lists of the items that are not this rank's.
void ProfileBatcher::fetch(std::span<NeuralBatch* const> batches) {
  wanted_.clear();
  for (const NeuralBatch* batch : batches) {
    for (const Index item : batch->rows[1]) {
      if (item < items_.first_user || item >= items_.first_user + items_.users())
        wanted_.push_back(static_cast<ItemId>(item));
    }
  }
  std::sort(wanted_.begin(), wanted_.end());
  wanted_.erase(std::unique(wanted_.begin(), wanted_.end()), wanted_.end());
  std::vector<std::vector<std::byte>> outgoing(static_cast<std::size_t>(communicator_.size()));
  for (const ItemId item : wanted_)
    add_words({&item, 1}, outgoing[static_cast<std::size_t>(layout_.rank_of(item_rows_.part_of(item)))]);
  std::vector<std::vector<std::byte>> answers;
  for (const auto& asked : communicator_.exchange(outgoing)) {
    std::vector<std::byte>& answer = answers.emplace_back();
    for (const ItemId item : words_of(asked)) {
      const auto list = items_.of(item - items_.first_user);
      const auto count = static_cast<std::uint32_t>(list.size());
      add_words({&count, 1}, answer);
      add_words(list, answer);
    }
  }
  // Ranks hold ascending items, so their answers in turn are those of the ascending items that were asked for.
  offsets_.assign(1, 0);
  members_.clear();
  for (const auto& answer : communicator_.exchange(answers)) {
    const auto words = words_of(answer);
    for (std::size_t k = 0; k < words.size();) {
      const auto begin = words.begin() + static_cast<std::ptrdiff_t>(k) + 1;
      members_.insert(members_.end(), begin, begin + words[k]);
      offsets_.push_back(members_.size());
      k += 1 + words[k];
    }
  }
}

std::span<const ItemId> ProfileBatcher::users_of(Index item) const {
  const Index local = item - items_.first_user;
  if (local >= 0 && local < items_.users()) return items_.of(local);
  const auto at = static_cast<std::size_t>(std::lower_bound(wanted_.begin(), wanted_.end(), static_cast<ItemId>(item)) -
                                           wanted_.begin());
  return {members_.data() + offsets_[at], offsets_[at + 1] - offsets_[at]};
}

void ProfileBatcher::fill(NeuralBatch& batch, std::size_t shard) {
  batch.bags.resize(2);
  std::vector<Index> of_users;
  std::vector<Index> of_items;
  fill_bags(
      batch.rows[0], [&](Index user) { return users_.of(user - users_.first_user); }, finders_[shard], most_[shard],
      batch.bags[0], of_users);
  fill_bags(
      batch.rows[1], [&](Index item) { return users_of(item); }, finders_[shard], most_[shard], batch.bags[1],
      of_items);
  batch.rows[0] = std::move(of_items);
  batch.rows[1] = std::move(of_users);
}

void ProfileBatcher::complete(std::span<NeuralBatch* const> batches) {
  if (communicator_.size() > 1) fetch(batches);
  finders_.resize(batches.size());
  most_.resize(batches.size());
  parallel_for(static_cast<int>(batches.size()), [&](int k) {
    const auto at = static_cast<std::size_t>(k);
    fill(*batches[at], at);
  });
}

}  // namespace spar::game
