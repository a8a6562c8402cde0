#include <algorithm>

#include "exchange_lines.hpp"
#include "pack_rows.hpp"

#include "spar/table/row_exchange.hpp"

namespace spar::table {

float* RowExchange::return_room(int set) {
  return returns_.values.require(static_cast<std::size_t>(touched(set)) * static_cast<std::size_t>(width_));
}

void RowExchange::return_rows(int set, std::int64_t step) {
  Set& s = sets_[static_cast<std::size_t>(set)];
  for (int r = 0; r < ranks_; ++r) {
    if (r == rank_) continue;
    const auto at = static_cast<std::size_t>(r);
    const std::size_t asked = s.asked[at].distinct;
    if (!near(r)) returns_.incoming[at].require(asked * static_cast<std::size_t>(width_));
    return_round_->receive(r, returns_.incoming[at].data(), asked * lines_per_row());
    near(r) ? send_return_places(r, s) : send_return_rows(r, s);
    bytes_sent_ += static_cast<std::int64_t>(s.asking[at].distinct * row_bytes());
  }
  return_round_->wait(step);
  list_returned(s);
}

// Where the answer for each of the requester's distinct rows lies among those for touched rows.
void RowExchange::send_return_places(int requester, const Set& s) {
  const auto at = static_cast<std::size_t>(requester);
  std::uint32_t* places = returns_.places[at].require(words_per_line + s.asking[at].distinct);
  write_offset(places, memory_->own(), returns_.values.data());
  std::uint32_t* out = places + words_per_line;
  for (int l = lane_begin_[at]; l < lane_begin_[at + 1]; ++l)
    out = std::ranges::copy(s.lane_touched[static_cast<std::size_t>(l)], out).out;
  return_round_->send(requester, places, 1 + lines_of_words(s.asking[at].distinct));
}

void RowExchange::send_return_rows(int requester, const Set& s) {
  const auto at = static_cast<std::size_t>(requester);
  const auto width = static_cast<std::size_t>(width_);
  const float* values = returns_.values.data();
  returns_.outgoing[at].require(s.asking[at].distinct * width);
  float* out = returns_.outgoing[at].data();
  for (int l = lane_begin_[at]; l < lane_begin_[at + 1]; ++l) {
    const auto& touched = s.lane_touched[static_cast<std::size_t>(l)];
    pack_rows(out, touched.size(), width_, [&](std::size_t k) { return values + touched[k] * width; });
    out += touched.size() * width;
  }
  return_round_->send(requester, returns_.outgoing[at].data(), s.asking[at].distinct * lines_per_row());
}

// Appends where the answers of an owner lie to row_of_slot_.
void RowExchange::list_answers(int owner, const Set& s) {
  const auto at = static_cast<std::size_t>(owner);
  const auto width = static_cast<std::size_t>(width_);
  const std::size_t count = s.asked[at].distinct;
  if (!near(owner)) {
    for (std::size_t k = 0; k < count; ++k) row_of_slot_.push_back(returns_.incoming[at].data() + k * width);
    return;
  }
  const auto* places = reinterpret_cast<const std::uint32_t*>(return_round_->arrived(owner));
  const float* values = at_offset<float>(places, memory_->of(owner));
  for (std::size_t k = 0; k < count; ++k) row_of_slot_.push_back(values + places[words_per_line + k] * width);
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
    if (r != rank_) list_answers(r, s);
  }
  for (std::size_t c = 0; c < asked; ++c) s.returned[c] = row_of_slot_[static_cast<std::size_t>(s.slot[c])];
}

}  // namespace spar::table
