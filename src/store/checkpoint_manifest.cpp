#include "checkpoint_manifest.hpp"

#include <cstddef>
#include <filesystem>

#include "checkpoint_directory.hpp"
#include "checkpoint_plan.hpp"
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/base/error.hpp"
#include "spar/store/durable.hpp"

namespace spar::store {

namespace {

using Json = nlohmann::ordered_json;

std::string dumped(const Json& json) {
  return json.dump(1, ' ', false, Json::error_handler_t::replace);
}

std::string checksum_of(const Json& json) {
  const std::string text = dumped(json);
  return fmt::format("{:016x}", checksum(text.data(), text.size()));
}

Json table_json(const CheckpointManifest::Table& table) {
  Json fields = Json::array();
  for (const Field& field : table.fields) fields.push_back({{"name", field.name}, {"columns", field.columns}});
  return {{"name", table.name}, {"rows", table.rows}, {"fields", fields}};
}

Json part_json(const CheckpointManifest& manifest, int part) {
  const auto& entry = manifest.files[static_cast<std::size_t>(part)];
  Json rows = Json::object();
  for (const auto& table : manifest.tables) {
    const RowRange range = part_rows(table.rows, manifest.parts, part);
    rows[table.name] = {range.begin, range.end};
  }
  return {{"file", entry.file}, {"rows", rows}, {"bytes", entry.bytes}, {"content", entry.content}};
}

CheckpointManifest from_json(const Json& json) {
  CheckpointManifest manifest;
  json.at("name").get_to(manifest.info.name);
  json.at("shards").get_to(manifest.shards);
  json.at("parts").get_to(manifest.parts);
  for (const Json& table : json.at("tables")) {
    auto& mine = manifest.tables.emplace_back();
    table.at("name").get_to(mine.name);
    table.at("rows").get_to(mine.rows);
    for (const Json& field : table.at("fields"))
      mine.fields.push_back({field.at("name").get<std::string>(), field.at("columns").get<int>(), 0});
  }
  for (const Json& pending : json.at("pending"))
    manifest.pending.push_back({pending.at("table").get<std::string>(), pending.at("columns").get<int>()});
  for (const Json& file : json.at("files"))
    manifest.files.push_back({file.at("file").get<std::string>(), file.at("bytes").get<std::int64_t>(),
                              file.at("content").get<std::string>()});
  for (const Json& source : json.at("id_sources"))
    manifest.info.id_sources.emplace_back(source.at("path").get<std::string>(),
                                          source.at("content").get<std::string>());
  manifest.info.progress = json.at("progress").dump();
  json.at("recipe").get_to(manifest.info.recipe);
  json.at("identity").get_to(manifest.info.identity);
  return manifest;
}

}  // namespace

std::string manifest_text(const CheckpointManifest& manifest) {
  Json json = {{"format", checkpoint_format},
               {"version", checkpoint_version},
               {"name", manifest.info.name},
               {"shards", manifest.shards},
               {"parts", manifest.parts}};
  for (const char* list : {"tables", "pending", "files", "id_sources"}) json[list] = Json::array();
  for (const auto& table : manifest.tables) json["tables"].push_back(table_json(table));
  for (const auto& pending : manifest.pending)
    json["pending"].push_back({{"table", pending.table}, {"columns", pending.columns}});
  for (int part = 0; part < manifest.parts; ++part) json["files"].push_back(part_json(manifest, part));
  for (const auto& [path, content] : manifest.info.id_sources)
    json["id_sources"].push_back({{"path", path}, {"content", content}});
  json["progress"] = manifest.info.progress.empty() ? Json::object() : Json::parse(manifest.info.progress);
  json["recipe"] = manifest.info.recipe;
  json["identity"] = manifest.info.identity;
  json["checksum"] = checksum_of(json);
  return dumped(json) + '\n';
}

CheckpointManifest parse_manifest(const std::string& text, const std::string& checkpoint_path) {
  try {
    Json json = Json::parse(text);
    if (json.at("format") != checkpoint_format)
      throw UserError(damaged_checkpoint(checkpoint_path, "its manifest.json is of another program"));
    if (const auto version = json.at("version").get<std::int64_t>(); version > checkpoint_version)
      throw UserError(fmt::format(
          "the checkpoint {} has version {} of its format, but this program knows versions up to {}: use a newer spar",
          checkpoint_path, version, checkpoint_version));
    const auto stored = json.at("checksum").get<std::string>();
    json.erase("checksum");
    if (stored != checksum_of(json))
      throw UserError(damaged_checkpoint(checkpoint_path, "its manifest.json does not match its checksum"));
    CheckpointManifest manifest = from_json(json);
    manifest.path = checkpoint_path;
    return manifest;
  } catch (const nlohmann::json::exception&) {
    throw UserError(damaged_checkpoint(checkpoint_path, "its manifest.json is not readable"));
  }
}

std::string damaged_checkpoint(const std::string& checkpoint_path, const std::string& what) {
  return fmt::format("the checkpoint {} is damaged: {}; use an older one", checkpoint_path, what);
}

void check_part_sizes(const CheckpointManifest& manifest) {
  for (const auto& part : manifest.files) {
    std::error_code failure;
    const auto bytes = std::filesystem::file_size(manifest.path + "/" + part.file, failure);
    if (failure) throw UserError(damaged_checkpoint(manifest.path, fmt::format("its file {} is missing", part.file)));
    if (bytes != static_cast<std::uintmax_t>(part.bytes))
      throw UserError(damaged_checkpoint(
          manifest.path, fmt::format("its file {} has {} bytes instead of {}", part.file, bytes, part.bytes)));
  }
}

const CheckpointManifest::Table* CheckpointManifest::find_table(const std::string& name) const {
  for (const Table& table : tables)
    if (table.name == name) return &table;
  return nullptr;
}

CheckpointManifest read_manifest(const std::string& checkpoint_path) {
  const std::string file = checkpoint_path + "/" + manifest_file;
  std::error_code unknown;
  if (!std::filesystem::exists(file, unknown))
    throw UserError(fmt::format("{} is no checkpoint: it has no {}", checkpoint_path, manifest_file));
  CheckpointManifest manifest = parse_manifest(read_text(file), checkpoint_path);
  check_part_sizes(manifest);
  return manifest;
}

std::vector<CheckpointManifest> list_checkpoints(const std::string& checkpoints_dir,
                                                 std::vector<std::string>* damaged) {
  std::vector<CheckpointManifest> sound;
  for (const Candidate& candidate : candidates(checkpoints_dir)) {
    const std::string path = checkpoints_dir + "/" + candidate.directory;
    std::error_code unknown;
    if (!std::filesystem::exists(path + "/" + manifest_file, unknown)) continue;
    try {
      sound.push_back(read_manifest(path));
    } catch (const UserError& failure) {
      if (damaged != nullptr) damaged->emplace_back(failure.what());
    }
  }
  return sound;
}

std::vector<CheckpointManifest> list_checkpoints(const comm::Communicator& communicator,
                                                 const std::string& checkpoints_dir,
                                                 std::vector<std::string>* damaged) {
  std::string text;
  comm::agree(communicator, [&] {
    if (!communicator.is_root()) return;
    Json json = {{"sound", Json::array()}, {"damaged", Json::array()}};
    std::vector<std::string> skipped;
    for (const auto& manifest : list_checkpoints(checkpoints_dir, &skipped))
      json["sound"].push_back({{"path", manifest.path}, {"text", manifest_text(manifest)}});
    json["damaged"] = skipped;
    text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  });
  const Json json = Json::parse(communicator.broadcast(text, 0));
  std::vector<CheckpointManifest> sound;
  for (const Json& entry : json.at("sound"))
    sound.push_back(parse_manifest(entry.at("text").get<std::string>(), entry.at("path").get<std::string>()));
  if (damaged != nullptr) *damaged = json.at("damaged").get<std::vector<std::string>>();
  return sound;
}

}  // namespace spar::store
