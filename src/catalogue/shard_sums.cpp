#include "spar/catalogue/shard_sums.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "spar/base/error.hpp"
#include "spar/base/shard_tree.hpp"
#include "spar/base/threads.hpp"
#include "spar/table/contributions.hpp"

namespace spar::catalogue {

ShardSums::ShardSums(const comm::Communicator& communicator, const ShardLayout& layout)
    : communicator_(communicator), layout_(layout) {}

void ShardSums::add_up(std::size_t count, const std::function<void(int, int, float*)>& fill) {
  count_ = count;
  for (Partial& partial : partials_) free_.push_back(std::move(partial.sum));
  partials_.clear();
  const int first = layout_.first_shard(communicator_.rank());
  const int shards = layout_.shard_count(communicator_.rank());
  const int wave = std::max(1, threads());
  std::vector<Buffer<float>> rooms(static_cast<std::size_t>(wave));
  for (int begin = 0; begin < shards; begin += wave) {
    const int size = std::min(wave, shards - begin);
    for (int k = 0; k < size; ++k) {
      auto& room = rooms[static_cast<std::size_t>(k)];
      if (!free_.empty()) {
        room = std::move(free_.back());
        free_.pop_back();
      }
      room.require(count);
    }
    parallel_for_worker(size,
                        [&](int k, int worker) { fill(begin + k, worker, rooms[static_cast<std::size_t>(k)].data()); });
    for (int k = 0; k < size; ++k) push(first + begin + k, std::exchange(rooms[static_cast<std::size_t>(k)], {}));
  }
}

// Two neighbours that make one aligned subtree join at once; what is left at the end are the maximal ones.
void ShardSums::push(int shard, Buffer<float> block) {
  partials_.push_back({shard, shard + 1, std::move(block)});
  while (partials_.size() > 1) {
    Partial& right = partials_.back();
    Partial& left = partials_[partials_.size() - 2];
    const int size = left.end - left.begin;
    if (right.end - right.begin != size || left.begin % (2 * size) != 0) return;
    table::add_row(left.sum.data(), right.sum.data(), static_cast<int>(count_));
    left.end = right.end;
    free_.push_back(std::move(right.sum));
    partials_.pop_back();
  }
}

void ShardSums::to_homes(const RowsByShard& rows, int width, float* to) {
  const auto w = static_cast<std::size_t>(width);
  SPAR_ASSERT(static_cast<std::size_t>(rows.rows()) * w <= count_);
  const int rank = communicator_.rank();
  const auto first_of = [&](int r) { return static_cast<std::size_t>(rows.first_of_rank(layout_, r)) * w; };
  const auto floats_of = [&](int r) {
    return static_cast<std::size_t>(rows.end_of_rank(layout_, r)) * w - first_of(r);
  };
  std::vector<std::vector<std::byte>> outgoing(static_cast<std::size_t>(layout_.ranks));
  for (int r = 0; r < layout_.ranks; ++r) {
    if (r == rank) continue;
    auto& message = outgoing[static_cast<std::size_t>(r)];
    const std::size_t bytes = floats_of(r) * sizeof(float);
    message.resize(bytes * partials_.size());
    for (std::size_t l = 0; bytes > 0 && l < partials_.size(); ++l)
      std::memcpy(message.data() + l * bytes, partials_[l].sum.data() + first_of(r), bytes);
    bytes_sent_ += static_cast<std::int64_t>(message.size());
  }
  auto incoming = communicator_.exchange(outgoing);
  const std::size_t own = floats_of(rank);
  std::vector<float*> blocks;
  std::vector<std::int32_t> shards;
  std::size_t of_rank = 0;
  for (const Subtree& subtree : aligned_subtrees(layout_)) {
    of_rank = shards.empty() || layout_.rank_of(shards.back()) != subtree.rank ? 0 : of_rank + 1;
    shards.push_back(subtree.begin);
    if (subtree.rank == rank)
      blocks.push_back(partials_[of_rank].sum.data() + first_of(rank));
    else
      blocks.push_back(reinterpret_cast<float*>(incoming[static_cast<std::size_t>(subtree.rank)].data()) +
                       of_rank * own);
  }
  if (own == 0) return;
  table::tree_add_rows(blocks.data(), shards.data(), static_cast<int>(shards.size()), static_cast<int>(own));
  std::memcpy(to, blocks.front(), own * sizeof(float));
}

std::int64_t share_rows(const comm::Communicator& communicator, const ShardLayout& layout, const RowsByShard& rows,
                        int width, float* values) {
  for (int r = 0; r < layout.ranks && layout.ranks > 1; ++r) {
    const auto first = static_cast<std::size_t>(rows.first_of_rank(layout, r)) * static_cast<std::size_t>(width);
    const auto end = static_cast<std::size_t>(rows.end_of_rank(layout, r)) * static_cast<std::size_t>(width);
    if (end > first) communicator.broadcast(std::as_writable_bytes(std::span(values + first, end - first)), r);
  }
  const int rank = communicator.rank();
  const std::int64_t own = rows.end_of_rank(layout, rank) - rows.first_of_rank(layout, rank);
  return own * width * static_cast<std::int64_t>(sizeof(float)) * (layout.ranks - 1);
}

LogSum LogSum::none() {
  return {-std::numeric_limits<double>::infinity(), 0.0};
}

void LogSum::add(const LogSum& other) {
  // exp(-inf - -inf) is no number.
  if (other.sum == 0.0) return;
  if (sum == 0.0) {
    *this = other;
    return;
  }
  const double most = std::max(largest, other.largest);
  sum = sum * std::exp(largest - most) + other.sum * std::exp(other.largest - most);
  largest = most;
}

double LogSum::log() const {
  return sum == 0.0 ? -std::numeric_limits<double>::infinity() : largest + std::log(sum);
}

std::vector<LogSum> merge_log_sums(const comm::Communicator& communicator, const ShardLayout& layout, int rows,
                                   std::span<LogSum> by_shard) {
  const auto n = static_cast<std::size_t>(rows);
  const auto merge = [n](LogSum* left, const LogSum* right) {
    for (std::size_t r = 0; r < n; ++r) left[r].add(right[r]);
  };
  const int first = layout.first_shard(communicator.rank());
  std::vector<LogSum> own;
  std::vector<int> shards;
  for (const Subtree& subtree : aligned_subtrees(layout)) {
    shards.push_back(subtree.begin);
    if (subtree.rank != communicator.rank()) continue;
    LogSum* block = by_shard.data() + static_cast<std::size_t>(subtree.begin - first) * n;
    tree_reduce(
        subtree.end - subtree.begin, [](int k) { return k; },
        [&](int left, int right) {
          merge(block + static_cast<std::size_t>(left) * n, block + static_cast<std::size_t>(right) * n);
        });
    own.insert(own.end(), block, block + n);
  }
  std::vector<LogSum> all;
  for (const auto& part : communicator.allgather(std::as_bytes(std::span(own)))) {
    const std::size_t begin = all.size();
    all.resize(begin + part.size() / sizeof(LogSum));
    if (!part.empty()) std::memcpy(all.data() + begin, part.data(), part.size());
  }
  tree_reduce(
      static_cast<int>(shards.size()), [&](int k) { return shards[static_cast<std::size_t>(k)]; },
      [&](int left, int right) {
        merge(all.data() + static_cast<std::size_t>(left) * n, all.data() + static_cast<std::size_t>(right) * n);
      });
  all.resize(n);
  return all;
}

}  // namespace spar::catalogue
