#include "rank_saver.hpp"

#include <algorithm>
#include <cstring>

#include "checkpoint_directory.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::store {

namespace {

using Bytes = std::vector<std::byte>;

std::size_t block_floats(const CheckpointManifest& manifest) {
  std::int64_t bytes = 0;
  for (const auto& table : manifest.tables) {
    const std::int64_t row = row_bytes(table.fields);
    bytes = std::max(bytes, std::min(table.rows, block_rows(row)) * row);
  }
  return static_cast<std::size_t>(bytes) / sizeof(float);
}

template <class T>
void append(std::vector<T>& values, const Bytes& bytes) {
  if (bytes.empty()) return;
  const std::size_t size = values.size();
  values.resize(size + bytes.size() / sizeof(T));
  std::memcpy(values.data() + size, bytes.data(), bytes.size());
}

std::span<const float> floats(const Bytes& bytes) {
  return {reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)};
}

}  // namespace

RankSaver::RankSaver(const comm::Communicator& communicator, const CheckpointManifest& manifest,
                     const std::string& directory, const std::string& nonce, const std::vector<TableRows>& tables,
                     const std::vector<PendingRows>& pending, const std::function<bool()>& may_go_on)
    : communicator_(communicator),
      manifest_(manifest),
      directory_(directory),
      nonce_(nonce),
      tables_(tables),
      pending_(pending),
      may_go_on_(may_go_on),
      layout_{manifest.shards, communicator.size()},
      block_(block_floats(manifest)) {}

RankSaver::Written RankSaver::run() {
  Written written;
  for (const PartDuty& duty : duties_of(communicator_.rank(), layout_, manifest_.parts)) {
    if (duty.writer != communicator_.rank()) {
      send(duty);
    } else if (const auto part = write(duty)) {
      written.emplace_back(duty.part, *part);
    }
  }
  if (failure_) std::rethrow_exception(failure_);
  return written;
}

void RankSaver::attempt(const std::function<void()>& action) {
  if (failure_) return;
  try {
    action();
  } catch (...) {
    failure_ = std::current_exception();
  }
}

RowRange RankSaver::rows_of(std::size_t table, int rank, int part) const {
  const Partition shards{manifest_.tables[table].rows, manifest_.shards};
  return common({shards.begin(layout_.first_shard(rank)), shards.begin(layout_.end_shard(rank))},
                part_rows(manifest_.tables[table].rows, manifest_.parts, part));
}

void RankSaver::for_blocks(std::size_t table, int rank, int part,
                           const std::function<void(const RowRange&)>& action) const {
  const RowRange rows = rows_of(table, rank, part);
  const Index step = block_rows(row_bytes(manifest_.tables[table].fields));
  for (Index begin = rows.begin; begin < rows.end; begin += step) action({begin, std::min(rows.end, begin + step)});
}

std::span<const float> RankSaver::pack(std::size_t table, const RowRange& rows) {
  pack_rows(tables_[table], rows, block_.data());
  return {block_.data(), static_cast<std::size_t>(rows.size() * row_bytes(tables_[table].fields)) / sizeof(float)};
}

PartPending RankSaver::pending_of(std::size_t k, int part) const {
  const PendingRows& all = pending_[k];
  const CheckpointManifest::Table* table = manifest_.find_table(all.table);
  SPAR_ASSERT(table != nullptr && std::is_sorted(all.rows.begin(), all.rows.end()));
  const RowRange range = part_rows(table->rows, manifest_.parts, part);
  const auto first = std::lower_bound(all.rows.begin(), all.rows.end(), range.begin);
  const auto last = std::lower_bound(first, all.rows.end(), range.end);
  const auto value = [&](auto row) { return all.values.begin() + (row - all.rows.begin()) * all.columns; };
  return {{first, last}, {value(first), value(last)}};
}

// Ranks hold ascending rows, so taking them in turn gives ascending rows.
std::vector<PartPending> RankSaver::gather_pending(const PartDuty& duty) const {
  std::vector<PartPending> all;
  for (std::size_t k = 0; k < pending_.size(); ++k) all.push_back(pending_of(k, duty.part));
  for (int rank = duty.writer + 1; rank < duty.end_rank; ++rank) {
    for (PartPending& pending : all) {
      append(pending.rows, communicator_.receive(rank));
      append(pending.values, communicator_.receive(rank));
    }
  }
  return all;
}

void RankSaver::send(const PartDuty& duty) {
  for (std::size_t k = 0; k < pending_.size(); ++k) {
    const PartPending mine = pending_of(k, duty.part);
    communicator_.send(std::as_bytes(std::span(mine.rows)), duty.writer);
    communicator_.send(std::as_bytes(std::span(mine.values)), duty.writer);
  }
  for (std::size_t table = 0; table < tables_.size(); ++table) {
    for_blocks(table, communicator_.rank(), duty.part,
               [&](const RowRange& rows) { communicator_.send(std::as_bytes(pack(table, rows)), duty.writer); });
  }
}

void RankSaver::add(PartWriter& file, std::size_t table, const RowRange& rows, std::span<const float> block) const {
  file.add(table, rows, block.data());
  if (communicator_.is_root() && !may_go_on_()) throw EnvironmentError(lost_directory(directory_));
}

std::optional<CheckpointManifest::Part> RankSaver::write(const PartDuty& duty) {
  std::optional<PartWriter> file;
  std::optional<CheckpointManifest::Part> entry;
  const std::vector<PartPending> pending = gather_pending(duty);
  attempt([&] { file.emplace(manifest_, duty.part, directory_, nonce_, pending); });
  for (std::size_t table = 0; table < tables_.size(); ++table) {
    for_blocks(table, communicator_.rank(), duty.part,
               [&](const RowRange& rows) { attempt([&] { add(*file, table, rows, pack(table, rows)); }); });
    for (int rank = duty.writer + 1; rank < duty.end_rank; ++rank) {
      for_blocks(table, rank, duty.part, [&](const RowRange& rows) {
        const Bytes block = communicator_.receive(rank);
        attempt([&] { add(*file, table, rows, floats(block)); });
      });
    }
  }
  attempt([&] { entry = file->commit(); });
  return entry;
}

}  // namespace spar::store
