#include "spar/table/dense_sums.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/base/shard_tree.hpp"

namespace spar::table {

namespace {

template <class T>
constexpr std::size_t numbers_per_line = comm::line / sizeof(T);
constexpr std::size_t kinds = 2;

// left += right, `count` numbers, a multiple of 16.
template <class T>
void add_numbers(T* left, const T* right, std::size_t count) {
  for (std::size_t c = 0; c < count; c += lanes) store_lanes(left + c, load_lanes(left + c) + load_lanes(right + c));
}

}  // namespace

template <class T>
DenseSumsOf<T>::DenseSumsOf(const comm::Communicator& communicator, const ShardLayout& layout, std::size_t count,
                            const DenseSumsOptions& options)
    : communicator_(communicator), layout_(layout), count_(count), first_(layout.first_shard(communicator.rank())) {
  SPAR_ASSERT(count % lanes == 0);
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
  segment_.plan(bytes, segment_numbers(rank));
  node_memory_ = std::make_unique<comm::NodeMemory>(communicator_, bytes, options.node_memory);
  mailboxes_.bind(*node_memory_);
  outgoing_.bind(*node_memory_);
  segment_.bind(*node_memory_);
  outgoing_.require(lanes_.size() * count_);
  segment_.require(segment_numbers(rank));
  incoming_.resize(ranks);
  for (std::size_t r = 0; r < ranks; ++r) {
    if (static_cast<int>(r) != rank && node_memory_->of(static_cast<int>(r)) == nullptr)
      incoming_[r] = Buffer<T>(static_cast<std::size_t>(lanes_by_rank_[r]) * segment_numbers(rank));
  }
  lanes_of_all_ = Buffer<T>(lane_shards_.size() * segment_numbers(rank));
  total_ = Buffer<T>(count_);
  comm::Mailbox* mailboxes = node_memory_->own() == nullptr ? nullptr : mailboxes_.data();
  const auto round = [&](int kind, const char* operation) {
    return std::make_unique<comm::MessageRound>(
        communicator_, options.tag + kind, operation, options.deadline_seconds, node_memory_.get(),
        mailboxes == nullptr ? nullptr : mailboxes + static_cast<std::size_t>(kind) * ranks);
  };
  part_round_ = round(0, "parts of the sum of dense gradients");
  total_round_ = round(1, "sums of dense gradients");
}

template <class T>
std::size_t DenseSumsOf<T>::segment_begin(int rank) const {
  const Partition pieces{static_cast<Index>(count_ / lanes), layout_.ranks};
  return static_cast<std::size_t>(pieces.begin(rank)) * lanes;
}

template <class T>
std::size_t DenseSumsOf<T>::segment_numbers(int rank) const {
  return segment_begin(rank + 1) - segment_begin(rank);
}

template <class T>
T* DenseSumsOf<T>::free_room() {
  if (free_.empty()) {
    memory_.emplace_back(count_);
    return memory_.back().data();
  }
  T* room = free_.back();
  free_.pop_back();
  return room;
}

template <class T>
T* DenseSumsOf<T>::room(int k) {
  const std::lock_guard lock(mutex_);
  T*& room = room_of_[static_cast<std::size_t>(k)];
  if (room == nullptr) room = free_room();
  return room;
}

template <class T>
int DenseSumsOf<T>::lane_of(int shard) const {
  const auto after = std::ranges::upper_bound(lanes_, shard, {}, &Subtree::begin);
  return static_cast<int>(after - lanes_.begin()) - 1;
}

// The neighbour's sum, where it is there already; else `sum` waits for it.
template <class T>
T* DenseSumsOf<T>::arrive(int level, int shard, T* sum) {
  const std::lock_guard lock(mutex_);
  auto& waiting = waiting_[static_cast<std::size_t>(level)];
  T*& neighbour = waiting[static_cast<std::size_t>((shard >> level) ^ 1)];
  if (neighbour == nullptr) waiting[static_cast<std::size_t>(shard >> level)] = sum;
  return std::exchange(neighbour, nullptr);
}

// The room of the step before is free: its sum has been used.
template <class T>
void DenseSumsOf<T>::keep_lane(int shard, T* sum) {
  const std::lock_guard lock(mutex_);
  T*& kept = lane_sums_[static_cast<std::size_t>(lane_of(shard))];
  if (kept != nullptr) free_.push_back(kept);
  kept = sum;
}

template <class T>
void DenseSumsOf<T>::finish(int k) {
  const int shard = first_ + k;
  const Subtree& lane = lanes_[static_cast<std::size_t>(lane_of(shard))];
  const int height = std::countr_zero(static_cast<unsigned>(lane.end - lane.begin));
  T* sum = std::exchange(room_of_[static_cast<std::size_t>(k)], nullptr);
  SPAR_ASSERT(sum != nullptr);
  for (int level = 0; level < height; ++level) {
    T* neighbour = arrive(level, shard, sum);
    if (neighbour == nullptr) return;
    const bool is_right = ((shard >> level) & 1) != 0;
    T* const left = is_right ? neighbour : sum;
    T* const right = is_right ? sum : neighbour;
    add_numbers(left, right, count_);
    const std::lock_guard lock(mutex_);
    free_.push_back(right);
    sum = left;
  }
  keep_lane(shard, sum);
}

template <class T>
void DenseSumsOf<T>::send() {
  const int ranks = communicator_.size();
  if (ranks == 1) return;
  const int rank = communicator_.rank();
  const std::size_t lines = segment_numbers(rank) / numbers_per_line<T>;
  for (int r = 0; r < ranks; ++r) {
    if (r == rank) continue;
    const auto at = static_cast<std::size_t>(r);
    part_round_->receive(r, incoming_[at].data(), static_cast<std::size_t>(lanes_by_rank_[at]) * lines);
  }
  T* out = outgoing_.data();
  for (int r = 0; r < ranks; ++r) {
    T* const begin = out;
    const std::size_t numbers = segment_numbers(r);
    for (const T* lane : lane_sums_) {
      if (numbers > 0) std::memcpy(out, lane + segment_begin(r), numbers * sizeof(T));
      out += numbers;
    }
    if (r == rank) continue;
    part_round_->send(r, begin, lanes_.size() * numbers / numbers_per_line<T>);
    bytes_sent_ += static_cast<std::int64_t>(lanes_.size() * numbers * sizeof(T));
  }
}

// The tree over the subtrees of all ranks, for this rank's segment.
template <class T>
void DenseSumsOf<T>::sum_segment() {
  const int rank = communicator_.rank();
  const std::size_t numbers = segment_numbers(rank);
  if (numbers == 0) return;
  T* out = lanes_of_all_.data();
  for (int r = 0; r < communicator_.size(); ++r) {
    const std::size_t own = numbers * static_cast<std::size_t>(lanes_by_rank_[static_cast<std::size_t>(r)]);
    const void* from = r == rank ? static_cast<const void*>(outgoing_.data() + segment_begin(rank) * lanes_.size())
                                 : part_round_->arrived(r);
    std::memcpy(out, from, own * sizeof(T));
    out += own;
  }
  const auto lane = [&](int k) { return lanes_of_all_.data() + static_cast<std::size_t>(k) * numbers; };
  tree_reduce(
      static_cast<int>(lane_shards_.size()), [&](int k) { return lane_shards_[static_cast<std::size_t>(k)]; },
      [&](int left, int right) { add_numbers(lane(left), lane(right), numbers); });
  std::memcpy(segment_.data(), lane(0), numbers * sizeof(T));
}

template <class T>
T* DenseSumsOf<T>::receive(std::int64_t step) {
  const int ranks = communicator_.size();
  if (ranks == 1) return lane_sums_.front();
  const int rank = communicator_.rank();
  part_round_->wait(step);
  sum_segment();
  const std::size_t lines = segment_numbers(rank) / numbers_per_line<T>;
  for (int r = 0; r < ranks; ++r) {
    if (r == rank) continue;
    total_round_->receive(r, total_.data() + segment_begin(r), segment_numbers(r) / numbers_per_line<T>);
    total_round_->send(r, segment_.data(), lines);
    bytes_sent_ += static_cast<std::int64_t>(lines * numbers_per_line<T> * sizeof(T));
  }
  total_round_->wait(step);
  for (int r = 0; r < ranks; ++r) {
    const std::size_t numbers = segment_numbers(r);
    T* const to = total_.data() + segment_begin(r);
    const void* from = r == rank ? static_cast<const void*>(segment_.data()) : total_round_->arrived(r);
    if (numbers > 0 && from != to) std::memcpy(to, from, numbers * sizeof(T));
  }
  return total_.data();
}

template class DenseSumsOf<float>;
template class DenseSumsOf<double>;

}  // namespace spar::table
