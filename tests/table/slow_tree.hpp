#pragma once
#include <map>
#include <vector>

/// The shard tree written out: the sum over [begin, end) is that of its left half plus that of its right half, and a
/// half where nothing is present does not count.
namespace spar::test {

using FloatRow = std::vector<float>;

/// `present`: by shard. Empty: nothing is present.
inline FloatRow slow_tree_sum(const std::map<int, FloatRow>& present, int begin, int end) {
  if (end - begin == 1) {
    const auto found = present.find(begin);
    return found == present.end() ? FloatRow{} : found->second;
  }
  const int middle = begin + (end - begin) / 2;
  FloatRow left = slow_tree_sum(present, begin, middle);
  const FloatRow right = slow_tree_sum(present, middle, end);
  if (left.empty()) return right;
  for (std::size_t c = 0; c < right.size(); ++c) left[c] += right[c];
  return left;
}

}  // namespace spar::test
