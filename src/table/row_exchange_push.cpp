#include <algorithm>
#include <cstring>

#include "spar/base/threads.hpp"
#include "spar/table/row_exchange.hpp"

namespace spar::table {

namespace {

constexpr int slots_per_task = 512;

void for_ranges(int count, const std::function<void(int, int)>& body) {
  if (threads() == 1) return body(0, count);
  parallel_for((count + slots_per_task - 1) / slots_per_task,
               [&](int task) { body(task * slots_per_task, std::min(count, (task + 1) * slots_per_task)); });
}

}  // namespace

void RowExchange::push(int set, int channel, std::span<float* const> gradients, std::int64_t step) {
  Set& s = sets_[set];
  Push& push = s.pushes[channel];
  push_round_.wait(step);
  const int slots = s.lane_slot_begin.back();
  push.sums.resize(static_cast<std::size_t>(slots));
  row_of_contribution_.resize(s.shard_begin.back());
  for (std::size_t k = 0; k + 1 < s.shard_begin.size(); ++k) {
    float* row = gradients[k];
    for (std::size_t c = s.shard_begin[k]; c < s.shard_begin[k + 1]; ++c, row += width_) row_of_contribution_[c] = row;
  }
  for_ranges(slots, [&](int begin, int end) {
    s.shard_sums.reduce(
        begin, end, width_, [&](std::int32_t c) { return row_of_contribution_[static_cast<std::size_t>(c)]; },
        push.sums.data());
  });
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
    float* out = push.outgoing[r].data();
    for (std::size_t l = 0; l < static_cast<std::size_t>(lanes_of(rank_)); ++l) {
      const auto begin = static_cast<std::size_t>(s.lane_slot_begin[l * ranks + r]);
      for (std::size_t k = 0; k < static_cast<std::size_t>(asked.lane_distinct[l]); ++k, out += width_) {
        std::memcpy(out, push.sums[begin + k], row_bytes());
      }
    }
    push_round_.send(static_cast<int>(r), push.outgoing[r].data(), asked.distinct * lines_per_row());
    bytes_sent_ += static_cast<std::int64_t>(asked.distinct * lines_per_row() * comm::line);
  }
}

void RowExchange::finish_push(int set, int channel, std::int64_t step) {
  Set& s = sets_[set];
  Push& push = s.pushes[channel];
  if (lanes_.size() == 1) {
    std::swap(push.totals, push.sums);
    return;
  }
  push_round_.wait(step);
  row_of_contribution_.clear();
  const auto ranks = static_cast<std::size_t>(ranks_);
  for (std::size_t l = 0; l < lanes_.size(); ++l) {
    const auto r = static_cast<std::size_t>(lanes_[l].subtree.rank);
    const auto in_rank = static_cast<std::size_t>(lanes_[l].index_in_rank);
    const std::size_t count = s.lane_touched[l].size();
    if (static_cast<int>(r) == rank_) {
      float* const* sums = push.sums.data() + s.lane_slot_begin[in_rank * ranks + r];
      row_of_contribution_.insert(row_of_contribution_.end(), sums, sums + count);
    } else {
      std::size_t passed = 0;
      for (std::size_t before = 0; before < in_rank; ++before)
        passed += static_cast<std::size_t>(s.asking[r].lane_distinct[before]);
      float* row = push.incoming[r].data() + passed * static_cast<std::size_t>(width_);
      for (std::size_t k = 0; k < count; ++k, row += width_) row_of_contribution_.push_back(row);
    }
  }
  push.totals.resize(s.touched.size());
  for_ranges(touched(set), [&](int begin, int end) {
    s.lane_sums.reduce(
        begin, end, width_, [&](std::int32_t c) { return row_of_contribution_[static_cast<std::size_t>(c)]; },
        push.totals.data());
  });
}

void RowExchange::return_rows(int set, const float* values, std::int64_t step) {
  Set& s = sets_[set];
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
      for (const std::uint32_t t : s.lane_touched[static_cast<std::size_t>(l)]) {
        std::memcpy(out, values + t * width, row_bytes());
        out += width_;
      }
    }
    return_round_.send(static_cast<int>(r), s.return_outgoing[r].data(), s.asking[r].distinct * lines_per_row());
    bytes_sent_ += static_cast<std::int64_t>(s.asking[r].distinct * row_bytes());
  }
  return_round_.wait(step);
  s.returned.resize(s.rows.size());
  std::vector<std::size_t> passed(ranks);
  for (std::size_t l = 0; l < static_cast<std::size_t>(lanes_of(rank_)); ++l) {
    for (std::size_t r = 0; r < ranks; ++r) {
      const auto begin = static_cast<std::size_t>(s.lane_slot_begin[l * ranks + r]);
      const auto count = static_cast<std::size_t>(s.asked[r].lane_distinct[l]);
      if (static_cast<int>(r) != rank_) {
        for (std::size_t k = 0; k < count; ++k)
          s.returned[begin + k] = s.return_incoming[r].data() + (passed[r] + k) * width;
      } else if (lanes_.size() == 1) {
        for (std::size_t k = 0; k < count; ++k) s.returned[begin + k] = values + k * width;
      } else {
        const auto& own = s.lane_touched[static_cast<std::size_t>(lane_begin_[r]) + l];
        for (std::size_t k = 0; k < count; ++k) s.returned[begin + k] = values + own[k] * width;
      }
      passed[r] += count;
    }
  }
}

}  // namespace spar::table
