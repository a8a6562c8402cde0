#include "spar/data/popularity.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "spar/base/error.hpp"

namespace spar::data {

namespace {

constexpr std::size_t items_per_round = std::size_t{1} << 20;

// How often each item of [first, end) is named by all ranks together.
std::vector<std::uint32_t> count_own(const comm::Communicator& communicator, const ShardLayout& layout,
                                     const Partition& items, std::span<const ItemId> drawn) {
  const int rank = communicator.rank();
  const Index first = items.begin(layout.first_shard(rank));
  std::vector<std::uint32_t> counts(static_cast<std::size_t>(items.begin(layout.end_shard(rank)) - first));
  const auto rounds =
      communicator.max(static_cast<std::int64_t>((drawn.size() + items_per_round - 1) / items_per_round));
  std::vector<std::vector<std::byte>> outgoing(static_cast<std::size_t>(communicator.size()));
  for (std::int64_t round = 0; round < rounds; ++round) {
    const std::size_t begin = std::min(drawn.size(), static_cast<std::size_t>(round) * items_per_round);
    for (auto& bytes : outgoing) bytes.clear();
    for (const ItemId item : drawn.subspan(begin, std::min(items_per_round, drawn.size() - begin))) {
      auto& bytes = outgoing[static_cast<std::size_t>(layout.rank_of(items.part_of(item)))];
      const auto* raw = reinterpret_cast<const std::byte*>(&item);
      bytes.insert(bytes.end(), raw, raw + sizeof item);
    }
    for (const auto& bytes : communicator.exchange(outgoing)) {
      for (std::size_t at = 0; at < bytes.size(); at += sizeof(ItemId)) {
        ItemId item = 0;
        std::memcpy(&item, bytes.data() + at, sizeof item);
        ++counts[static_cast<std::size_t>(item - first)];
      }
    }
  }
  return counts;
}

}  // namespace

Popularity::Popularity(const comm::Communicator& communicator, const ShardLayout& layout, Index items,
                       std::span<const ItemId> drawn, double power)
    : layout_(layout), items_{items, layout.shards}, first_shard_(layout.first_shard(communicator.rank())) {
  SPAR_ASSERT(power > 0.0);
  const std::vector<std::uint32_t> counts = count_own(communicator, layout, items_, drawn);
  drawable_ = communicator.sum(static_cast<std::int64_t>(counts.size() - std::ranges::count(counts, 0U)));
  SPAR_ASSERT(drawable_ > 0);
  std::vector<double> totals;
  std::vector<double> weights;
  auto count = counts.begin();
  for (int shard = first_shard_; shard < layout.end_shard(communicator.rank()); ++shard) {
    weights.resize(static_cast<std::size_t>(items_.size(shard)));
    for (double& weight : weights) {
      weight = *count == 0 ? 0.0 : std::pow(static_cast<double>(*count), power);
      ++count;
    }
    totals.push_back(std::accumulate(weights.begin(), weights.end(), 0.0));
    own_.emplace_back(weights);
  }
  std::vector<double> all;
  for (const auto& bytes : communicator.allgather(std::as_bytes(std::span(totals)))) {
    const std::size_t before = all.size();
    all.resize(before + bytes.size() / sizeof(double));
    std::memcpy(all.data() + before, bytes.data(), bytes.size());
  }
  shards_ = AliasTable(all);
}

}  // namespace spar::data
