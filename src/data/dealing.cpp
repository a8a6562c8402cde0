#include <algorithm>
#include <numeric>

#include "spar/base/error.hpp"
#include "spar/base/sharding.hpp"
#include "spar/data/dataset_file.hpp"

namespace spar::data {

namespace {

constexpr int group_bits = 10;
static_assert(1 << group_bits == row_groups);

int group_of_place(Index place) {
  const Index gray = place ^ (place >> 1);
  int group = 0;
  for (int bit = 0; bit < group_bits; ++bit) group |= static_cast<int>((gray >> bit) & 1) << (group_bits - 1 - bit);
  return group;
}

int& at(std::vector<int>& values, int k) {
  return values[static_cast<std::size_t>(k)];
}
int at(const std::vector<int>& values, Index k) {
  return values[static_cast<std::size_t>(k)];
}

}  // namespace

RowDealing::RowDealing(Index rows) : rows_(rows), full_rounds_(rows / row_groups), last_step_of_(row_groups, -1) {
  for (const int odd : {0, 1}) {
    const auto parity = static_cast<std::size_t>(odd);
    group_at_[parity].resize(row_groups);
    step_of_[parity].resize(row_groups);
    for (int step = 0; step < row_groups; ++step) {
      const int group = group_of_place(Index{odd} * row_groups + step);
      at(group_at_[parity], step) = group;
      at(step_of_[parity], group) = step;
    }
  }
  const Partition groups{rows, row_groups};
  for (const int group : group_at_[static_cast<std::size_t>(full_rounds_ % 2)]) {
    if (groups.size(group) == full_rounds_) continue;
    at(last_step_of_, group) = static_cast<int>(last_group_at_.size());
    last_group_at_.push_back(group);
  }
}

Index RowDealing::place_of_row(Index row) const {
  SPAR_ASSERT(row >= 0 && row < rows_);
  const Partition groups{rows_, row_groups};
  const int group = groups.part_of(row);
  const Index round = row - groups.begin(group);
  const int step = round < full_rounds_ ? at(step_of_[static_cast<std::size_t>(round % 2)], Index{group})
                                        : at(last_step_of_, Index{group});
  return round * row_groups + step;
}

Index RowDealing::row_of_place(Index place) const {
  SPAR_ASSERT(place >= 0 && place < rows_);
  const Index round = place / row_groups;
  const Index step = place % row_groups;
  const int group =
      round < full_rounds_ ? at(group_at_[static_cast<std::size_t>(round % 2)], step) : at(last_group_at_, step);
  return Partition{rows_, row_groups}.begin(group) + round;
}

std::vector<Index> deal_rows(const std::vector<std::int64_t>& counts) {
  const RowDealing dealing(static_cast<Index>(counts.size()));
  std::vector<Index> by_count(counts.size());
  std::iota(by_count.begin(), by_count.end(), Index{0});
  std::stable_sort(by_count.begin(), by_count.end(), [&](Index left, Index right) {
    return counts[static_cast<std::size_t>(left)] > counts[static_cast<std::size_t>(right)];
  });
  std::vector<Index> order(counts.size());
  for (Index place = 0; place < dealing.rows(); ++place) {
    order[static_cast<std::size_t>(dealing.row_of_place(place))] = by_count[static_cast<std::size_t>(place)];
  }
  return order;
}

}  // namespace spar::data
