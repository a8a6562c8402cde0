#include "spar/data/transpose.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "spar/base/error.hpp"

namespace spar::data {

namespace {

struct Pair {
  ItemId item;
  std::uint32_t user;
};

constexpr std::size_t pairs_per_piece = std::size_t{1} << 22;

void add_pair(const Pair& pair, std::vector<std::byte>& to) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&pair);
  to.insert(to.end(), bytes, bytes + sizeof pair);
}

// The pairs of this rank's items, of all ranks; in ascending order of users, since pieces come by rank and are in
// order.
std::vector<Pair> collect(const comm::Communicator& communicator, const UserLists& by_user, const Partition& items) {
  const ShardLayout layout{items.parts, communicator.size()};
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const auto count = by_user.items.size();
  const auto pieces = communicator.max(static_cast<std::int64_t>((count + pairs_per_piece - 1) / pairs_per_piece));
  std::vector<std::vector<Pair>> by_rank(ranks);
  std::size_t k = 0;
  Index user = 0;
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    std::vector<std::vector<std::byte>> outgoing(ranks);
    const std::size_t end = std::min(count, k + pairs_per_piece);
    for (; k < end; ++k) {
      while (static_cast<std::size_t>(by_user.offsets[static_cast<std::size_t>(user) + 1]) <= k) ++user;
      const ItemId item = by_user.items[k];
      add_pair({item, static_cast<std::uint32_t>(by_user.first_user + user)},
               outgoing[static_cast<std::size_t>(layout.rank_of(items.part_of(item)))]);
    }
    const auto incoming = communicator.exchange(outgoing);
    for (std::size_t r = 0; r < ranks; ++r) {
      const std::size_t before = by_rank[r].size();
      by_rank[r].resize(before + incoming[r].size() / sizeof(Pair));
      if (!incoming[r].empty()) std::memcpy(by_rank[r].data() + before, incoming[r].data(), incoming[r].size());
    }
  }
  std::vector<Pair> all;
  for (auto& part : by_rank) {
    all.insert(all.end(), part.begin(), part.end());
    part = {};
  }
  return all;
}

}  // namespace

UserLists transpose(const comm::Communicator& communicator, const UserLists& by_user, const Partition& items) {
  SPAR_ASSERT(by_user.first_user + by_user.users() <= Index{std::numeric_limits<std::uint32_t>::max()});
  const ShardLayout layout{items.parts, communicator.size()};
  const Index first = items.begin(layout.first_shard(communicator.rank()));
  const Index end = items.begin(layout.end_shard(communicator.rank()));
  const std::vector<Pair> pairs = collect(communicator, by_user, items);
  UserLists by_item;
  by_item.first_user = first;
  by_item.offsets.assign(static_cast<std::size_t>(end - first) + 1, 0);
  for (const Pair& pair : pairs) ++by_item.offsets[static_cast<std::size_t>(pair.item - first) + 1];
  for (std::size_t k = 1; k < by_item.offsets.size(); ++k) by_item.offsets[k] += by_item.offsets[k - 1];
  by_item.items.resize(pairs.size());
  std::vector<std::int64_t> next(by_item.offsets.begin(), by_item.offsets.end() - 1);
  for (const Pair& pair : pairs)
    by_item.items[static_cast<std::size_t>(next[static_cast<std::size_t>(pair.item - first)]++)] = pair.user;
  return by_item;
}

}  // namespace spar::data
