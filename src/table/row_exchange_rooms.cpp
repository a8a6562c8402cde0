#include "exchange_lines.hpp"

#include "spar/table/row_exchange.hpp"

namespace spar::table {

namespace {

constexpr std::size_t message_kinds = 5;

}  // namespace

// An id message begins with the flags and the number of ids of each lane of the sender; a slot message with the number
// of distinct rows of each.
std::size_t RowExchange::header_lines(int rank) const {
  return lines_of_words(1 + static_cast<std::size_t>(lanes_of(rank)));
}

std::size_t RowExchange::most_rows(int rank) const {
  return most_rows_per_shard_ * static_cast<std::size_t>(layout_.shard_count(rank));
}

std::size_t RowExchange::most_id_lines(int rank) const {
  return header_lines(rank) + lines_of_words(most_rows(rank));
}

void RowExchange::size_lists() {
  const auto ranks = static_cast<std::size_t>(ranks_);
  for (Set& s : sets_) {
    s.asked.resize(ranks);
    s.asking.resize(ranks);
    s.lane_rows.resize(lanes_.size());
    s.lane_touched.resize(lanes_.size());
    for (int r = 0; r < ranks_; ++r) {
      const auto at = static_cast<std::size_t>(r);
      s.asked[at].lane_ids.resize(static_cast<std::size_t>(lanes_of(rank_)));
      s.asked[at].lane_distinct.resize(static_cast<std::size_t>(lanes_of(rank_)));
      s.asking[at].lane_ids.resize(static_cast<std::size_t>(lanes_of(r)));
      s.asking[at].lane_distinct.resize(static_cast<std::size_t>(lanes_of(r)));
    }
  }
  for (auto& channels : push_rooms_) {
    for (PushRooms& rooms : channels) {
      rooms.outgoing.resize(ranks);
      rooms.incoming.resize(ranks);
    }
  }
  returns_.outgoing.resize(ranks);
  returns_.incoming.resize(ranks);
}

// All rooms of the node memory with the most that they ever hold. The mailboxes come first: they stand at the same
// place of every rank's block.
template <class Room>
void RowExchange::for_rooms(Room&& room) {
  const auto width = static_cast<std::size_t>(width_);
  const std::size_t own = most_rows(rank_);
  const auto words = [](std::size_t lines) { return lines * words_per_line; };
  room(mailboxes_, message_kinds * static_cast<std::size_t>(ranks_));
  for (std::size_t set = 0; set < sets; ++set) {
    const bool holds_rows = set == 0 || keep_own_rows_;
    for (int r = 0; r < ranks_; ++r) {
      const auto at = static_cast<std::size_t>(r);
      if (r == rank_) continue;
      room(sets_[set].asked[at].ids, words(most_id_lines(rank_)));
      room(sets_[set].asking[at].slots, words(most_id_lines(r)));
      if (!holds_rows) continue;
      room(sets_[set].asking[at].rows, most_rows(r) * width);
      for (PushRooms& rooms : push_rooms_[set]) room(rooms.outgoing[at], own * width);
      if (set == 0) room(returns_.outgoing[at], most_rows(r) * width);
    }
  }
}

void RowExchange::share_rooms(const ExchangeOptions& options) {
  std::size_t bytes = 0;
  for_rooms([&](auto& room, std::size_t most) { room.plan(bytes, most); });
  memory_ = std::make_unique<comm::NodeMemory>(communicator_, bytes, options.node_memory);
  for_rooms([&](auto& room, std::size_t) { room.bind(*memory_); });
  comm::Mailbox* mailboxes = memory_->own() == nullptr ? nullptr : mailboxes_.data();
  int kind = 0;
  const auto round = [&](const char* operation) {
    const int number = kind++;
    return std::make_unique<comm::MessageRound>(
        communicator_, options.tag + number, operation, options.deadline_seconds, memory_.get(),
        mailboxes == nullptr ? nullptr : mailboxes + static_cast<std::ptrdiff_t>(number) * ranks_);
  };
  id_round_ = round("the ids of the next step");
  slot_round_ = round("the places of pulled rows");
  row_round_ = round("pulled rows");
  push_round_ = round("pushed gradients");
  return_round_ = round("perturbations");
}

}  // namespace spar::table
