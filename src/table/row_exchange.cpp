#include "spar/table/row_exchange.hpp"

#include <algorithm>
#include <cstring>

#include "exchange_lines.hpp"
#include "pack_rows.hpp"

#include "spar/base/error.hpp"

namespace spar::table {

RowExchange::RowExchange(const comm::Communicator& communicator, const ShardLayout& layout, Table& table,
                         const ExchangeOptions& options)
    : communicator_(communicator),
      layout_(layout),
      table_(table),
      rank_(communicator.rank()),
      ranks_(communicator.size()),
      width_(table.shape().width()),
      keep_own_rows_(options.keep_own_rows),
      most_rows_per_shard_(options.most_rows_per_shard),
      stamps_(table.rows()) {
  const Partition& partition = table.partition();
  for (int r = 0; r <= ranks_; ++r)
    bounds_.push_back(partition.begin(r == ranks_ ? layout.shards : layout.first_shard(r)));
  rows_per_rank_inverse_ = static_cast<double>(ranks_) / static_cast<double>(std::max<Index>(1, partition.rows));
  lane_begin_.assign(static_cast<std::size_t>(ranks_) + 1, 0);
  for (const Subtree& subtree : aligned_subtrees(layout)) {
    auto& end = lane_begin_[static_cast<std::size_t>(subtree.rank) + 1];
    lanes_.push_back({subtree, end++});
  }
  for (int r = 0; r < ranks_; ++r)
    lane_begin_[static_cast<std::size_t>(r) + 1] += lane_begin_[static_cast<std::size_t>(r)];
  for (int l = lane_begin_[static_cast<std::size_t>(rank_)]; l < lane_begin_[static_cast<std::size_t>(rank_) + 1];
       ++l) {
    const Lane& lane = lanes_[static_cast<std::size_t>(l)];
    for (int s = lane.subtree.begin; s < lane.subtree.end; ++s) lane_of_shard_.push_back(lane.index_in_rank);
  }
  size_lists();
  share_rooms(options);
}

// A guess from the mean, mended where ranks hold unequal blocks.
inline int RowExchange::owner_of(Index row) const {
  int r = std::min(ranks_ - 1, static_cast<int>(static_cast<double>(row) * rows_per_rank_inverse_));
  while (row >= bounds_[static_cast<std::size_t>(r) + 1]) ++r;
  while (row < bounds_[static_cast<std::size_t>(r)]) --r;
  return r;
}

void RowExchange::reset_lists(Set& s, std::span<const std::span<const Index>> wanted) {
  std::size_t total = 0;
  s.shard_begin.assign(1, 0);
  for (const auto& list : wanted) s.shard_begin.push_back(total += list.size());
  if (s.slot.size() < total) {
    s.slot.resize(total);
    s.rows.resize(total);
  }
  s.foreign.clear();
  s.own_begin.assign(1, 0);
  s.shard_sums.reset(total);
  const std::size_t header = header_lines(rank_) * words_per_line;
  for (int r = 0; r < ranks_; ++r) {
    if (r == rank_) continue;
    Asked& asked = s.asked[static_cast<std::size_t>(r)];
    asked.ids.require(header + total);
    asked.count = 0;
    std::fill(asked.lane_ids.begin(), asked.lane_ids.end(), 0);
  }
}

void RowExchange::collect_ids(Set& s, std::span<const std::span<const Index>> wanted) {
  reset_lists(s, wanted);
  for (std::size_t begin = 0; begin < wanted.size();) {
    std::size_t end = begin;
    while (end < wanted.size() && lane_of_shard_[end] == lane_of_shard_[begin]) ++end;
    collect_lane(s, wanted, begin, end);
    begin = end;
  }
}

// The rows that the shards [begin, end) of one lane want: the rank's own get their slots and are in place at once, the
// others go on their owners' lists. Which is which cannot be guessed, so a first loop parts them without branches.
void RowExchange::collect_lane(Set& s, std::span<const std::span<const Index>> wanted, std::size_t begin,
                               std::size_t end) {
  const std::size_t total = s.shard_begin[end] - s.shard_begin[begin];
  const Index first = bounds_[static_cast<std::size_t>(rank_)];
  const auto rows = static_cast<std::uint64_t>(bounds_[static_cast<std::size_t>(rank_) + 1] - first);
  own_wanted_.require(total + 1);
  foreign_wanted_.require(total + 1);
  std::size_t own = 0;
  std::size_t foreign = 0;
  for (std::size_t k = begin; k < end; ++k) {
    auto c = static_cast<std::uint32_t>(s.shard_begin[k]);
    const int shard = layout_.first_shard(rank_) + static_cast<int>(k);
    for (const Index row : wanted[k]) {
      const auto local = static_cast<std::uint64_t>(row - first);
      own_wanted_[own] = {c, shard, static_cast<std::uint32_t>(local)};
      foreign_wanted_[foreign] = {c, row};
      own += local < rows ? 1 : 0;
      foreign += local < rows ? 0 : 1;
      ++c;
    }
  }
  const auto lane = static_cast<std::size_t>(lane_of_shard_[begin]);
  place_own(s, lane, own);
  for (std::size_t k = 0; k < foreign; ++k) {
    const auto [c, row] = foreign_wanted_[k];
    const auto owner = static_cast<std::size_t>(owner_of(row));
    Asked& asked = s.asked[owner];
    s.foreign.push_back({c, static_cast<std::uint32_t>(owner), static_cast<std::uint32_t>(asked.count)});
    asked.ids[header_lines(rank_) * words_per_line + asked.count++] = static_cast<std::uint32_t>(row - bounds_[owner]);
    ++asked.lane_ids[lane];
  }
}

// Slots and places of the rank's own rows among those that a lane wants.
void RowExchange::place_own(Set& s, std::size_t lane, std::size_t count) {
  constexpr std::size_t ahead = 16;
  const std::int32_t lane_begin = s.own_begin.back();
  auto& own = s.lane_rows[static_cast<std::size_t>(lane_begin_[static_cast<std::size_t>(rank_)]) + lane];
  own.resize(count + 1);
  std::size_t distinct = 0;
  stamps_.start();
  for (std::size_t k = 0; k < count; ++k) {
    if (k + ahead < count) stamps_.fetch_early(own_wanted_[k + ahead].local);
    const auto [c, shard, local] = own_wanted_[k];
    bool fresh = false;
    const auto slot = lane_begin + static_cast<std::int32_t>(stamps_.find(local, fresh));
    s.slot[c] = slot;
    s.rows[c] = table_.record(static_cast<Index>(local));
    own[distinct] = local;
    distinct += fresh ? 1 : 0;
    s.shard_sums.add(slot, static_cast<std::int32_t>(c), shard, fresh);
  }
  own.resize(distinct);
  s.own_begin.push_back(lane_begin + static_cast<std::int32_t>(distinct));
}

void RowExchange::request(int set, std::span<const std::span<const Index>> wanted, Flags flags, std::int64_t step) {
  Set& s = sets_[static_cast<std::size_t>(set)];
  s.flags = flags;
  // By then every room of a steady state has been written once.
  if (requests_ < requests_to_settle && ++requests_ == requests_to_settle) memory_->use_huge_pages();
  // The buffers of this set's last request are free: its rows have been received since.
  id_round_->wait(step);
  collect_ids(s, wanted);
  if (ranks_ > 1) send_ids(s);
}

void RowExchange::send_ids(Set& s) {
  for (int r = 0; r < ranks_; ++r) {
    if (r == rank_) continue;
    Asking& asking = s.asking[static_cast<std::size_t>(r)];
    const std::size_t room = most_id_lines(r);
    if (!near(r)) asking.ids_room.require(room * words_per_line);
    id_round_->receive(r, asking.ids_room.data(), room);
  }
  const std::size_t header = header_lines(rank_);
  for (int r = 0; r < ranks_; ++r) {
    if (r == rank_) continue;
    Asked& asked = s.asked[static_cast<std::size_t>(r)];
    asked.ids[0] = s.flags;
    for (std::size_t l = 0; l < asked.lane_ids.size(); ++l)
      asked.ids[1 + l] = static_cast<std::uint32_t>(asked.lane_ids[l]);
    const std::size_t lines = header + lines_of_words(asked.count);
    id_round_->send(r, asked.ids.data(), lines);
    bytes_sent_ += static_cast<std::int64_t>(lines * comm::line);
  }
}

void RowExchange::progress() {
  id_round_->test();
  slot_round_->test();
  row_round_->test();
  push_round_->test();
}

void RowExchange::find_distinct(Set& s, int lane, const std::uint32_t* ids, std::uint32_t* slots, std::size_t count) {
  constexpr std::size_t ahead = 16;
  stamps_.start();
  auto& rows = s.lane_rows[static_cast<std::size_t>(lane)];
  rows.resize(count + 1);
  std::size_t distinct = 0;
  for (std::size_t c = 0; c < count; ++c) {
    if (c + ahead < count) stamps_.fetch_early(ids[c + ahead]);
    bool fresh = false;
    slots[c] = stamps_.find(ids[c], fresh);
    rows[distinct] = ids[c];
    distinct += fresh ? 1 : 0;
  }
  rows.resize(distinct);
}

// Rows that any lane asked for; with one lane in all, just its own list.
void RowExchange::find_touched(Set& s) {
  if (lanes_.size() == 1) {
    std::swap(s.touched, s.lane_rows[0]);
    return;
  }
  constexpr std::size_t ahead = 16;
  stamps_.start();
  std::size_t most = 0;
  for (const auto& rows : s.lane_rows) most += rows.size();
  s.lane_sums.reset(most);
  s.touched.resize(most + 1);
  std::size_t touched = 0;
  std::int32_t contribution = 0;
  for (std::size_t l = 0; l < lanes_.size(); ++l) {
    const auto& rows = s.lane_rows[l];
    auto& indices = s.lane_touched[l];
    indices.resize(rows.size());
    for (std::size_t k = 0; k < rows.size(); ++k, ++contribution) {
      if (k + ahead < rows.size()) stamps_.fetch_early(rows[k + ahead]);
      bool fresh = false;
      indices[k] = stamps_.find(rows[k], fresh);
      s.touched[touched] = rows[k];
      touched += fresh ? 1 : 0;
      s.lane_sums.add(static_cast<int>(indices[k]), contribution, lanes_[l].subtree.begin, fresh);
    }
  }
  s.touched.resize(touched);
}

// Finds the rows that are distinct in each lane of a requester and starts giving it their slots.
void RowExchange::answer(Set& s, int requester) {
  Asking& asking = s.asking[static_cast<std::size_t>(requester)];
  asking.ids = reinterpret_cast<const std::uint32_t*>(id_round_->arrived(requester));
  const std::size_t header = header_lines(requester) * words_per_line;
  asking.count = 0;
  for (std::size_t l = 0; l < asking.lane_ids.size(); ++l) {
    asking.lane_ids[l] = static_cast<std::int32_t>(asking.ids[1 + l]);
    asking.count += asking.ids[1 + l];
  }
  std::uint32_t* slots = asking.slots.require(header + asking.count);
  asking.distinct = 0;
  // Within a message ids stand in the order of shards, so lane after lane.
  std::size_t begin = header;
  for (std::size_t l = 0; l < asking.lane_ids.size(); ++l) {
    const int lane = lane_begin_[static_cast<std::size_t>(requester)] + static_cast<int>(l);
    const auto count = static_cast<std::size_t>(asking.lane_ids[l]);
    find_distinct(s, lane, asking.ids + begin, slots + begin, count);
    begin += count;
    asking.lane_distinct[l] = static_cast<std::int32_t>(s.lane_rows[static_cast<std::size_t>(lane)].size());
    asking.distinct += static_cast<std::size_t>(asking.lane_distinct[l]);
  }
  slots[0] = 0;
  for (std::size_t l = 0; l < asking.lane_ids.size(); ++l)
    slots[1 + l] = static_cast<std::uint32_t>(asking.lane_distinct[l]);
  Asked& asked = s.asked[static_cast<std::size_t>(requester)];
  const std::size_t room = header_lines(rank_) + lines_of_words(asked.count);
  if (!near(requester)) asked.slots_room.require(room * words_per_line);
  slot_round_->receive(requester, asked.slots_room.data(), room);
  const std::size_t lines = header_lines(requester) + lines_of_words(asking.count);
  slot_round_->send(requester, slots, lines);
  bytes_sent_ += static_cast<std::int64_t>(lines * comm::line);
}

RowExchange::Flags RowExchange::serve(int set, std::int64_t step) {
  Set& s = sets_[static_cast<std::size_t>(set)];
  id_round_->wait(step);
  slot_round_->wait(step);
  Flags flags = s.flags;
  for (int r = 0; r < ranks_; ++r) {
    if (r == rank_) continue;
    answer(s, r);
    flags |= s.asking[static_cast<std::size_t>(r)].ids[0];
  }
  find_touched(s);
  return flags;
}

void RowExchange::send_rows(int set, std::int64_t step) {
  Set& s = sets_[static_cast<std::size_t>(set)];
  auto& rooms = sets_[room_set(set)];
  row_round_->wait(step);
  for (int r = 0; r < ranks_; ++r) {
    if (r == rank_) continue;
    const auto at = static_cast<std::size_t>(r);
    Asked& asked = s.asked[at];
    if (!near(r)) asked.rows_room.require(asked.count * static_cast<std::size_t>(width_));
    row_round_->receive(r, asked.rows_room.data(), asked.count * lines_per_row());
    const Asking& asking = s.asking[at];
    float* const begin = rooms.asking[at].rows.require(asking.distinct * static_cast<std::size_t>(width_));
    float* out = begin;
    for (int l = lane_begin_[at]; l < lane_begin_[at + 1]; ++l) {
      const auto& rows = s.lane_rows[static_cast<std::size_t>(l)];
      pack_rows(out, rows.size(), width_, [&](std::size_t k) { return table_.record(rows[k]); });
      out += rows.size() * static_cast<std::size_t>(width_);
    }
    row_round_->send(r, begin, asking.distinct * lines_per_row());
    bytes_sent_ += static_cast<std::int64_t>(asking.distinct * row_bytes());
  }
}

// Slots of others' rows: owner by owner, in it lane by lane, in it as the owner numbered them.
void RowExchange::assign_slots(Set& s) {
  const auto own_lanes = static_cast<std::size_t>(lanes_of(rank_));
  const auto ranks = static_cast<std::size_t>(ranks_);
  s.slot_begin.assign(ranks + 1, s.own_begin.back());
  std::vector<std::int32_t> first(ranks * own_lanes);
  std::int32_t next = s.own_begin.back();
  for (std::size_t r = 0; r < ranks; ++r) {
    s.slot_begin[r] = next;
    if (static_cast<int>(r) == rank_) continue;
    for (std::size_t l = 0; l < own_lanes; ++l) {
      first[r * own_lanes + l] = next;
      next += s.asked[r].lane_distinct[l];
    }
  }
  s.slot_begin.back() = next;
  s.shard_sums.grow(next);
  const std::size_t header = header_lines(rank_) * words_per_line;
  std::size_t k = 0;
  for (const Foreign& f : s.foreign) {
    while (f.contribution >= s.shard_begin[k + 1]) ++k;
    const auto lane = static_cast<std::size_t>(lane_of_shard_[k]);
    const std::uint32_t in_lane = s.asked[f.owner].slots[header + f.position];
    const std::int32_t slot = first[f.owner * own_lanes + lane] + static_cast<std::int32_t>(in_lane);
    s.slot[f.contribution] = slot;
    s.shard_sums.add(slot, static_cast<std::int32_t>(f.contribution), layout_.first_shard(rank_) + static_cast<int>(k));
  }
}

void RowExchange::place_foreign_rows(Set& s) {
  for (const Foreign& f : s.foreign) {
    const std::int32_t place = s.slot[f.contribution] - s.slot_begin[f.owner];
    s.rows[f.contribution] = s.asked[f.owner].rows + static_cast<std::ptrdiff_t>(place) * width_;
  }
}

void RowExchange::copy_own_rows(Set& s) {
  const std::int32_t own = s.own_begin.back();
  s.own_rows.require(static_cast<std::size_t>(own) * static_cast<std::size_t>(width_));
  for (std::size_t c = 0; c < s.shard_begin.back(); ++c) {
    if (s.slot[c] >= own) continue;
    float* copy = s.own_rows.data() + static_cast<std::ptrdiff_t>(s.slot[c]) * width_;
    std::memcpy(copy, s.rows[c], row_bytes());
    s.rows[c] = copy;
  }
}

void RowExchange::receive_rows(int set, std::int64_t step) {
  Set& s = sets_[static_cast<std::size_t>(set)];
  slot_round_->wait(step);
  row_round_->wait(step);
  for (int r = 0; r < ranks_; ++r) {
    if (r == rank_) continue;
    Asked& asked = s.asked[static_cast<std::size_t>(r)];
    asked.slots = reinterpret_cast<const std::uint32_t*>(slot_round_->arrived(r));
    asked.rows = reinterpret_cast<const float*>(row_round_->arrived(r));
    asked.distinct = 0;
    for (std::size_t l = 0; l < asked.lane_distinct.size(); ++l) {
      asked.lane_distinct[l] = static_cast<std::int32_t>(asked.slots[1 + l]);
      asked.distinct += asked.slots[1 + l];
    }
  }
  assign_slots(s);
  place_foreign_rows(s);
  if (keep_own_rows_) copy_own_rows(s);
}

}  // namespace spar::table
