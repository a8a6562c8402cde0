#include "data_tools/inspect_checkpoint.hpp"

#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "data_tools/inspect_training.hpp"
#include "spar/base/progress.hpp"

namespace spar::data_tools {

namespace {

// The manifest keeps the identity of the data as the last line of the experiment's.
std::string data_content(const store::CheckpointManifest& manifest) {
  const std::string key = "data.content = \"";
  const std::size_t at = manifest.info.identity.find(key);
  if (at == std::string::npos) return "";
  const std::size_t begin = at + key.size();
  return manifest.info.identity.substr(begin, manifest.info.identity.find('"', begin) - begin);
}

std::string as_json(const std::string& path, const OpenedCheckpoint& checkpoint) {
  const store::CheckpointManifest& manifest = checkpoint.manifest;
  nlohmann::ordered_json object = {{"kind", "checkpoint"},
                                   {"path", path},
                                   {"name", manifest.info.name},
                                   {"system", checkpoint.recipe.system()},
                                   {"data_content", data_content(manifest)}};
  object.update(nlohmann::ordered_json::parse(training_json(checkpoint)));
  object["bytes"] = checkpoint.bytes();
  object["pending"] = nlohmann::ordered_json::array();
  for (const auto& pending : manifest.pending)
    object["pending"].push_back({{"table", pending.table}, {"columns", pending.columns}});
  object["files"] = nlohmann::ordered_json::array();
  for (const auto& file : manifest.files)
    object["files"].push_back({{"file", file.file}, {"bytes", file.bytes}, {"content", file.content}});
  object["settings"] = nlohmann::ordered_json::parse(settings_json(checkpoint.recipe));
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string as_text(const std::string& path, const OpenedCheckpoint& checkpoint) {
  const store::CheckpointManifest& manifest = checkpoint.manifest;
  std::string text = fmt::format("{}: checkpoint of {} after {}{}\n", path, checkpoint.recipe.system(),
                                 progress_phrase(checkpoint.progress),
                                 checkpoint.progress.finished ? ", the last of a finished training" : "");
  const std::string best = best_phrase(checkpoint);
  if (!best.empty()) text += titled("best", best);
  text += titled("data", "content " + data_content(manifest));
  text += titled("settings", settings_phrase(checkpoint.recipe));
  text += titled("layout", fmt::format("{} shard{}", manifest.shards, manifest.shards == 1 ? "" : "s"));
  text += table_lines(checkpoint);
  for (std::size_t k = 0; k < manifest.files.size(); ++k) {
    const auto& file = manifest.files[k];
    text += titled(k == 0 ? "files" : "",
                   fmt::format("{}: content {}, {} bytes", file.file, file.content, with_commas(file.bytes)));
  }
  return text + titled("", "all checksums match");
}

}  // namespace

bool is_checkpoint(const std::string& path) {
  std::error_code unknown;
  return std::filesystem::exists(path + "/manifest.json", unknown);
}

std::string inspect_checkpoint(const std::string& path, bool json) {
  const OpenedCheckpoint checkpoint = open_checkpoint(store::read_manifest(path));
  store::verify_checkpoint(checkpoint.manifest);
  return json ? as_json(path, checkpoint) : as_text(path, checkpoint);
}

}  // namespace spar::data_tools
