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
  return rooms.gradients.require(asked_rows(set) * static_cast<std::size_t>(width_));
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

void RowExchange::send_sums(const Set& s, const Push& push, PushRooms& rooms) {
  const auto ranks = static_cast<std::size_t>(ranks_);
  for (std::size_t r = 0; r < ranks; ++r) {
    const int rank = static_cast<int>(r);
    if (rank == rank_) continue;
    const Asking& asking = s.asking[r];
    const Asked& asked = s.asked[r];
    if (!near(rank)) rooms.incoming[r].require(asking.distinct * static_cast<std::size_t>(width_));
    push_round_->receive(rank, rooms.incoming[r].data(), asking.distinct * lines_per_row());
    bytes_sent_ += static_cast<std::int64_t>(asked.distinct * row_bytes());
    if (near(rank)) {
      send_places(rank, s, push, rooms);
      continue;
    }
    rooms.outgoing[r].require(asked.distinct * static_cast<std::size_t>(width_));
    const float* const* sums = push.sums.data() + s.slot_begin[r];
    pack_rows(rooms.outgoing[r].data(), asked.distinct, width_, [sums](std::size_t k) { return sums[k]; });
    push_round_->send(rank, rooms.outgoing[r].data(), asked.distinct * lines_per_row());
  }
}

// Where the sum of each slot lies, in lines, for an owner that reads it in place.
void RowExchange::send_places(int owner, const Set& s, const Push& push, PushRooms& rooms) {
  const auto at = static_cast<std::size_t>(owner);
  const std::size_t count = s.asked[at].distinct;
  std::uint32_t* places = rooms.places[at].require(words_per_line + count);
  const float* gradients = rooms.gradients.data();
  write_offset(places, memory_->own(), gradients);
  const float* const* sums = push.sums.data() + s.slot_begin[at];
  for (std::size_t k = 0; k < count; ++k)
    places[words_per_line + k] = static_cast<std::uint32_t>((sums[k] - gradients) / floats_per_line);
  push_round_->send(owner, places, 1 + lines_of_words(count));
}

// The next `count` partial sums of a requester, of which `passed` stand before them.
void RowExchange::add_contributions(int requester, std::size_t passed, std::size_t count, PushRooms& rooms) {
  if (!near(requester)) {
    const auto width = static_cast<std::size_t>(width_);
    float* row = rooms.incoming[static_cast<std::size_t>(requester)].data() + passed * width;
    for (std::size_t k = 0; k < count; ++k, row += width) row_of_contribution_.push_back(row);
    return;
  }
  const auto* places = reinterpret_cast<const std::uint32_t*>(push_round_->arrived(requester));
  float* gradients = at_offset<float>(places, memory_->of(requester));
  places += words_per_line + passed;
  for (std::size_t k = 0; k < count; ++k)
    row_of_contribution_.push_back(gradients + static_cast<std::size_t>(places[k]) * floats_per_line);
}

void RowExchange::finish_push(int set, int channel, std::int64_t step) {
  Set& s = sets_[static_cast<std::size_t>(set)];
  Push& push = s.pushes[static_cast<std::size_t>(channel)];
  PushRooms& rooms = push_rooms_[room_set(set)][static_cast<std::size_t>(channel)];
  if (lanes_.size() == 1) {
    std::swap(push.totals, push.sums);
    return;
  }
  push_round_->wait(step);
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
      add_contributions(static_cast<int>(r), passed, count, rooms);
    }
  }
  sum_up(
      s.lane_sums, width_, [&](std::int32_t c) { return row_of_contribution_[static_cast<std::size_t>(c)]; },
      push.totals);
}

}  // namespace spar::table
