#include "spar/catalogue/item_slices.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "spar/base/error.hpp"

namespace spar::catalogue {

namespace {

using Messages = std::vector<std::vector<std::byte>>;

template <class T>
void append(std::vector<std::byte>& to, std::span<const T> values) {
  const auto bytes = std::as_bytes(values);
  to.insert(to.end(), bytes.begin(), bytes.end());
}

// Calls pass(first, end) for ranges of own users with at most `round` interactions, or one user with more, as often on
// every rank: with empty ranges where a rank has no more.
template <class Pass>
void in_rounds(const comm::Communicator& communicator, const data::UserLists& own, std::int64_t round, Pass&& pass) {
  std::vector<Index> bounds{0};
  for (Index u = 1; u <= own.users(); ++u) {
    const auto begin = own.offsets[static_cast<std::size_t>(bounds.back())];
    const bool full =
        u == own.users() || own.offsets[static_cast<std::size_t>(u) + 1] - begin > round || u - bounds.back() >= round;
    if (full) bounds.push_back(u);
  }
  const std::int64_t rounds = communicator.max(static_cast<std::int64_t>(bounds.size()) - 1);
  for (std::int64_t k = 0; k < rounds; ++k) {
    const auto last = bounds.size() - 1;
    pass(bounds[std::min(last, static_cast<std::size_t>(k))], bounds[std::min(last, static_cast<std::size_t>(k) + 1)]);
  }
}

/// A part of a user's list that belongs to one rank: places in the list of all own items.
struct Range {
  std::size_t begin;
  std::size_t end;
};

Range range_of(const data::UserLists& own, Index user, Index first, Index end) {
  const auto list = own.of(user);
  const auto low = std::lower_bound(list.begin(), list.end(), first, [](ItemId i, Index f) { return i < f; });
  const auto high = std::lower_bound(low, list.end(), end, [](ItemId i, Index e) { return i < e; });
  const auto base = static_cast<std::size_t>(own.offsets[static_cast<std::size_t>(user)]);
  return {base + static_cast<std::size_t>(low - list.begin()), base + static_cast<std::size_t>(high - list.begin())};
}

template <class T>
T take(const std::vector<std::byte>& from, std::size_t& at) {
  T value;
  std::memcpy(&value, from.data() + at, sizeof value);
  at += sizeof value;
  return value;
}

}  // namespace

ItemSlices::ItemSlices(const comm::Communicator& communicator, const ShardLayout& layout, Index users, Index items,
                       const data::UserLists& own, std::span<const float> values, std::int64_t round)
    : users_{users, layout.shards}, shards_(static_cast<std::size_t>(layout.shards)) {
  has_values_ = communicator.any(!values.empty());
  SPAR_ASSERT(!has_values_ || static_cast<std::int64_t>(values.size()) == own.count());
  const Partition partition{items, layout.shards};
  const auto each_rank = [&](auto&& body) {
    for (int r = 0; r < layout.ranks; ++r)
      body(r, partition.begin(layout.first_shard(r)), partition.begin(layout.end_shard(r)));
  };
  const auto ranks = static_cast<std::size_t>(layout.ranks);
  // First how many there are, so that each interaction is written once, where it stays.
  in_rounds(communicator, own, round, [&](Index first, Index end) {
    Messages outgoing(ranks);
    each_rank([&](int r, Index low, Index high) {
      auto& message = outgoing[static_cast<std::size_t>(r)];
      append<Index>(message, std::array{own.first_user + first});
      for (Index u = first; u < end; ++u) {
        const Range range = range_of(own, u, low, high);
        append<std::uint32_t>(message, std::array{static_cast<std::uint32_t>(range.end - range.begin)});
      }
    });
    for (const auto& message : communicator.exchange(outgoing)) {
      std::size_t at = 0;
      for (auto user = take<Index>(message, at); at < message.size(); ++user)
        add_list(user, take<std::uint32_t>(message, at));
    }
  });
  close_lists();
  if (has_values_) values_.resize(items_.size());
  in_rounds(communicator, own, round, [&](Index first, Index end) {
    Messages outgoing(ranks);
    each_rank([&](int r, Index low, Index high) {
      auto& message = outgoing[static_cast<std::size_t>(r)];
      append<Index>(message, std::array{own.first_user + first});
      for (const bool with_values : {false, true}) {
        if (with_values && !has_values_) continue;
        for (Index u = first; u < end; ++u) {
          const Range range = range_of(own, u, low, high);
          const std::size_t n = range.end - range.begin;
          if (with_values)
            append(message, values.subspan(range.begin, n));
          else
            append(message, std::span(own.items.data() + range.begin, n));
        }
      }
    });
    for (const auto& message : communicator.exchange(outgoing)) {
      std::size_t at = 0;
      const auto user = take<Index>(message, at);
      const std::size_t bytes = (message.size() - at) / (has_values_ ? 2 : 1);
      if (bytes == 0) continue;
      const Place first_list = find(user);
      const auto place = static_cast<std::size_t>(first_list.shard->begin_of(first_list.k));
      std::memcpy(items_.data() + place, message.data() + at, bytes);
      if (has_values_) std::memcpy(values_.data() + place, message.data() + at + bytes, bytes);
    }
  });
}

// A shard's users come from one rank, which sends them in ascending order.
void ItemSlices::add_list(Index user, std::uint32_t count) {
  if (count == 0) return;
  const int shard = users_.part_of(user);
  UserShard& lists = shards_[static_cast<std::size_t>(shard)];
  const std::uint64_t end = (lists.ends.empty() ? 0 : lists.ends.back()) + std::uint64_t{count};
  SPAR_ASSERT(end <= std::numeric_limits<std::uint32_t>::max());
  lists.users.push_back(static_cast<std::uint32_t>(user - users_.begin(shard)));
  lists.ends.push_back(static_cast<std::uint32_t>(end));
}

void ItemSlices::close_lists() {
  std::int64_t total = 0;
  for (UserShard& lists : shards_) {
    lists.begin = total;
    lists.users.shrink_to_fit();
    lists.ends.shrink_to_fit();
    if (!lists.ends.empty()) total += lists.ends.back();
  }
  items_.resize(static_cast<std::size_t>(total));
}

ItemSlices::Place ItemSlices::find(Index user) const {
  const int shard = users_.part_of(user);
  const UserShard& lists = shards_[static_cast<std::size_t>(shard)];
  const auto number = static_cast<std::uint32_t>(user - users_.begin(shard));
  const auto at = std::lower_bound(lists.users.begin(), lists.users.end(), number);
  return {&lists, static_cast<std::size_t>(at - lists.users.begin()), at != lists.users.end() && *at == number};
}

Cells ItemSlices::of(Index user) const {
  const Place place = find(user);
  if (!place.found) return {};
  const auto begin = static_cast<std::size_t>(place.shard->begin_of(place.k));
  const auto n = static_cast<std::size_t>(place.shard->begin_of(place.k + 1)) - begin;
  return {{items_.data() + begin, n}, has_values_ ? std::span(values_.data() + begin, n) : std::span<const float>{}};
}

Cells ItemSlices::of(Index user, Index first, Index end) const {
  const Cells all = of(user);
  const auto low = std::lower_bound(all.items.begin(), all.items.end(), first, [](ItemId i, Index f) { return i < f; });
  const auto high = std::lower_bound(low, all.items.end(), end, [](ItemId i, Index e) { return i < e; });
  const auto at = static_cast<std::size_t>(low - all.items.begin());
  const auto n = static_cast<std::size_t>(high - low);
  return {all.items.subspan(at, n), has_values_ ? all.values.subspan(at, n) : std::span<const float>{}};
}

std::vector<std::uint32_t> ItemSlices::counts(Index first, Index end) const {
  std::vector<std::uint32_t> counts(static_cast<std::size_t>(end - first));
  for (const ItemId item : items_) {
    if (item >= first && item < end) ++counts[static_cast<std::size_t>(item - first)];
  }
  return counts;
}

}  // namespace spar::catalogue
