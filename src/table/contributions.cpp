#include "spar/table/contributions.hpp"

#include "spar/base/lanes.hpp"
#include "spar/base/shard_tree.hpp"

namespace spar::table {

void Contributions::reset(int slots, std::size_t most) {
  slots_ = slots;
  count_ = 0;
  const auto n = static_cast<std::size_t>(slots);
  if (head_.size() < n) {
    head_.resize(n);
    tail_.resize(n);
  }
  std::fill(head_.begin(), head_.begin() + slots, -1);
  if (next_.size() < most) {
    next_.resize(most);
    shard_.resize(most);
  }
}

void Contributions::add(int slot, int shard) {
  const auto s = static_cast<std::size_t>(slot);
  const auto c = static_cast<std::int32_t>(count_);
  next_[count_] = -1;
  shard_[count_] = shard;
  if (head_[s] < 0) {
    head_[s] = c;
  } else {
    next_[static_cast<std::size_t>(tail_[s])] = c;
  }
  tail_[s] = c;
  ++count_;
}

void add_row(float* left, const float* right, int width) {
  for (int c = 0; c < width; c += lanes) store_lanes(left + c, load_lanes(left + c) + load_lanes(right + c));
}

void add_scaled_row(float* left, float factor, const float* right, int width) {
  for (int c = 0; c < width; c += lanes) store_lanes(left + c, load_lanes(left + c) + factor * load_lanes(right + c));
}

void tree_add_rows(float* const* rows, const std::int32_t* shards, int count, int width) {
  tree_reduce(
      count, [&](int k) { return shards[k]; }, [&](int left, int right) { add_row(rows[left], rows[right], width); });
}

}  // namespace spar::table
