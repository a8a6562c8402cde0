#include "spar/table/dense_sums.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "spar/base/error.hpp"
#include "spar/base/shard_tree.hpp"
#include "spar/table/contributions.hpp"

namespace spar::table {

namespace {

constexpr int floats_per_line = 16;
constexpr std::size_t kinds = 2;

}  // namespace

DenseSums::DenseSums(const comm::Communicator& communicator, const ShardLayout& layout, std::size_t count,
                     const DenseSumsOptions& options)
    : communicator_(communicator), layout_(layout), count_(count), first_(layout.first_shard(communicator.rank())) {
  SPAR_ASSERT(count % floats_per_line == 0);
  const int rank = communicator.rank();
  const auto ranks = static_cast<std::size_t>(communicator.size());
  lanes_by_rank_.resize(ranks);
  for (const Subtree& subtree : aligned_subtrees(layout)) {
    lane_shards_.push_back(subtree.begin);
    ++lanes_by_rank_[static_cast<std::size_t>(subtree.rank)];
    if (subtree.rank == rank) lanes_.push_back(subtree);
  }
  room_of_.resize(static_cast<std::size_t>(layout.shard_count(rank)));
  lane_sums_.resize(lanes_.size());
  for (int size = layout.shards; size > 0; size /= 2) waiting_.emplace_back(static_cast<std::size_t>(size) + 1);
  if (ranks == 1) return;

  std::size_t bytes = 0;
  mailboxes_.plan(bytes, kinds * ranks);
  outgoing_.plan(bytes, lanes_.size() * count_);
  segment_.plan(bytes, segment_floats(rank));
  node_memory_ = std::make_unique<comm::NodeMemory>(communicator_, bytes, options.node_memory);
  mailboxes_.bind(*node_memory_);
  outgoing_.bind(*node_memory_);
  segment_.bind(*node_memory_);
  outgoing_.require(lanes_.size() * count_);
  segment_.require(segment_floats(rank));
  incoming_.resize(ranks);
  for (std::size_t r = 0; r < ranks; ++r) {
    if (static_cast<int>(r) != rank && node_memory_->of(static_cast<int>(r)) == nullptr)
      incoming_[r] = Buffer<float>(static_cast<std::size_t>(lanes_by_rank_[r]) * segment_floats(rank));
  }
  lanes_of_all_ = Buffer<float>(lane_shards_.size() * segment_floats(rank));
  total_ = Buffer<float>(count_);
  comm::Mailbox* mailboxes = node_memory_->own() == nullptr ? nullptr : mailboxes_.data();
  const auto round = [&](int kind, const char* operation) {
    return std::make_unique<comm::MessageRound>(
        communicator_, options.tag + kind, operation, options.deadline_seconds, node_memory_.get(),
        mailboxes == nullptr ? nullptr : mailboxes + static_cast<std::size_t>(kind) * ranks);
  };
  part_round_ = round(0, "parts of the sum of dense gradients");
  total_round_ = round(1, "sums of dense gradients");
}

std::size_t DenseSums::segment_begin(int rank) const {
  const Partition lines{static_cast<Index>(count_ / floats_per_line), layout_.ranks};
  return static_cast<std::size_t>(lines.begin(rank)) * floats_per_line;
}

std::size_t DenseSums::segment_floats(int rank) const {
  return segment_begin(rank + 1) - segment_begin(rank);
}

float* DenseSums::free_room() {
  if (free_.empty()) {
    memory_.emplace_back(count_);
    return memory_.back().data();
  }
  float* room = free_.back();
  free_.pop_back();
  return room;
}

float* DenseSums::room(int k) {
  const std::lock_guard lock(mutex_);
  float*& room = room_of_[static_cast<std::size_t>(k)];
  if (room == nullptr) room = free_room();
  return room;
}

int DenseSums::lane_of(int shard) const {
  const auto after = std::ranges::upper_bound(lanes_, shard, {}, &Subtree::begin);
  return static_cast<int>(after - lanes_.begin()) - 1;
}

// The neighbour's sum, where it is there already; else `sum` waits for it.
float* DenseSums::arrive(int level, int shard, float* sum) {
  const std::lock_guard lock(mutex_);
  auto& waiting = waiting_[static_cast<std::size_t>(level)];
  float*& neighbour = waiting[static_cast<std::size_t>((shard >> level) ^ 1)];
  if (neighbour == nullptr) waiting[static_cast<std::size_t>(shard >> level)] = sum;
  return std::exchange(neighbour, nullptr);
}

// The room of the step before is free: its sum has been used.
void DenseSums::keep_lane(int shard, float* sum) {
  const std::lock_guard lock(mutex_);
  float*& kept = lane_sums_[static_cast<std::size_t>(lane_of(shard))];
  if (kept != nullptr) free_.push_back(kept);
  kept = sum;
}

void DenseSums::finish(int k) {
  const int shard = first_ + k;
  const Subtree& lane = lanes_[static_cast<std::size_t>(lane_of(shard))];
  const int height = std::countr_zero(static_cast<unsigned>(lane.end - lane.begin));
  float* sum = std::exchange(room_of_[static_cast<std::size_t>(k)], nullptr);
  SPAR_ASSERT(sum != nullptr);
  for (int level = 0; level < height; ++level) {
    float* neighbour = arrive(level, shard, sum);
    if (neighbour == nullptr) return;
    const bool is_right = ((shard >> level) & 1) != 0;
    float* const left = is_right ? neighbour : sum;
    float* const right = is_right ? sum : neighbour;
    add_row(left, right, static_cast<int>(count_));
    const std::lock_guard lock(mutex_);
    free_.push_back(right);
    sum = left;
  }
  keep_lane(shard, sum);
}

void DenseSums::send() {
  const int ranks = communicator_.size();
  if (ranks == 1) return;
  const int rank = communicator_.rank();
  const std::size_t lines = segment_floats(rank) / floats_per_line;
  for (int r = 0; r < ranks; ++r) {
    if (r == rank) continue;
    const auto at = static_cast<std::size_t>(r);
    part_round_->receive(r, incoming_[at].data(), static_cast<std::size_t>(lanes_by_rank_[at]) * lines);
  }
  float* out = outgoing_.data();
  for (int r = 0; r < ranks; ++r) {
    float* const begin = out;
    const std::size_t floats = segment_floats(r);
    for (const float* lane : lane_sums_) {
      if (floats > 0) std::memcpy(out, lane + segment_begin(r), floats * sizeof(float));
      out += floats;
    }
    if (r == rank) continue;
    part_round_->send(r, begin, lanes_.size() * floats / floats_per_line);
    bytes_sent_ += static_cast<std::int64_t>(lanes_.size() * floats * sizeof(float));
  }
}

// The tree over the subtrees of all ranks, for this rank's segment.
void DenseSums::sum_segment() {
  const int rank = communicator_.rank();
  const std::size_t floats = segment_floats(rank);
  if (floats == 0) return;
  float* out = lanes_of_all_.data();
  for (int r = 0; r < communicator_.size(); ++r) {
    const std::size_t own = floats * static_cast<std::size_t>(lanes_by_rank_[static_cast<std::size_t>(r)]);
    const void* from = r == rank ? static_cast<const void*>(outgoing_.data() + segment_begin(rank) * lanes_.size())
                                 : part_round_->arrived(r);
    std::memcpy(out, from, own * sizeof(float));
    out += own;
  }
  const auto lane = [&](int k) { return lanes_of_all_.data() + static_cast<std::size_t>(k) * floats; };
  tree_reduce(
      static_cast<int>(lane_shards_.size()), [&](int k) { return lane_shards_[static_cast<std::size_t>(k)]; },
      [&](int left, int right) { add_row(lane(left), lane(right), static_cast<int>(floats)); });
  std::memcpy(segment_.data(), lane(0), floats * sizeof(float));
}

float* DenseSums::receive(std::int64_t step) {
  const int ranks = communicator_.size();
  if (ranks == 1) return lane_sums_.front();
  const int rank = communicator_.rank();
  part_round_->wait(step);
  sum_segment();
  const std::size_t lines = segment_floats(rank) / floats_per_line;
  for (int r = 0; r < ranks; ++r) {
    if (r == rank) continue;
    total_round_->receive(r, total_.data() + segment_begin(r), segment_floats(r) / floats_per_line);
    total_round_->send(r, segment_.data(), lines);
    bytes_sent_ += static_cast<std::int64_t>(lines * floats_per_line * sizeof(float));
  }
  total_round_->wait(step);
  for (int r = 0; r < ranks; ++r) {
    const std::size_t floats = segment_floats(r);
    float* const to = total_.data() + segment_begin(r);
    const void* from = r == rank ? static_cast<const void*>(segment_.data()) : total_round_->arrived(r);
    if (floats > 0 && from != to) std::memcpy(to, from, floats * sizeof(float));
  }
  return total_.data();
}

}  // namespace spar::table
