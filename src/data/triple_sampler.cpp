#include "spar/data/triple_sampler.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "spar/base/error.hpp"
#include "spar/base/random_lanes.hpp"
#include "spar/base/sharding.hpp"

namespace spar::data {

SlotFinder::SlotFinder(std::size_t most_keys) {
  const std::size_t size = std::bit_ceil(std::max<std::size_t>(16, 4 * most_keys));
  SPAR_ASSERT(size <= std::size_t{1} << 31);
  entries_.resize(size);
  shift_ = 32 - std::countr_zero(size);
  mask_ = static_cast<std::uint32_t>(size - 1);
}

void SlotFinder::clear() {
  base_ += count_;
  count_ = 0;
  if (base_ >= std::uint32_t{1} << 31) {
    std::fill(entries_.begin(), entries_.end(), Entry{});
    base_ = 1;
  }
}

namespace {

// The distinct rows of a micro-batch, one pair of finders for each thread: small enough to stay in its first cache.
struct Finders {
  SlotFinder users;
  SlotFinder items;
  std::size_t most = 0;

  void prepare(std::size_t triples) {
    if (triples > most) {
      users = SlotFinder(triples);
      items = SlotFinder(2 * triples);
      most = triples;
    }
    users.clear();
    items.clear();
  }
};

Finders& finders() {
  thread_local Finders of_this_thread;
  return of_this_thread;
}

constexpr std::size_t items_per_line = 16;

// Lanes of the line around `at` in which `item` stands among the `count` items from `first` on.
[[gnu::always_inline]] inline WordLanes equal_lanes(const ItemId* at, const ItemId* first, std::size_t count,
                                                    ItemId item) {
  const WordLanes place = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const auto* line = reinterpret_cast<const ItemId*>(reinterpret_cast<std::uintptr_t>(at) & ~std::uintptr_t{63});
  typedef ItemId Line __attribute__((vector_size(64), may_alias));
  const auto same = (WordLanes)(*reinterpret_cast<const Line*>(line) == item);
  // Before the list the difference is negative, which is large without a sign.
  return same & (WordLanes)(place + static_cast<std::uint32_t>(line - first) < static_cast<std::uint32_t>(count));
}

[[gnu::always_inline]] inline bool any_lane(WordLanes found) {
#ifdef __AVX512F__
  return _mm512_test_epi32_mask((__m512i)found, (__m512i)found) != 0;
#else
  std::uint64_t words[8];
  std::memcpy(words, &found, sizeof words);
  return (words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6] | words[7]) != 0;
#endif
}

// Whether an ascending list holds an item: halves without branches down to 32 items, then compares the lines of the
// first, the seventeenth and the last of them, which are all that these can lie in; all three even where they are one,
// since a branch would be guessed wrong too often. Reads whole lines, and no other lines than the list's own: far away
// each would be waited for.
[[gnu::always_inline]] inline bool has_item(const ItemId* first, std::size_t count, ItemId item) {
  while (count > 2 * items_per_line) {
    const std::size_t half = count / 2;
    first += first[half] <= item ? half : 0;
    count -= half;
  }
  const std::size_t last = count - (count > 0 ? 1 : 0);
  return any_lane(equal_lanes(first, first, count, item) |
                  equal_lanes(first + std::min(items_per_line, last), first, count, item) |
                  equal_lanes(first + last, first, count, item));
}

}  // namespace

TripleSampler::TripleSampler(const UserLists& lists, Index first_user, Index users, int shard, Index total_items,
                             std::uint64_t seed, Purpose order_purpose, Purpose negative_purpose)
    : lists_(&lists),
      first_user_(first_user),
      shard_(shard),
      total_items_(total_items),
      users_(users),
      order_stream_(seed, order_purpose),
      negative_stream_(seed, negative_purpose) {
  positives_ =
      lists.offsets[static_cast<std::size_t>(first_user + users)] - lists.offsets[static_cast<std::size_t>(first_user)];
  SPAR_ASSERT(positives_ < (std::int64_t{1} << 32));
  order_.resize(static_cast<std::size_t>(positives_));
}

void TripleSampler::fill_order() {
  auto out = order_.begin();
  for (Index u = 0; u < users_; ++u) {
    for (const ItemId item : lists_->of(first_user_ + u)) *out++ = {static_cast<std::uint32_t>(u), item};
  }
}

// Fisher and Yates' shuffle, from the unshuffled list each time: an epoch's order depends on no earlier epoch. Place
// k - 1 takes half (k - 1) % 2 of block (k - 1) / 2; blocks are made sixteen at a time.
void TripleSampler::begin_epoch(std::int64_t epoch) {
  epoch_ = epoch;
  skipped_ = 0;
  fill_order();
  BlockLanes blocks{};
  std::uint32_t first_block = ~0U;
  for (auto k = static_cast<std::uint32_t>(order_.size()); k > 1; --k) {
    const std::uint32_t pair = (k - 1) / 2;
    if (pair / 16 * 16 != first_block) {
      first_block = pair / 16 * 16;
      blocks = block_lanes(order_stream_, first_block, static_cast<std::uint32_t>(shard_), 0,
                           static_cast<std::uint32_t>(epoch));
    }
    const int half = static_cast<int>((k - 1) % 2);
    const std::uint64_t word =
        blocks.word[2 * half][pair % 16] | (static_cast<std::uint64_t>(blocks.word[2 * half + 1][pair % 16]) << 32);
    std::swap(order_[k - 1], order_[bounded(word, k)]);
  }
}

[[gnu::always_inline]] inline bool TripleSampler::has(Index user, ItemId item) const {
  const auto list = lists_->of(user);
  // The line of a list's end is read whole, so it must not be the last of all lists.
  const bool room = list.data() + list.size() + items_per_line <= lists_->items.data() + lists_->items.size();
  return room ? has_item(list.data(), list.size(), item) : std::binary_search(list.begin(), list.end(), item);
}

bool TripleSampler::owns(Index user, ItemId item) const {
  return has(user, item);
}

// Apart from all attempts, so that what the law draws does not depend on whether dislikes stand before it.
bool TripleSampler::draw_dislike(Index user, std::int64_t step, std::uint32_t place, ItemId& item) const {
  constexpr std::uint32_t dislikes_mark = 1U << 31;
  static_assert((static_cast<std::uint32_t>(row_groups) << 20) <= dislikes_mark);
  if (!dislikes_->knows(user)) return false;
  const auto block = negative_stream_.block(place, dislikes_mark | (static_cast<std::uint32_t>(shard_) << 20),
                                            static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(epoch_));
  return dislikes_->draw(user, block, item);
}

bool TripleSampler::draw_negative(Index user, std::int64_t step, std::uint32_t place, ItemId& item) const {
  if (dislikes_ != nullptr && draw_dislike(user, step, place, item)) return true;
  if (lacks_negatives(user)) return false;
  if (served_.items != nullptr) {
    item = *served_.at(step, place);
    return true;
  }
  const Popularity* popular = popularity();
  for (std::uint32_t k = 0;; ++k) {
    const auto block = attempt(step, place, k);
    // A uniform draw takes half a block.
    for (int half = 0; half < (popular != nullptr ? 1 : 2); ++half) {
      item = popular != nullptr ? popular->item(block) : uniform(word64(block, half));
      if (!rejects_ || !has(user, item)) return true;
    }
  }
}

// The first draw of draw_negative for sixteen places from `place` on.
void TripleSampler::draw_first(std::int64_t step, std::uint32_t place, ItemId* items) const {
  if (served_.items != nullptr) {
    std::copy_n(served_.at(step, place), 16, items);
    return;
  }
  const auto blocks = block_lanes(negative_stream_, place, static_cast<std::uint32_t>(shard_) << 20,
                                  static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(epoch_));
  std::uint32_t words[4][16];
  std::memcpy(words, &blocks, sizeof words);
  const Popularity* popular = popularity();
  for (int k = 0; k < 16; ++k) {
    items[k] = popular != nullptr ? popular->item({words[0][k], words[1][k], words[2][k], words[3][k]})
                                  : uniform(words[0][k] | (static_cast<std::uint64_t>(words[1][k]) << 32));
  }
}

// Asks early for the lists of positives to come, of this sampler and then of the next one: first for their place in the
// order, then for where the lists lie, then for their first lines.
class TripleSampler::Lookahead {
 public:
  Lookahead(const TripleSampler& now, std::int64_t end, const TripleSampler& next, std::int64_t next_begin)
      : now_(now.order_.data()),
        next_(next.order_.data() + next_begin - end),
        now_first_(now.first_user_),
        next_first_(next.first_user_),
        end_(end),
        last_(end - next_begin + static_cast<std::int64_t>(next.order_.size()) - 1),
        offsets_(now.lists_->offsets.data()),
        items_(now.lists_->items.data()) {}

  [[gnu::always_inline]] void ask(std::int64_t entry) const {
    constexpr std::int64_t order_ahead = 64;
    constexpr std::int64_t offsets_ahead = 48;
    constexpr std::int64_t lists_ahead = 24;
    __builtin_prefetch(at(entry + order_ahead));
    const std::int64_t* far = offsets_ + user_of(entry + offsets_ahead);
    __builtin_prefetch(far);
    __builtin_prefetch(far + 1);
    const std::int64_t* offset = offsets_ + user_of(entry + lists_ahead);
    const ItemId* list = items_ + offset[0];
    const std::int64_t count = offset[1] - offset[0];
    __builtin_prefetch(list);
    __builtin_prefetch(list + count / 2);
    __builtin_prefetch(list + count - 1);
  }

 private:
  // Past the next sampler's last positive that one stands in.
  [[gnu::always_inline]] const Positive* at(std::int64_t entry) const {
    return (entry < end_ ? now_ : next_) + std::min(entry, last_);
  }
  [[gnu::always_inline]] Index user_of(std::int64_t entry) const {
    return (entry < end_ ? now_first_ : next_first_) + at(entry)->user;
  }

  const Positive* now_;
  const Positive* next_;  // so that entry end_ is the next sampler's first
  Index now_first_;
  Index next_first_;
  std::int64_t end_;
  std::int64_t last_;
  const std::int64_t* offsets_;
  const ItemId* items_;
};

void TripleSampler::sample(std::int64_t step, std::int64_t steps, MicroBatch& batch, const TripleSampler* next) {
  dislikes_ == nullptr ? sample_by<false>(step, steps, batch, next) : sample_by<true>(step, steps, batch, next);
}

template <bool by_dislikes>
void TripleSampler::sample_by(std::int64_t step, std::int64_t steps, MicroBatch& batch, const TripleSampler* next) {
  const std::int64_t begin = step * positives_ / steps;
  const std::int64_t end = (step + 1) * positives_ / steps;
  const auto most = static_cast<std::size_t>(most_triples(steps));
  batch.resize(most, most, 2 * most);
  Finders& distinct = finders();
  distinct.prepare(most);
  if (next == nullptr || next->positives_ == 0) next = this;
  const Lookahead lookahead(*this, end, *next, next == this ? end : step * next->positives_ / steps);
  const auto slot = [](SlotFinder& finder, Index* rows, std::size_t& count, std::uint32_t key, Index row) {
    bool fresh = false;
    const std::int32_t s = finder.find(key, fresh);
    rows[count] = row;
    count += fresh ? 1 : 0;
    return s;
  };
  ItemId drawn[16];
  std::size_t triples = 0, users = 0, items = 0;
  for (std::int64_t e = begin; e < end; ++e) {
    lookahead.ask(e);
    const auto place = static_cast<std::uint32_t>(e - begin);
    if (place % 16 == 0) draw_first(step, place, drawn);
    const Positive positive = order_[static_cast<std::size_t>(e)];
    const Index user = first_user_ + positive.user;
    ItemId negative = drawn[place % 16];
    const bool disliked = by_dislikes && draw_dislike(user, step, place, negative);
    if (!disliked && rejects_ && has(user, negative) && !draw_negative(user, step, place, negative)) {
      ++skipped_;
      continue;
    }
    batch.user[triples] = slot(distinct.users, batch.users.data(), users, positive.user, user);
    batch.positive[triples] = slot(distinct.items, batch.items.data(), items, positive.item, positive.item);
    batch.negative[triples] = slot(distinct.items, batch.items.data(), items, negative, negative);
    ++triples;
  }
  batch.resize(triples, users, items);
}

}  // namespace spar::data
