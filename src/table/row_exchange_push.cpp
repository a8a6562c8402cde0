#include <algorithm>

#include "exchange_lines.hpp"
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

float* RowExchange::gradient_room(int set, int channel) {
  auto& rooms = push_rooms_[room_set(set)][static_cast<std::size_t>(channel)];
  rooms.gradients.require(asked_rows(set) * static_cast<std::size_t>(width_));
  return rooms.gradients.data();
}

void RowExchange::push(int set, int channel, std::int64_t step) {
  Set& s = sets_[static_cast<std::size_t>(set)];
  Push& push = s.pushes[static_cast<std::size_t>(channel)];
  PushRooms& rooms = push_rooms_[room_set(set)][static_cast<std::size_t>(channel)];
  push_round_->wait(step);
  sum_up(
      s.shard_sums, width_,
      [gradients = rooms.gradients.data(), width = static_cast<std::ptrdiff_t>(width_)](std::int32_t c) {
        return gradients + c * width;
      },
      push.sums);
  if (ranks_ > 1) send_sums(s, push, rooms);
}

// Side by side for each owner, to ranks of this node, too: were the gradients read where they lie, the reader's cache
// would take lines between them as well, and the next step would have to win all of them back.
void RowExchange::send_sums(const Set& s, const Push& push, PushRooms& rooms) {
  const auto ranks = static_cast<std::size_t>(ranks_);
  for (std::size_t r = 0; r < ranks; ++r) {
    const int rank = static_cast<int>(r);
    if (rank == rank_) continue;
    const Asking& asking = s.asking[r];
    const Asked& asked = s.asked[r];
    if (!near(rank)) rooms.incoming[r].require(asking.distinct * static_cast<std::size_t>(width_));
    push_round_->receive(rank, rooms.incoming[r].data(), asking.distinct * lines_per_row());
    float* const out = rooms.outgoing[r].require(asked.distinct * static_cast<std::size_t>(width_));
    const float* const* sums = push.sums.data() + s.slot_begin[r];
    pack_rows(out, asked.distinct, width_, [sums](std::size_t k) { return sums[k]; });
    push_round_->send(rank, out, asked.distinct * lines_per_row());
    bytes_sent_ += static_cast<std::int64_t>(asked.distinct * row_bytes());
  }
}

void RowExchange::finish_push(int set, int channel, std::int64_t step) {
  Set& s = sets_[static_cast<std::size_t>(set)];
  Push& push = s.pushes[static_cast<std::size_t>(channel)];
  if (lanes_.size() == 1) {
    std::swap(push.totals, push.sums);
    return;
  }
  push_round_->wait(step);
  const auto width = static_cast<std::size_t>(width_);
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
      float* row = reinterpret_cast<float*>(push_round_->arrived(static_cast<int>(r))) + passed * width;
      for (std::size_t k = 0; k < count; ++k, row += width) row_of_contribution_.push_back(row);
    }
  }
  sum_up(
      s.lane_sums, width_, [&](std::int32_t c) { return row_of_contribution_[static_cast<std::size_t>(c)]; },
      push.totals);
}

}  // namespace spar::table
