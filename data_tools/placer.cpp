#include "data_tools/placer.hpp"

#include <algorithm>
#include <cstring>

#include "data_tools/filters.hpp"
#include "spar/base/sharding.hpp"

namespace spar::data_tools {

namespace {

void add_to(std::vector<std::int64_t>& sums, const std::vector<std::int64_t>& values) {
  for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += values[k];
}

}  // namespace

Tally::Tally() {
  for (auto& counts : group_counts) counts.resize(row_groups);
  candidate_counts.resize(row_groups);
}

void Tally::add(const Tally& other) {
  for (std::size_t part = 0; part < group_counts.size(); ++part) add_to(group_counts[part], other.group_counts[part]);
  add_to(candidate_counts, other.candidate_counts);
  users_without_train += other.users_without_train;
  users_without_test += other.users_without_test;
  held_out_validation += other.held_out_validation;
  held_out_test += other.held_out_test;
  first_time = std::min(first_time, other.first_time);
  last_time = std::max(last_time, other.last_time);
  candidates_in_test += other.candidates_in_test;
  candidates_repeated += other.candidates_repeated;
  candidates_dropped += other.candidates_dropped;
}

Placer::Placer(const Collection& collection, const RowMap& users, const RowMap& items, const ResolvedSplit& split)
    : collection_(collection),
      users_(users),
      items_(items),
      roles_(split.roles.get()),
      filtered_(collection.filtered),
      in_known_(items.number_of.size()),
      in_test_(items.number_of.size()) {
  if (!split.draws()) return;
  user_hashes_ = collection.users.hashes();
  item_hashes_ = collection.items.hashes();
}

std::size_t Placer::group_of(std::uint32_t row) const {
  return static_cast<std::size_t>(Partition{users_.rows(), row_groups}.part_of(row));
}

void Placer::place_block(std::size_t index, PlacerWorker& worker) {
  Block& block = worker.block;
  collection_.blocks->load(index, block);
  if (filtered_) compact(block);
  for (const std::int64_t time : std::span(block.times).first(collection_.schema.times ? block.items.size() : 0)) {
    worker.tally.first_time = std::min(worker.tally.first_time, time);
    worker.tally.last_time = std::max(worker.tally.last_time, time);
  }
  assign_parts(worker);
  const int bits = bits_of(block.users.size()) + 2 + bits_of(items_.number_of.size()) + bits_of(block.items.size());
  if (bits <= 64) {
    order_and_store(worker, worker.words, worker.more_words);
  } else {
    order_and_store(worker, worker.wide_words, worker.more_wide_words);
  }
  if (collection_.candidates) place_candidates(index, worker);
}

std::int64_t Placer::items_only_in_test() const {
  std::int64_t count = 0;
  for (std::size_t k = 0; k < in_test_.size(); ++k) count += in_test_[k] != 0 && in_known_[k] == 0 ? 1 : 0;
  return count;
}

/// Takes out what filters have dropped.
void Placer::compact(Block& block) const {
  std::size_t users = 0, to = 0, from = 0;
  for (std::size_t u = 0; u < block.users.size(); ++u) {
    const std::size_t begin = to;
    const std::size_t end = block.begins[u + 1];
    for (; from < end; ++from) {
      if (collection_.user_counts[block.users[u]] == 0 || !is_kept(collection_, block.items[from])) continue;
      block.items[to] = block.items[from];
      block.order[to] = block.order[from];
      block.parts[to] = block.parts[from];
      if (collection_.schema.ratings) block.ratings[to] = block.ratings[from];
      if (collection_.schema.times) block.times[to] = block.times[from];
      ++to;
    }
    if (to == begin) continue;
    block.users[users++] = block.users[u];
    block.begins[users] = to;
  }
  block.users.resize(users);
  block.begins.resize(users + 1);
  block.items.resize(to);
}

void Placer::assign_parts(PlacerWorker& worker) const {
  Block& block = worker.block;
  for (std::size_t u = 0; u < block.users.size(); ++u) {
    const std::size_t begin = block.begins[u];
    const std::size_t count = block.begins[u + 1] - begin;
    UserList list;
    if (!user_hashes_.empty()) list.user_hash = user_hashes_[block.users[u]];
    if (roles_ != nullptr) list.role = (*roles_)[block.users[u]];
    list.item_hashes = item_hashes_.data();
    list.items = {&block.items[begin], count};
    if (collection_.schema.times) list.times = {&block.times[begin], count};
    list.order = {&block.order[begin], count};
    list.parts = {&block.parts[begin], count};
    worker.splitter.assign(list);
  }
}

/// Sorts the block's interactions by user, part and item row, and stores each user's lists with the range of its row.
template <class Word>
void Placer::order_and_store(PlacerWorker& worker, std::vector<Word>& words, std::vector<Word>& more) {
  const Block& block = worker.block;
  const int place_bits = bits_of(block.items.size());
  const int item_bits = bits_of(items_.number_of.size());
  const int list_shift = place_bits + item_bits;
  words.resize(block.items.size());
  for (std::size_t u = 0; u < block.users.size(); ++u) {
    for (std::size_t at = block.begins[u]; at < block.begins[u + 1]; ++at) {
      const Word list = (Word{u} << 2) | block.parts[at];
      words[at] = (((list << item_bits) | items_.row_of[block.items[at]]) << place_bits) | at;
    }
  }
  radix_sort(words, more, place_bits, list_shift + 2 + bits_of(block.users.size()));

  const Word place_mask = (Word{1} << place_bits) - 1;
  const Word item_mask = (Word{1} << item_bits) - 1;
  const Schema& schema = collection_.schema;
  for (std::size_t u = 0; u < block.users.size(); ++u) {
    const std::size_t begin = block.begins[u];
    const std::size_t count = block.begins[u + 1] - begin;
    ListHead head{users_.row_of[block.users[u]], {}};
    char* items = worker.lists.begin_list(count * schema.value_bytes());
    char* ratings = items + count * 4;
    char* times = ratings + (schema.ratings ? count * 4 : 0);
    for (std::size_t k = 0; k < count; ++k) {
      const Word word = words[begin + k];
      const auto place = static_cast<std::size_t>(word & place_mask);
      const auto row = static_cast<std::uint32_t>((word >> place_bits) & item_mask);
      ++head.counts[static_cast<std::size_t>(word >> list_shift) & 3];
      std::memcpy(items + 4 * k, &row, 4);
      if (schema.ratings) std::memcpy(ratings + 4 * k, &block.ratings[place], 4);
      if (schema.times) std::memcpy(times + 8 * k, &block.times[place], 8);
    }
    count_list(head, items, worker.tally);
    if (worker.drawer && head.counts[static_cast<std::size_t>(data::Part::test)] > 0)
      draw_candidates(head.row, items, count, worker);
    worker.lists.end_list(users_.rows(), head);
  }
}

void Placer::count_list(const ListHead& head, const char* items, Tally& tally) {
  const std::size_t group = group_of(head.row);
  for (std::size_t part = 0; part < head.counts.size(); ++part) tally.group_counts[part][group] += head.counts[part];
  const bool held_out = head.counts[3] > 0;
  tally.held_out_validation += held_out && head.counts[1] > 0 ? 1 : 0;
  tally.held_out_test += held_out && head.counts[2] > 0 ? 1 : 0;
  tally.users_without_train += head.counts[0] == 0 && !held_out ? 1 : 0;
  tally.users_without_test += head.counts[2] == 0 ? 1 : 0;
  const std::size_t known = head.counts[0] + head.counts[1];
  for (std::size_t k = 0; k < known + head.counts[2]; ++k) {
    std::uint32_t row;
    std::memcpy(&row, items + 4 * k, 4);
    std::uint8_t& seen = k < known ? in_known_[row] : in_test_[row];
    if (__atomic_load_n(&seen, __ATOMIC_RELAXED) == 0) __atomic_store_n(&seen, std::uint8_t{1}, __ATOMIC_RELAXED);
  }
}

void Placer::draw_candidates(std::uint32_t user_row, const char* items, std::size_t count, PlacerWorker& worker) const {
  std::vector<std::uint32_t> own(count);
  std::memcpy(own.data(), items, 4 * count);
  store_candidates(user_row, worker.drawer->draw(user_row, own), worker);
}

void Placer::place_candidates(std::size_t index, PlacerWorker& worker) const {
  std::vector<Candidate>& candidates = worker.candidates;
  collection_.candidates->load(index, candidates);
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.user < b.user; });
  for (std::size_t begin = 0, end = 0; begin < candidates.size(); begin = end) {
    const std::uint32_t user = candidates[begin].user;
    while (end < candidates.size() && candidates[end].user == user) ++end;
    place_candidates_of(user, begin, end, worker);
  }
}

/// Candidates keep their order in the file; the user's own test items, repeats and dropped items go.
void Placer::place_candidates_of(std::uint32_t user, std::size_t begin, std::size_t end, PlacerWorker& worker) const {
  const Block& block = worker.block;
  Tally& tally = worker.tally;
  const auto found = std::lower_bound(block.users.begin(), block.users.end(), user);
  if (found == block.users.end() || *found != user || users_.row_of[user] == no_row) {
    tally.candidates_dropped += static_cast<std::int64_t>(end - begin);
    return;
  }
  const auto u = static_cast<std::size_t>(found - block.users.begin());
  std::vector<std::uint32_t> test_rows;
  for (std::size_t at = block.begins[u]; at < block.begins[u + 1]; ++at) {
    if (block.parts[at] == static_cast<std::uint8_t>(data::Part::test))
      test_rows.push_back(items_.row_of[block.items[at]]);
  }
  std::sort(test_rows.begin(), test_rows.end());
  std::vector<std::uint32_t> kept, seen;
  for (std::size_t k = begin; k < end; ++k) {
    const std::uint32_t row = items_.row_of[worker.candidates[k].item];
    const auto place = std::lower_bound(seen.begin(), seen.end(), row);
    if (row == no_row) {
      ++tally.candidates_dropped;
    } else if (std::binary_search(test_rows.begin(), test_rows.end(), row)) {
      ++tally.candidates_in_test;
    } else if (place != seen.end() && *place == row) {
      ++tally.candidates_repeated;
    } else {
      seen.insert(place, row);
      kept.push_back(row);
    }
  }
  store_candidates(users_.row_of[user], kept, worker);
}

void Placer::store_candidates(std::uint32_t user_row, std::span<const std::uint32_t> items,
                              PlacerWorker& worker) const {
  const ListHead head{user_row, {static_cast<std::uint32_t>(items.size()), 0, 0, 0}};
  char* at = worker.candidate_lists.begin_list(items.size_bytes());
  if (!items.empty()) std::memcpy(at, items.data(), items.size_bytes());
  worker.candidate_lists.end_list(users_.rows(), head);
  worker.tally.candidate_counts[group_of(head.row)] += head.counts[0];
}

}  // namespace spar::data_tools
