#include "spar/game/user_batches.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "spar/base/error.hpp"

namespace spar::game {

namespace {

struct Entry {
  std::uint32_t user;  // row within the rank
  float total;
};

}  // namespace

UserBatches::UserBatches(const comm::Communicator& communicator, const ShardLayout& layout, Index users,
                         const data::UserLists& train, std::span<const float> values, std::int64_t batch_users,
                         std::uint64_t seed)
    : communicator_(communicator),
      layout_(layout),
      partition_{users, layout.shards},
      first_user_(partition_.begin(layout.first_shard(communicator.rank()))),
      stream_(seed, Purpose::user_order),
      counts_(static_cast<std::size_t>(layout.shards)) {
  SPAR_ASSERT(train.first_user == first_user_);
  for (Index u = 0; u < train.users(); ++u) {
    const auto begin = static_cast<std::ptrdiff_t>(train.offsets[static_cast<std::size_t>(u)]);
    const auto end = static_cast<std::ptrdiff_t>(train.offsets[static_cast<std::size_t>(u) + 1]);
    totals_.push_back(values.empty() ? static_cast<float>(end - begin)
                                     : std::accumulate(values.begin() + begin, values.begin() + end, 0.0F));
  }
  for (int s = layout.first_shard(communicator.rank()); s < layout.end_shard(communicator.rank()); ++s) {
    auto& own = users_.emplace_back();
    for (Index u = partition_.begin(s) - first_user_; u < partition_.end(s) - first_user_; ++u) {
      if (!train.of(u).empty()) own.push_back(static_cast<std::uint32_t>(u));
    }
    counts_[static_cast<std::size_t>(s)] = static_cast<std::int64_t>(own.size());
    without_ += partition_.size(s) - counts_[static_cast<std::size_t>(s)];
  }
  communicator.sum(counts_);
  const auto all = std::accumulate(counts_.begin(), counts_.end(), std::int64_t{0});
  steps_ = std::max<std::int64_t>(1, (all + batch_users - 1) / batch_users);
}

void UserBatches::begin_epoch(std::int64_t epoch) {
  // Fisher and Yates' shuffle of the unshuffled list: an epoch's order depends on no earlier one.
  orders_ = users_;
  for (std::size_t s = 0; s < orders_.size(); ++s) {
    const auto shard = static_cast<std::uint32_t>(layout_.first_shard(communicator_.rank()) + static_cast<int>(s));
    auto& order = orders_[s];
    for (std::size_t k = order.size(); k > 1; --k) {
      const auto block = stream_.block(static_cast<std::uint32_t>(k), shard, static_cast<std::uint32_t>(epoch));
      std::swap(order[k - 1], order[bounded(word64(block, 0), k)]);
    }
  }
}

void UserBatches::gather(std::int64_t step, std::uint32_t flags, UserBatch& batch) {
  const auto bound = [&](std::int64_t t, int shard) { return t * counts_[static_cast<std::size_t>(shard)] / steps_; };
  batch.rows.begin.assign(1, 0);
  for (int s = 0; s < layout_.shards; ++s)
    batch.rows.begin.push_back(batch.rows.rows() + static_cast<int>(bound(step + 1, s) - bound(step, s)));
  std::vector<Entry> own{{flags, 0.0F}};
  const int first = layout_.first_shard(communicator_.rank());
  for (std::size_t s = 0; s < orders_.size(); ++s) {
    const int shard = first + static_cast<int>(s);
    for (std::int64_t k = bound(step, shard); k < bound(step + 1, shard); ++k) {
      const std::uint32_t user = orders_[s][static_cast<std::size_t>(k)];
      own.push_back({user, totals_[user]});
    }
  }
  const auto bytes = std::as_bytes(std::span(own));
  bytes_sent_ += static_cast<std::int64_t>(bytes.size()) * (layout_.ranks - 1);
  batch.users.clear();
  batch.totals.clear();
  batch.flags = 0;
  const auto parts = communicator_.allgather(bytes);
  for (int r = 0; r < layout_.ranks; ++r) {
    const auto& part = parts[static_cast<std::size_t>(r)];
    const Index first_user = partition_.begin(layout_.first_shard(r));
    for (std::size_t at = 0; at < part.size(); at += sizeof(Entry)) {
      Entry entry;
      std::memcpy(&entry, part.data() + at, sizeof entry);
      if (at == 0) {
        batch.flags |= entry.user;
        continue;
      }
      batch.users.push_back(first_user + entry.user);
      batch.totals.push_back(entry.total);
    }
  }
  SPAR_ASSERT(static_cast<int>(batch.users.size()) == batch.rows.rows());
}

}  // namespace spar::game
