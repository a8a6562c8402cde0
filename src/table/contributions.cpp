#include "spar/table/contributions.hpp"

#include "spar/base/lanes.hpp"
#include "spar/base/shard_tree.hpp"

namespace spar::table {

void Contributions::reset(std::size_t most) {
  slots_ = 0;
  shared_count_ = 0;
  newest_.require(most);
  shared_.require(most + 1);
  before_.require(most + 1);
  shard_.require(most + 1);
  before_[0] = 0;
}

void Contributions::grow(int slots) {
  for (; slots_ < slots; ++slots_) newest_[static_cast<std::size_t>(slots_)] = -1;
}

void add_scaled_row(float* left, float factor, const float* right, int width) {
  for (int c = 0; c < width; c += lanes) store_lanes(left + c, load_lanes(left + c) + factor * load_lanes(right + c));
}

void tree_add_rows(float* const* rows, const std::int32_t* shards, int count, int width) {
  tree_reduce(
      count, [&](int k) { return shards[k]; }, [&](int left, int right) { add_row(rows[left], rows[right], width); });
}

}  // namespace spar::table
