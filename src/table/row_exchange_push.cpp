#include <algorithm>
#include <cstring>

#include "pack_rows.hpp"

#include "spar/base/threads.hpp"
#include "spar/table/row_exchange.hpp"

namespace spar::table {

namespace {

constexpr int slots_per_task = 512;

template <class Body>
void for_ranges(int count, Body&& body) {
  if (threads() == 1) return body(0, count);
  parallel_for((count + slots_per_task - 1) / slots_per_task,
               [&](int task) { body(task * slots_per_task, std::min(count, (task + 1) * slots_per_task)); });
}

template <class Row>
void sum_up(const Contributions& contributions, int width, Row&& row, std::vector<float*>& sums) {
  sums.resize(static_cast<std::size_t>(contributions.slots()));
  contributions.list_rows(row, sums.data());
  for_ranges(contributions.shared(),
             [&](int begin, int end) { contributions.reduce(begin, end, width, row, sums.data()); });
}

}  // namespace

void RowExchange::push(int set, int channel, float* gradients, std::int64_t step) {
  Set& s = sets_[static_cast<std::size_t>(set)];
  Push& push = s.pushes[static_cast<std::size_t>(channel)];
  push_round_.wait(step);
  sum_up(
      s.shard_sums, width_,
      [gradients, width = static_cast<std::ptrdiff_t>(width_)](std::int32_t c) { return gradients + c * width; },
      push.sums);
  if (ranks_ > 1) send_sums(s, push);
}

void RowExchange::send_sums(Set& s, Push& push) {
  const auto ranks = static_cast<std::size_t>(ranks_);
  for (std::size_t r = 0; r < ranks; ++r) {
    if (static_cast<int>(r) == rank_) continue;
    const Peer& asking = s.asking[r];
    push.incoming[r].require(asking.distinct * static_cast<std::size_t>(width_));
    push_round_.receive(static_cast<int>(r), push.incoming[r].data(), asking.distinct * lines_per_row());
    const Peer& asked = s.asked[r];
    push.outgoing[r].require(asked.distinct * static_cast<std::size_t>(width_));
    const float* const* sums = push.sums.data() + s.slot_begin[r];
    pack_rows(push.outgoing[r].data(), asked.distinct, width_, [sums](std::size_t k) { return sums[k]; });
    push_round_.send(static_cast<int>(r), push.outgoing[r].data(), asked.distinct * lines_per_row());
    bytes_sent_ += static_cast<std::int64_t>(asked.distinct * lines_per_row() * comm::line);
  }
}

void RowExchange::finish_push(int set, int channel, std::int64_t step) {
  Set& s = sets_[static_cast<std::size_t>(set)];
  Push& push = s.pushes[static_cast<std::size_t>(channel)];
  if (lanes_.size() == 1) {
    std::swap(push.totals, push.sums);
    return;
  }
  push_round_.wait(step);
  row_of_contribution_.clear();
  for (std::size_t l = 0; l < lanes_.size(); ++l) {
    const auto r = static_cast<std::size_t>(lanes_[l].subtree.rank);
    const auto in_rank = static_cast<std::size_t>(lanes_[l].index_in_rank);
    const std::size_t count = s.lane_touched[l].size();
    if (static_cast<int>(r) == rank_) {
      float* const* sums = push.sums.data() + s.own_begin[in_rank];
      row_of_contribution_.insert(row_of_contribution_.end(), sums, sums + count);
    } else {
      std::size_t passed = 0;
      for (std::size_t before = 0; before < in_rank; ++before)
        passed += static_cast<std::size_t>(s.asking[r].lane_distinct[before]);
      float* row = push.incoming[r].data() + passed * static_cast<std::size_t>(width_);
      for (std::size_t k = 0; k < count; ++k, row += width_) row_of_contribution_.push_back(row);
    }
  }
  sum_up(
      s.lane_sums, width_, [&](std::int32_t c) { return row_of_contribution_[static_cast<std::size_t>(c)]; },
      push.totals);
}

void RowExchange::return_rows(int set, const float* values, std::int64_t step) {
  Set& s = sets_[static_cast<std::size_t>(set)];
  const auto ranks = static_cast<std::size_t>(ranks_);
  const auto width = static_cast<std::size_t>(width_);
  for (std::size_t r = 0; r < ranks; ++r) {
    if (static_cast<int>(r) == rank_) continue;
    const Peer& asked = s.asked[r];
    s.return_incoming[r].require(asked.distinct * width);
    return_round_.receive(static_cast<int>(r), s.return_incoming[r].data(), asked.distinct * lines_per_row());
    s.return_outgoing[r].require(s.asking[r].distinct * width);
    float* out = s.return_outgoing[r].data();
    for (int l = lane_begin_[r]; l < lane_begin_[r + 1]; ++l) {
      const auto& touched = s.lane_touched[static_cast<std::size_t>(l)];
      pack_rows(out, touched.size(), width_, [&](std::size_t k) { return values + touched[k] * width; });
      out += touched.size() * width;
    }
    return_round_.send(static_cast<int>(r), s.return_outgoing[r].data(), s.asking[r].distinct * lines_per_row());
    bytes_sent_ += static_cast<std::int64_t>(s.asking[r].distinct * row_bytes());
  }
  return_round_.wait(step);
  list_returned(s, values);
}

void RowExchange::list_returned(Set& s, const float* values) {
  const auto width = static_cast<std::size_t>(width_);
  s.returned.resize(s.slot.size());
  const std::size_t asked = s.shard_begin.back();
  if (lanes_.size() == 1) {
    for (std::size_t c = 0; c < asked; ++c) s.returned[c] = values + static_cast<std::size_t>(s.slot[c]) * width;
    return;
  }
  auto& by_slot = row_of_slot_;
  by_slot.resize(static_cast<std::size_t>(slots(s)));
  auto out = by_slot.begin();
  for (int l = lane_begin_[static_cast<std::size_t>(rank_)]; l < lane_begin_[static_cast<std::size_t>(rank_) + 1];
       ++l) {
    for (const std::uint32_t t : s.lane_touched[static_cast<std::size_t>(l)]) *out++ = values + t * width;
  }
  for (std::size_t r = 0; r < static_cast<std::size_t>(ranks_); ++r) {
    if (static_cast<int>(r) == rank_) continue;
    for (std::size_t k = 0; k < s.asked[r].distinct; ++k) *out++ = s.return_incoming[r].data() + k * width;
  }
  for (std::size_t c = 0; c < asked; ++c) s.returned[c] = by_slot[static_cast<std::size_t>(s.slot[c])];
}

}  // namespace spar::table
