#include "pack_rows.hpp"

#include "spar/table/row_exchange.hpp"

namespace spar::table {

float* RowExchange::return_room(int set) {
  returns_.values.require(static_cast<std::size_t>(touched(set)) * static_cast<std::size_t>(width_));
  return returns_.values.data();
}

void RowExchange::return_rows(int set, std::int64_t step) {
  Set& s = sets_[static_cast<std::size_t>(set)];
  for (int r = 0; r < ranks_; ++r) {
    if (r == rank_) continue;
    const auto at = static_cast<std::size_t>(r);
    const std::size_t asked = s.asked[at].distinct;
    if (!near(r)) returns_.incoming[at].require(asked * static_cast<std::size_t>(width_));
    return_round_->receive(r, returns_.incoming[at].data(), asked * lines_per_row());
    send_return_rows(r, s);
    bytes_sent_ += static_cast<std::int64_t>(s.asking[at].distinct * row_bytes());
  }
  return_round_->wait(step);
  list_returned(s);
}

void RowExchange::send_return_rows(int requester, const Set& s) {
  const auto at = static_cast<std::size_t>(requester);
  const auto width = static_cast<std::size_t>(width_);
  const float* values = returns_.values.data();
  float* const begin = returns_.outgoing[at].require(s.asking[at].distinct * width);
  float* out = begin;
  for (int l = lane_begin_[at]; l < lane_begin_[at + 1]; ++l) {
    const auto& touched = s.lane_touched[static_cast<std::size_t>(l)];
    pack_rows(out, touched.size(), width_, [&](std::size_t k) { return values + touched[k] * width; });
    out += touched.size() * width;
  }
  return_round_->send(requester, begin, s.asking[at].distinct * lines_per_row());
}

void RowExchange::list_returned(Set& s) {
  const auto width = static_cast<std::size_t>(width_);
  const float* values = returns_.values.data();
  s.returned.resize(s.slot.size());
  const std::size_t asked = s.shard_begin.back();
  if (lanes_.size() == 1) {
    for (std::size_t c = 0; c < asked; ++c) s.returned[c] = values + static_cast<std::size_t>(s.slot[c]) * width;
    return;
  }
  row_of_slot_.clear();
  const auto own = static_cast<std::size_t>(rank_);
  for (int l = lane_begin_[own]; l < lane_begin_[own + 1]; ++l) {
    for (const std::uint32_t t : s.lane_touched[static_cast<std::size_t>(l)])
      row_of_slot_.push_back(values + t * width);
  }
  for (int r = 0; r < ranks_; ++r) {
    if (r == rank_) continue;
    const auto* row = reinterpret_cast<const float*>(return_round_->arrived(r));
    for (std::size_t k = 0; k < s.asked[static_cast<std::size_t>(r)].distinct; ++k, row += width)
      row_of_slot_.push_back(row);
  }
  for (std::size_t c = 0; c < asked; ++c) s.returned[c] = row_of_slot_[static_cast<std::size_t>(s.slot[c])];
}

}  // namespace spar::table
