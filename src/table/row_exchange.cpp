#include "spar/table/row_exchange.hpp"

#include <algorithm>
#include <cstring>

#include "spar/base/error.hpp"

namespace spar::table {

namespace {

constexpr std::size_t words_per_line = comm::line / sizeof(std::uint32_t);

std::size_t lines_of_words(std::size_t words) {
  return (words + words_per_line - 1) / words_per_line;
}

}  // namespace

RowExchange::RowExchange(const comm::Communicator& communicator, const ShardLayout& layout, Table& table,
                         std::size_t most_rows_per_shard, int tag, double deadline_seconds, bool copy_own_rows)
    : communicator_(communicator),
      layout_(layout),
      table_(table),
      rank_(communicator.rank()),
      ranks_(communicator.size()),
      width_(table.shape().width()),
      copy_own_rows_(copy_own_rows),
      most_rows_per_shard_(most_rows_per_shard),
      stamp_(static_cast<std::size_t>(table.rows())),
      stamp_slot_(static_cast<std::size_t>(table.rows())),
      id_round_(communicator, tag, "the ids of the next step", deadline_seconds),
      slot_round_(communicator, tag + 1, "the places of pulled rows", deadline_seconds),
      row_round_(communicator, tag + 2, "pulled rows", deadline_seconds),
      push_round_(communicator, tag + 3, "pushed gradients", deadline_seconds),
      return_round_(communicator, tag + 4, "perturbations", deadline_seconds) {
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
  for (Set& s : sets_) {
    s.asked.resize(static_cast<std::size_t>(ranks_));
    s.asking.resize(static_cast<std::size_t>(ranks_));
    s.lane_rows.resize(lanes_.size());
    s.lane_touched.resize(lanes_.size());
    s.return_outgoing.resize(static_cast<std::size_t>(ranks_));
    s.return_incoming.resize(static_cast<std::size_t>(ranks_));
    for (Push& push : s.pushes) {
      push.outgoing.resize(static_cast<std::size_t>(ranks_));
      push.incoming.resize(static_cast<std::size_t>(ranks_));
    }
    for (int r = 0; r < ranks_; ++r) {
      s.asked[static_cast<std::size_t>(r)].lane_ids.resize(static_cast<std::size_t>(lanes_of(rank_)));
      s.asked[static_cast<std::size_t>(r)].lane_distinct.resize(static_cast<std::size_t>(lanes_of(rank_)));
      s.asking[static_cast<std::size_t>(r)].lane_ids.resize(static_cast<std::size_t>(lanes_of(r)));
      s.asking[static_cast<std::size_t>(r)].lane_distinct.resize(static_cast<std::size_t>(lanes_of(r)));
    }
  }
}

// An id message begins with the flags and the number of ids of each lane of the sender; a slot message with the number
// of distinct rows of each.
std::size_t RowExchange::header_lines(int rank) const {
  return lines_of_words(1 + static_cast<std::size_t>(lanes_of(rank)));
}

int RowExchange::owner_of(Index row) const {
  if (ranks_ == 1) return 0;
  int r = std::min(ranks_ - 1, static_cast<int>(static_cast<double>(row) * rows_per_rank_inverse_));
  while (row >= bounds_[static_cast<std::size_t>(r) + 1]) ++r;
  while (row < bounds_[static_cast<std::size_t>(r)]) --r;
  return r;
}

void RowExchange::collect_ids(Set& s, std::span<const std::span<const Index>> wanted) {
  std::size_t total = 0;
  s.shard_begin.assign(1, 0);
  for (const auto& list : wanted) s.shard_begin.push_back(total += list.size());
  if (s.owner.size() < total) {
    s.owner.resize(total);
    s.position.resize(total);
    s.slot.resize(total);
  }
  const std::size_t header = header_lines(rank_) * words_per_line;
  for (Peer& peer : s.asked) {
    peer.ids.require(header + (total + words_per_line));
    peer.count = 0;
    std::fill(peer.lane_ids.begin(), peer.lane_ids.end(), 0);
  }
  std::size_t c = 0;
  for (std::size_t k = 0; k < wanted.size(); ++k) {
    const auto lane = static_cast<std::size_t>(lane_of_shard_[k]);
    for (const Index row : wanted[k]) {
      const auto owner = static_cast<std::size_t>(owner_of(row));
      Peer& peer = s.asked[owner];
      peer.ids[header + peer.count++] = static_cast<std::uint32_t>(row - bounds_[owner]);
      s.owner[c] = static_cast<std::uint32_t>(owner);
      s.position[c++] = static_cast<std::uint32_t>(peer.lane_ids[lane]++);
    }
  }
}

void RowExchange::request(int set, std::span<const std::span<const Index>> wanted, Flags flags, std::int64_t step) {
  Set& s = sets_[set];
  s.flags = flags;
  // The buffers of this set's last request are free: its rows have been received since.
  id_round_.wait(step);
  collect_ids(s, wanted);
  const std::size_t header = header_lines(rank_);
  for (int r = 0; r < ranks_; ++r) {
    if (r == rank_) continue;
    Peer& asking = s.asking[static_cast<std::size_t>(r)];
    const std::size_t room =
        header_lines(r) + lines_of_words(most_rows_per_shard_ * static_cast<std::size_t>(layout_.shard_count(r)));
    asking.ids.require(room * words_per_line);
    id_round_.receive(r, asking.ids.data(), room);
  }
  for (int r = 0; r < ranks_; ++r) {
    if (r == rank_) continue;
    Peer& asked = s.asked[static_cast<std::size_t>(r)];
    asked.ids[0] = flags;
    for (std::size_t l = 0; l < asked.lane_ids.size(); ++l)
      asked.ids[1 + l] = static_cast<std::uint32_t>(asked.lane_ids[l]);
    const std::size_t lines = header + lines_of_words(asked.count);
    id_round_.send(r, asked.ids.data(), lines);
    bytes_sent_ += static_cast<std::int64_t>(lines * comm::line);
  }
}

void RowExchange::progress() {
  id_round_.test();
  slot_round_.test();
  row_round_.test();
  push_round_.test();
}

void RowExchange::find_distinct(Set& s, int lane, const std::uint32_t* ids, std::uint32_t* slots, std::size_t count) {
  if (++search_ == 0) {
    std::fill(stamp_.begin(), stamp_.end(), 0U);
    search_ = 1;
  }
  auto& rows = s.lane_rows[static_cast<std::size_t>(lane)];
  rows.clear();
  for (std::size_t c = 0; c < count; ++c) {
    const std::uint32_t row = ids[c];
    if (stamp_[row] != search_) {
      stamp_[row] = search_;
      stamp_slot_[row] = static_cast<std::uint32_t>(rows.size());
      rows.push_back(row);
    }
    slots[c] = stamp_slot_[row];
  }
}

// Rows that any lane asked for; with one lane in all, just its own list.
void RowExchange::find_touched(Set& s) {
  if (lanes_.size() == 1) {
    std::swap(s.touched, s.lane_rows[0]);
    return;
  }
  if (++search_ == 0) {
    std::fill(stamp_.begin(), stamp_.end(), 0U);
    search_ = 1;
  }
  s.touched.clear();
  std::size_t contributions = 0;
  for (std::size_t l = 0; l < lanes_.size(); ++l) {
    auto& indices = s.lane_touched[l];
    indices.clear();
    for (const std::uint32_t row : s.lane_rows[l]) {
      if (stamp_[row] != search_) {
        stamp_[row] = search_;
        stamp_slot_[row] = static_cast<std::uint32_t>(s.touched.size());
        s.touched.push_back(row);
      }
      indices.push_back(stamp_slot_[row]);
    }
    contributions += indices.size();
  }
  s.lane_sums.reset(static_cast<int>(s.touched.size()), contributions);
  for (std::size_t l = 0; l < lanes_.size(); ++l) {
    for (const std::uint32_t t : s.lane_touched[l]) s.lane_sums.add(static_cast<int>(t), lanes_[l].subtree.begin);
  }
}

RowExchange::Flags RowExchange::serve(int set, std::int64_t step) {
  Set& s = sets_[set];
  id_round_.wait(step);
  slot_round_.wait(step);
  Flags flags = s.flags;
  for (int r = 0; r < ranks_; ++r) {
    const auto peer_index = static_cast<std::size_t>(r);
    Peer& peer = r == rank_ ? s.asked[peer_index] : s.asking[peer_index];
    const std::size_t header = header_lines(r) * words_per_line;
    if (r != rank_) {
      flags |= peer.ids[0];
      peer.count = 0;
      for (std::size_t l = 0; l < peer.lane_ids.size(); ++l) {
        peer.lane_ids[l] = static_cast<std::int32_t>(peer.ids[1 + l]);
        peer.count += peer.ids[1 + l];
      }
    }
    peer.slots.require(header + peer.count + words_per_line);
    peer.distinct = 0;
    // Within a message ids stand in the order of shards, so lane after lane.
    std::size_t begin = 0;
    for (std::size_t l = 0; l < peer.lane_ids.size(); ++l) {
      const int lane = lane_begin_[peer_index] + static_cast<int>(l);
      const auto count = static_cast<std::size_t>(peer.lane_ids[l]);
      find_distinct(s, lane, peer.ids.data() + header + begin, peer.slots.data() + header + begin, count);
      begin += count;
      peer.lane_distinct[l] = static_cast<std::int32_t>(s.lane_rows[static_cast<std::size_t>(lane)].size());
      peer.distinct += static_cast<std::size_t>(peer.lane_distinct[l]);
    }
    if (r == rank_) continue;
    peer.slots[0] = 0;
    for (std::size_t l = 0; l < peer.lane_ids.size(); ++l)
      peer.slots[1 + l] = static_cast<std::uint32_t>(peer.lane_distinct[l]);
    Peer& asked = s.asked[peer_index];
    const std::size_t own_header = header_lines(rank_);
    asked.slots.require((own_header + lines_of_words(asked.count)) * words_per_line);
    slot_round_.receive(r, asked.slots.data(), own_header + lines_of_words(asked.count));
    const std::size_t lines = header_lines(r) + lines_of_words(peer.count);
    slot_round_.send(r, peer.slots.data(), lines);
    bytes_sent_ += static_cast<std::int64_t>(lines * comm::line);
  }
  find_touched(s);
  return flags;
}

void RowExchange::send_rows(int set, std::int64_t step) {
  Set& s = sets_[set];
  row_round_.wait(step);
  for (int r = 0; r < ranks_; ++r) {
    if (r == rank_) continue;
    Peer& asked = s.asked[static_cast<std::size_t>(r)];
    asked.rows.require(asked.count * static_cast<std::size_t>(width_));
    row_round_.receive(r, asked.rows.data(), asked.count * lines_per_row());
    Peer& asking = s.asking[static_cast<std::size_t>(r)];
    asking.rows.require(asking.distinct * static_cast<std::size_t>(width_));
    float* out = asking.rows.data();
    for (int l = lane_begin_[static_cast<std::size_t>(r)]; l < lane_begin_[static_cast<std::size_t>(r) + 1]; ++l) {
      for (const std::uint32_t row : s.lane_rows[static_cast<std::size_t>(l)]) {
        std::memcpy(out, table_.record(row), row_bytes());
        out += width_;
      }
    }
    row_round_.send(r, asking.rows.data(), asking.distinct * lines_per_row());
    bytes_sent_ += static_cast<std::int64_t>(asking.distinct * lines_per_row() * comm::line);
  }
}

// The rank's slots: lane by lane, in it owner by owner, in it as the owner numbered them.
void RowExchange::assign_slots(Set& s) {
  const auto own_lanes = static_cast<std::size_t>(lanes_of(rank_));
  const auto ranks = static_cast<std::size_t>(ranks_);
  s.lane_slot_begin.assign(own_lanes * ranks + 1, 0);
  std::int32_t next = 0;
  for (std::size_t l = 0; l < own_lanes; ++l) {
    for (std::size_t r = 0; r < ranks; ++r) {
      s.lane_slot_begin[l * ranks + r] = next;
      next += s.asked[r].lane_distinct[l];
    }
  }
  s.lane_slot_begin.back() = next;
  const std::size_t header = header_lines(rank_) * words_per_line;
  // First id of each (owner, lane) in the owner's message.
  std::vector<std::size_t> first(ranks * own_lanes);
  for (std::size_t r = 0; r < ranks; ++r) {
    std::size_t begin = header;
    for (std::size_t l = 0; l < own_lanes; ++l) {
      first[r * own_lanes + l] = begin;
      begin += static_cast<std::size_t>(s.asked[r].lane_ids[l]);
    }
  }
  s.shard_sums.reset(next, s.shard_begin.back());
  for (std::size_t k = 0; k + 1 < s.shard_begin.size(); ++k) {
    const auto lane = static_cast<std::size_t>(lane_of_shard_[k]);
    const int shard = layout_.first_shard(rank_) + static_cast<int>(k);
    for (std::size_t c = s.shard_begin[k]; c < s.shard_begin[k + 1]; ++c) {
      const std::size_t owner = s.owner[c];
      const std::uint32_t slot = s.asked[owner].slots[first[owner * own_lanes + lane] + s.position[c]];
      s.slot[c] = static_cast<std::uint32_t>(s.lane_slot_begin[lane * ranks + owner]) + slot;
      s.shard_sums.add(static_cast<int>(s.slot[c]), shard);
    }
  }
}

void RowExchange::receive_rows(int set, std::int64_t step) {
  Set& s = sets_[set];
  slot_round_.wait(step);
  row_round_.wait(step);
  for (int r = 0; r < ranks_; ++r) {
    if (r == rank_) continue;
    Peer& asked = s.asked[static_cast<std::size_t>(r)];
    asked.distinct = 0;
    for (std::size_t l = 0; l < asked.lane_distinct.size(); ++l) {
      asked.lane_distinct[l] = static_cast<std::int32_t>(asked.slots[1 + l]);
      asked.distinct += asked.slots[1 + l];
    }
  }
  assign_slots(s);
  s.rows.resize(static_cast<std::size_t>(s.lane_slot_begin.back()));
  const auto ranks = static_cast<std::size_t>(ranks_);
  std::vector<std::size_t> passed(ranks);
  if (copy_own_rows_)
    s.own_rows.require(s.asked[static_cast<std::size_t>(rank_)].distinct * static_cast<std::size_t>(width_));
  for (std::size_t l = 0; l < static_cast<std::size_t>(lanes_of(rank_)); ++l) {
    for (std::size_t r = 0; r < ranks; ++r) {
      const auto begin = static_cast<std::size_t>(s.lane_slot_begin[l * ranks + r]);
      const auto count = static_cast<std::size_t>(s.asked[r].lane_distinct[l]);
      if (static_cast<int>(r) == rank_) {
        const auto& own = lanes_.size() == 1 ? s.touched : s.lane_rows[static_cast<std::size_t>(lane_begin_[r]) + l];
        for (std::size_t k = 0; k < count; ++k) {
          const float* row = table_.record(own[k]);
          if (copy_own_rows_) {
            float* copy = s.own_rows.data() + (passed[r] + k) * static_cast<std::size_t>(width_);
            std::memcpy(copy, row, row_bytes());
            row = copy;
          }
          s.rows[begin + k] = row;
        }
      } else {
        for (std::size_t k = 0; k < count; ++k)
          s.rows[begin + k] = s.asked[r].rows.data() + (passed[r] + k) * static_cast<std::size_t>(width_);
      }
      passed[r] += count;
    }
  }
}

}  // namespace spar::table
