#include "spar/base/shard_tree.hpp"

#include <vector>

namespace spar {

double tree_sum(std::span<const double> values) {
  if (values.empty()) return 0.0;
  std::vector<double> partial(values.begin(), values.end());
  tree_reduce(
      static_cast<int>(partial.size()), [](int k) { return k; },
      [&](int left, int right) {
        partial[static_cast<std::size_t>(left)] += partial[static_cast<std::size_t>(right)];
      });
  return partial.front();
}

}  // namespace spar
