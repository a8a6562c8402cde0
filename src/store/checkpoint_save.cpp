#include <chrono>
#include <filesystem>
#include <optional>
#include <sys/statvfs.h>

#include "checkpoint_directory.hpp"
#include "checkpoint_index.hpp"
#include "checkpoint_manifest.hpp"
#include "rank_saver.hpp"
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/base/error.hpp"
#include "spar/store/checkpoint.hpp"
#include "spar/store/durable.hpp"

namespace spar::store {

namespace {

CheckpointManifest describe(int shards, const CheckpointInfo& info, const std::vector<TableRows>& tables,
                            const std::vector<PendingRows>& pending, std::int64_t part_bytes) {
  CheckpointManifest manifest;
  manifest.info = info;
  manifest.shards = shards;
  for (const TableRows& table : tables) manifest.tables.push_back({table.name, table.total_rows, table.fields});
  for (const PendingRows& rows : pending) manifest.pending.push_back({rows.table, rows.columns});
  manifest.parts = checkpoint_parts(table_bytes(manifest), shards, part_bytes);
  return manifest;
}

void check_rows(const comm::Communicator& communicator, int shards, const std::vector<TableRows>& tables) {
  const ShardLayout layout{shards, communicator.size()};
  for (const TableRows& table : tables) {
    const Partition partition{table.total_rows, shards};
    SPAR_ASSERT(table.first_row == partition.begin(layout.first_shard(communicator.rank())));
    SPAR_ASSERT(table.first_row + table.rows == partition.begin(layout.end_shard(communicator.rank())));
  }
}

std::string megabytes(std::int64_t bytes) {
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) * 1e-6);
}

// Free bytes for this user, or -1 where the file system does not say.
std::int64_t free_bytes(const std::string& directory) {
  struct statvfs status {};
  if (statvfs(directory.c_str(), &status) != 0 || status.f_blocks == 0) return -1;
  return static_cast<std::int64_t>(status.f_bavail) * static_cast<std::int64_t>(status.f_frsize);
}

// What a full disk lacks, for a sentence; empty where there is room.
std::string missing_room(const std::string& directory, std::int64_t needed) {
  const std::int64_t free = free_bytes(directory);
  if (free < 0 || free >= needed) return "";
  return fmt::format(" (it needs {}, but {} has {} free)", megabytes(needed), directory, megabytes(free));
}

void make_temporary(const std::string& checkpoints_dir, const std::string& temporary, std::int64_t needed) {
  make_directories(checkpoints_dir);
  remove_tree(temporary);
  if (!missing_room(checkpoints_dir, needed).empty()) throw EnvironmentError("the disk is full");
  make_directories(temporary);
}

// The parts of all ranks, on rank 0.
void collect_parts(const comm::Communicator& communicator, const RankSaver::Written& mine,
                   CheckpointManifest& manifest) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [part, entry] : mine) list.push_back({part, entry.file, entry.bytes, entry.content});
  const std::string text = list.dump();
  const auto all = communicator.gather(std::as_bytes(std::span(text)), 0);
  manifest.files.resize(static_cast<std::size_t>(manifest.parts));
  for (const auto& bytes : all) {
    for (const auto& entry : nlohmann::json::parse(reinterpret_cast<const char*>(bytes.data()),
                                                   reinterpret_cast<const char*>(bytes.data()) + bytes.size()))
      manifest.files[entry[0].get<std::size_t>()] = {entry[1].get<std::string>(), entry[2].get<std::int64_t>(),
                                                     entry[3].get<std::string>()};
  }
}

void finish(const CheckpointManifest& manifest, const std::string& temporary, const std::string& nonce,
            const std::function<bool()>& may_commit) {
  write_durably(temporary + "/" + index_file, index_image(manifest));
  write_durably(temporary + "/" + manifest_file, manifest_text(manifest));
  if (!may_commit()) throw EnvironmentError(lost_directory(temporary));
  put_in_place(temporary, manifest.path, nonce);
}

std::int64_t bytes_written(const CheckpointManifest& manifest) {
  std::int64_t bytes = 0;
  for (const auto& part : manifest.files) bytes += part.bytes;
  return bytes;
}

}  // namespace

SaveReport save_checkpoint(const comm::Communicator& communicator, int shards, const std::string& checkpoints_dir,
                           const std::string& nonce, const CheckpointInfo& info, const std::vector<TableRows>& tables,
                           const std::vector<PendingRows>& pending, const std::function<bool()>& may_commit,
                           std::int64_t part_bytes) {
  const auto start = std::chrono::steady_clock::now();
  check_rows(communicator, shards, tables);
  CheckpointManifest manifest = describe(shards, info, tables, pending, part_bytes);
  manifest.path = checkpoints_dir + "/" + info.name;
  const std::string temporary = temporary_name(manifest.path, nonce);
  try {
    comm::agree(communicator, [&] {
      if (communicator.is_root()) make_temporary(checkpoints_dir, temporary, table_bytes(manifest));
    });
    std::optional<RankSaver> saver;
    comm::agree(communicator,
                [&] { saver.emplace(communicator, manifest, temporary, nonce, tables, pending, may_commit); });
    RankSaver::Written written;
    comm::agree(communicator, [&] { written = saver->run(); });
    collect_parts(communicator, written, manifest);
    comm::agree(communicator, [&] {
      if (communicator.is_root()) finish(manifest, temporary, nonce, may_commit);
    });
  } catch (const Error& failure) {
    if (communicator.is_root()) remove_tree(temporary);
    const std::string room =
        communicator.broadcast(communicator.is_root() ? missing_room(checkpoints_dir, table_bytes(manifest)) : "", 0);
    throw comm::AgreedError(ExitCode::environment,
                            fmt::format("the checkpoint {} was not written: {}{}; earlier checkpoints are untouched",
                                        manifest.path, failure.what(), room));
  }
  const std::int64_t bytes = communicator.max(communicator.is_root() ? bytes_written(manifest) : 0);
  return {manifest.path, bytes, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()};
}

}  // namespace spar::store
