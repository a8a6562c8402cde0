#include "data_tools/inspect_run.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "data_tools/inspect_training.hpp"
#include "spar/base/error.hpp"
#include "spar/base/progress.hpp"
#include "spar/data/dataset_file.hpp"
#include "spar/store/durable.hpp"
#include "spar/store/run_lock.hpp"
#include "spar/systems/run_directory.hpp"
#include "spar/systems/system.hpp"

namespace spar::data_tools {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct LogSummary {
  std::int64_t epochs = 0;
  std::int64_t starts = 0;
  std::string last_time;
};

struct RunFindings {
  systems::RunPaths paths;
  Recipe recipe;
  systems::RunRecord record;
  std::string data_state;  ///< "there", "gone" or "changed"
  std::vector<OpenedCheckpoint> checkpoints;
  std::vector<std::string> damaged;
  std::optional<store::LockOwner> lock;
  LogSummary log;
  std::vector<std::pair<std::string, Json>> results;  ///< file name and what it holds
};

std::string state_of(const systems::RunRecord& record) {
  std::error_code unknown;
  if (!fs::exists(record.data_path, unknown)) return "gone";
  try {
    return data::read_header(data::open_dataset(record.data_path)).content == record.data_content ? "there" : "changed";
  } catch (const Error&) {
    return "changed";
  }
}

void read_checkpoints(RunFindings& findings) {
  for (store::CheckpointManifest& manifest : store::list_checkpoints(findings.paths.checkpoints(), &findings.damaged)) {
    const std::string path = manifest.path;
    try {
      store::verify_checkpoint(manifest);
      findings.checkpoints.push_back(open_checkpoint(std::move(manifest)));
    } catch (const UserError& failure) {
      // A training that goes on deletes its older checkpoints.
      std::error_code unknown;
      if (fs::exists(path + "/manifest.json", unknown)) findings.damaged.emplace_back(failure.what());
    }
  }
}

LogSummary read_log(const std::string& path) {
  LogSummary summary;
  std::error_code unknown;
  if (!fs::exists(path, unknown)) return summary;
  const std::string text = store::read_text(path);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const Json line = Json::parse(text.substr(begin, end - begin), nullptr, false);
    begin = end + 1;
    if (!line.is_object()) continue;
    const std::string event = line.value("event", "");
    summary.epochs += event == "epoch" ? 1 : 0;
    summary.starts += event == "start" || event == "resume" ? 1 : 0;
    summary.last_time = line.value("time", summary.last_time);
  }
  return summary;
}

void read_results(RunFindings& findings) {
  std::error_code failure;
  std::vector<std::string> names;
  for (fs::directory_iterator entry(findings.paths.results(), failure), end; !failure && entry != end;
       entry.increment(failure)) {
    if (entry->path().extension() == ".json") names.push_back(entry->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    Json object = Json::parse(store::read_text(findings.paths.results() + "/" + name), nullptr, false);
    if (object.is_object()) findings.results.emplace_back(name, std::move(object));
  }
}

RunFindings examine(const std::string& path) {
  RunFindings findings;
  findings.paths.directory = path;
  findings.recipe = systems::load_recipe(findings.paths.recipe(), {});
  findings.record = systems::read_run_record(findings.paths);
  findings.data_state = state_of(findings.record);
  findings.lock = store::read_lock(path);
  read_checkpoints(findings);
  findings.log = read_log(findings.paths.log());
  read_results(findings);
  return findings;
}

// The stage whose best state a checkpoint holds, as the newest checkpoint knows it.
std::string best_stage(const RunFindings& findings, const std::string& name) {
  const OpenedCheckpoint& newest = findings.checkpoints.front();
  const std::vector<std::string> stages = newest.stages();
  for (std::size_t k = 0; k < newest.progress.best.size() && k < stages.size(); ++k) {
    if (newest.progress.best[k].epoch >= 0 && newest.progress.best[k].checkpoint == name) return stages[k];
  }
  return "";
}

std::string state_phrase(const RunFindings& findings) {
  std::string phrase = "no checkpoint yet";
  if (!findings.checkpoints.empty()) {
    const game::TrainingProgress& progress = findings.checkpoints.front().progress;
    phrase = fmt::format("{} at {}", progress.finished ? "finished" : "checkpoint", progress_phrase(progress));
  }
  if (findings.lock)
    phrase += fmt::format("; run.lock of process {} on {} since {}", findings.lock->process, findings.lock->host,
                          findings.lock->since);
  return phrase;
}

std::string checkpoint_lines(const RunFindings& findings) {
  std::string lines;
  const auto add = [&](const std::string& text) { lines += titled(lines.empty() ? "checkpoints" : "", text); };
  for (const OpenedCheckpoint& checkpoint : findings.checkpoints) {
    const std::string& name = checkpoint.manifest.info.name;
    std::string what = &checkpoint == &findings.checkpoints.front() ? ", newest" : "";
    const std::string stage = best_stage(findings, name);
    if (!stage.empty()) what += ", best of " + stage;
    add(fmt::format("{}: {} bytes, all checksums match{}", name, with_commas(checkpoint.bytes()), what));
  }
  for (const std::string& sentence : findings.damaged) add(sentence);
  return lines;
}

// The metrics of an evaluation, the loss under attack of one metric, or what the best classifier of a probe read.
std::string result_phrase(const Json& object) {
  std::vector<std::string> pieces;
  if (object.contains("metrics") && object["metrics"].is_object()) {
    for (const auto& [metric, value] : object["metrics"].items()) {
      if (pieces.size() == 6) {
        pieces.emplace_back("...");
        break;
      }
      if (value.is_number()) pieces.push_back(fmt::format("{} {:.4f}", metric, value.get<double>()));
    }
  }
  if (object.contains("curve") && object["curve"].is_array() && !object["curve"].empty()) {
    const Json& curve = object["curve"];
    const Json& clean = curve.front()["metrics"];
    const std::string metric = clean.contains("ndcg@100") ? "ndcg@100" : clean.items().begin().key();
    pieces.push_back(fmt::format("{} {:.4f} clean", metric, clean[metric].get<double>()));
    for (std::size_t k = 1; k < curve.size(); ++k)
      pieces.push_back(fmt::format("{:.4f} {} {:g}", curve[k]["metrics"][metric].get<double>(),
                                   curve[k]["method"].get<std::string>(), curve[k]["epsilon"].get<double>()));
  }
  if (object.value("format", "") == "spar-probe") {
    for (const auto& [attribute, found] : object.at("attributes").items()) {
      double most = 0.0;
      for (const auto& classifier : found.at("classifiers"))
        most = std::max(most, classifier.at("accuracy").get<double>());
      pieces.push_back(fmt::format("{} {:.4f}, blind {:.4f}", attribute, most, found.at("majority").get<double>()));
    }
  }
  return fmt::format("{}", fmt::join(pieces, ", "));
}

std::string result_lines(const RunFindings& findings) {
  std::string lines;
  for (const auto& [name, object] : findings.results) {
    std::string phrase;
    try {
      phrase = result_phrase(object);
    } catch (const nlohmann::json::exception&) {
      phrase = "is not what spar wrote there";
    }
    lines += titled(lines.empty() ? "results" : "", fmt::format("{}: {}", name, phrase));
  }
  return lines;
}

std::string as_text(const RunFindings& findings) {
  std::string text = fmt::format("{}: run of {} on {}\n", findings.paths.directory, findings.recipe.system(),
                                 findings.record.data_name);
  text += titled("state", state_phrase(findings));
  if (!findings.checkpoints.empty()) {
    const std::string best = best_phrase(findings.checkpoints.front());
    if (!best.empty()) text += titled("best", best);
  }
  text += titled("data", fmt::format("{} (content {}{})", findings.record.data_path, findings.record.data_content,
                                     findings.data_state == "there"  ? ""
                                     : findings.data_state == "gone" ? "; the file is gone"
                                                                     : "; the file holds something else now"));
  text += titled("recipe", fmt::format("{}: {}", findings.record.recipe_name, settings_phrase(findings.recipe)));
  if (!findings.checkpoints.empty()) {
    const int shards = findings.checkpoints.front().manifest.shards;
    text += titled("layout", fmt::format("{} shard{}", shards, shards == 1 ? "" : "s"));
    text += table_lines(findings.checkpoints.front());
  }
  text += checkpoint_lines(findings);
  text += titled("log", fmt::format("{} epoch{}, {} start{}, last line {}", with_commas(findings.log.epochs),
                                    findings.log.epochs == 1 ? "" : "s", findings.log.starts,
                                    findings.log.starts == 1 ? "" : "s", findings.log.last_time));
  return text + result_lines(findings);
}

Json checkpoints_json(const RunFindings& findings) {
  Json list = Json::array();
  for (const OpenedCheckpoint& checkpoint : findings.checkpoints) {
    const store::CheckpointManifest& manifest = checkpoint.manifest;
    list.push_back({{"name", manifest.info.name},
                    {"epoch", checkpoint.progress.epoch},
                    {"step", checkpoint.progress.step},
                    {"best_of", best_stage(findings, manifest.info.name)},
                    {"bytes", checkpoint.bytes()}});
  }
  return list;
}

std::string as_json(const RunFindings& findings) {
  Json object = {{"kind", "run"},
                 {"path", findings.paths.directory},
                 {"system", findings.recipe.system()},
                 {"recipe", findings.record.recipe_name},
                 {"data",
                  {{"path", findings.record.data_path},
                   {"name", findings.record.data_name},
                   {"content", findings.record.data_content},
                   {"state", findings.data_state}}}};
  if (!findings.checkpoints.empty()) {
    const OpenedCheckpoint& newest = findings.checkpoints.front();
    object.update(Json::parse(training_json(newest)));
  }
  object["checkpoints"] = checkpoints_json(findings);
  object["damaged"] = findings.damaged;
  object["lock"] = nullptr;
  if (findings.lock)
    object["lock"] = {
        {"host", findings.lock->host}, {"process", findings.lock->process}, {"since", findings.lock->since}};
  object["log"] = {{"epochs", findings.log.epochs}, {"starts", findings.log.starts}, {"last", findings.log.last_time}};
  object["results"] = Json::object();
  for (const auto& [name, result] : findings.results) object["results"][name] = result;
  object["settings"] = Json::parse(settings_json(findings.recipe));
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

bool is_run(const std::string& path) {
  const systems::RunPaths paths{path};
  std::error_code unknown;
  return fs::exists(paths.recipe(), unknown) && fs::exists(paths.record(), unknown);
}

std::string inspect_run(const std::string& path, bool json, std::vector<std::string>& damage) {
  const RunFindings findings = examine(path);
  damage.insert(damage.end(), findings.damaged.begin(), findings.damaged.end());
  return json ? as_json(findings) : as_text(findings);
}

}  // namespace spar::data_tools
