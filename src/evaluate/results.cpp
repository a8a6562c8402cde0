#include "spar/evaluate/results.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "comparison.hpp"
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/base/progress.hpp"
#include "spar/store/durable.hpp"

namespace spar::evaluate {

namespace {

using Json = nlohmann::ordered_json;

Json number(double x) {
  return std::isnan(x) ? Json(nullptr) : Json(x);
}

Json object_of(const RunResult& run) {
  Json metrics = Json::object();
  Json errors = Json::object();
  for (const std::string& name : run.values.names) {
    metrics[name] = number(run.values.metrics.at(name).mean);
    errors[name] = number(run.values.metrics.at(name).standard_error);
  }
  Json object{{"format", "spar-evaluation"},
              {"version", 1},
              {"run", run.run},
              {"system", run.system},
              {"data", run.data},
              {"content", run.content},
              {"seed", run.seed},
              {"split", run.split},
              {"protocol", run.protocol},
              {"ties", run.ties},
              {"cold_items", run.cold_items},
              {"checkpoint", run.checkpoint},
              {"epoch", run.epoch},
              {"selected_by", run.selected_by},
              {"selected_on", run.selected_on},
              {"sampled_users", run.sampled_users},
              {"judged", run.judged},
              {run.judged, run.values.users},
              {"skipped", run.values.skipped},
              {"metrics", metrics},
              {"standard_errors", errors}};
  if (!run.retriever.empty()) object["retriever"] = run.retriever;
  return object;
}

Json tests_of(const std::vector<std::string>& names, const std::vector<MeanTest>& tests) {
  Json all = Json::object();
  for (std::size_t c = 0; c < names.size(); ++c) {
    all[names[c]] = {{"difference", number(tests[c].difference)},
                     {"standard_error", number(tests[c].standard_error)},
                     {"t", std::isfinite(tests[c].t) ? Json(tests[c].t) : Json(nullptr)},
                     {"p", number(tests[c].p)},
                     {"count", tests[c].count}};
  }
  return all;
}

Json object_of(const std::vector<RunResult>& runs, const SeedGroup& group) {
  Json object{{"label", group.label},
              {"runs", Json::array()},
              {"seeds", Json::array()},
              {"metrics", Json::object()},
              {"deviations", Json::object()}};
  for (const std::size_t run : group.runs) {
    object["runs"].push_back(runs[run].run);
    object["seeds"].push_back(runs[run].seed);
  }
  for (std::size_t c = 0; c < group.names.size(); ++c) {
    object["metrics"][group.names[c]] = number(group.spreads[c].mean);
    object["deviations"][group.names[c]] = number(group.spreads[c].deviation);
  }
  return object;
}

}  // namespace

std::string RunResult::label() const {
  const std::filesystem::path path(run);
  const std::string last = path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
  return last.empty() || last == "." ? run : last;
}

std::string RunResult::statement() const {
  std::string ranking = protocol == "sampled" ? "fixed candidates (sampled protocol)" : "full ranking";
  if (!retriever.empty()) ranking = fmt::format("{}, candidates by {}", protocol, retriever);
  std::string text = fmt::format("{}, {} {} ({} skipped), {}", split, with_commas(values.users), judged,
                                 with_commas(values.skipped), ranking);
  if (!cold_items) text += " of items seen in training";
  if (ties != "by_id") text += fmt::format(", {} ties", ties);
  text += fmt::format(", {} checkpoint", checkpoint);
  if (!selected_by.empty()) text += fmt::format(" by {} {}", selected_on, selected_by);
  if (selected_on == "test") text += " (selected on the test split)";
  return text;
}

std::string RunResult::file_name() const {
  std::string name = fmt::format("evaluate-{}-{}", split, checkpoint);
  if (protocol != "full") {
    name += "-" + protocol;
    std::replace(name.begin(), name.end(), '@', '-');
  }
  if (sampled_users > 0) name += fmt::format("-{}-users", sampled_users);
  return name + ".json";
}

std::string obstacle_to_comparison(const RunResult& first, const RunResult& second) {
  if (first.content != second.content) return "they were trained on different data";
  if (first.split != second.split) return "they were judged on different splits";
  if (first.judged != second.judged) return "one ranks items for users, the other tags for posts";
  if (first.protocol != second.protocol) return "they were judged by different protocols";
  if (first.retriever != second.retriever) return "their candidates come from different runs";
  if (first.ties != second.ties) return "they treat equal scores differently";
  if (first.cold_items != second.cold_items) return "their candidates differ (evaluate.cold_items)";
  if (first.values.names != second.values.names) return "they have different metrics";
  return "";
}

std::string run_json(const RunResult& run, int indent) {
  return object_of(run).dump(indent) + "\n";
}

std::string comparison_json(const std::vector<RunResult>& runs, const std::vector<RunDifference>& differences,
                            bool grouped) {
  Json all{{"runs", Json::array()}, {"differences", Json::array()}};
  for (const RunResult& run : runs) all["runs"].push_back(object_of(run));
  for (const RunDifference& difference : differences) {
    all["differences"].push_back({{"first", runs[difference.first].run},
                                  {"second", runs[difference.second].run},
                                  {"test", "paired t over " + runs[difference.first].judged},
                                  {"metrics", tests_of(runs[difference.first].values.names, difference.tests)}});
  }
  if (grouped) {
    all["groups"] = Json::array();
    all["group_differences"] = Json::array();
    const auto groups = seed_groups(runs);
    for (const SeedGroup& group : groups) all["groups"].push_back(object_of(runs, group));
    for (std::size_t g = 1; g < groups.size(); ++g) {
      if (groups[g].names != groups[0].names) continue;
      all["group_differences"].push_back({{"first", groups[0].label},
                                          {"second", groups[g].label},
                                          {"test", "Welch's t over seeds"},
                                          {"metrics", tests_of(groups[0].names, compare_seeds(groups[0], groups[g]))}});
    }
  }
  return all.dump() + "\n";
}

std::string save_result(const std::string& directory, const RunResult& run) {
  store::make_directories(directory);
  std::string path = directory + "/" + run.file_name();
  store::write_durably(path, run_json(run, 2));
  return path;
}

}  // namespace spar::evaluate
