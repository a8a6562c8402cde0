#include <cstdio>
#include <optional>
#include <sstream>

#include "check_split.hpp"
#include "retrieval.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/progress.hpp"
#include "spar/base/threads.hpp"
#include "spar/cli/run.hpp"
#include "spar/evaluate/paired.hpp"
#include "spar/evaluate/results.hpp"
#include "spar/systems/posts.hpp"
#include "spar/systems/run_directory.hpp"

namespace spar::cli {

namespace {

// Samples of users are the same for all runs, whatever their seeds: only then can runs be compared user by user.
constexpr std::uint64_t sample_seed = 1;

struct Judged {
  std::vector<evaluate::RunResult> runs;
  int shards = 0;         // of the first run
  Index total_users = 0;  // of the first run
};

// The identity of a run without its seed.
std::string identity_without_seed(const systems::OpenRun& run) {
  std::istringstream lines(systems::identity_of(run.recipe, run.header.content));
  std::string rest;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("train.seed = ")) rest += line + "\n";
  }
  return rest;
}

Recipe with_overrides(const Recipe& recipe, const EvaluateOptions& options) {
  Recipe changed = recipe;
  if (!options.cutoffs.empty()) changed.set("evaluate.cutoffs", options.cutoffs);
  if (!options.metrics.empty()) changed.set("evaluate.metrics", options.metrics);
  if (!options.ties.empty()) changed.set("evaluate.ties", options.ties);
  if (!options.protocol.empty()) changed.set("evaluate.protocol", options.protocol);
  return changed;
}

evaluate::RunResult describe(const systems::OpenRun& run, const Recipe& recipe, const EvaluateOptions& options) {
  evaluate::RunResult result;
  result.run = run.paths.directory;
  result.system = run.recipe.system();
  result.data = run.header.name;
  result.content = run.header.content;
  result.group = identity_without_seed(run);
  result.seed = run.recipe.has("train.seed") ? run.recipe.integer("train.seed") : 0;
  result.split = options.split;
  result.checkpoint = run.is_best ? "best" : "last";
  result.epoch = run.epoch;
  if (run.is_best) {
    result.selected_by = run.recipe.text("evaluate.select_by");
    result.selected_on = run.recipe.text("evaluate.select_on");
  }
  result.protocol = recipe.text("evaluate.protocol");
  if (!options.retrieve.empty()) {
    result.protocol = fmt::format("reranked@{}", options.candidates);
    result.retriever = options.retrieve;
  }
  result.ties = recipe.text("evaluate.ties");
  result.cold_items = recipe.flag("evaluate.cold_items");
  result.sampled_users = options.users;
  if (run.model.learns_from_posts()) result.judged = "posts";
  return result;
}

std::string user_values_path(const systems::OpenRun& run, const evaluate::RunResult& result) {
  std::string name = result.file_name();
  name.erase(name.rfind(".json"));
  return run.paths.results() + "/" + name + ".users.tsv";
}

void judge(const comm::Communicator& communicator, const std::string& directory, const EvaluateOptions& options,
           Judged& judged) {
  const systems::OpenRun run = systems::open_run(communicator, directory, options.checkpoint);
  Recipe recipe;
  evaluate::EvaluationOptions evaluation;
  comm::agree(communicator, [&] {
    check_split(run, options.split);
    recipe = with_overrides(run.recipe, options);
    systems::require_posts(recipe, run.header);
    evaluation = systems::evaluation_options(recipe);
    evaluation.per_user = options.per_user || options.runs.size() > 1;
    if (options.retrieve.empty()) return;
    if (!options.protocol.empty()) throw UserError("--retrieve is a protocol of its own: leave out --protocol");
    evaluation.protocol = evaluate::Protocol::reranked;
    evaluation.retrieved = options.candidates;
  });
  const bool sampled = evaluation.protocol == evaluate::Protocol::sampled;
  systems::RunLists lists = systems::read_run_lists(communicator, *run.file, run.header, run.model, sampled,
                                                    !evaluation.cold_items || run.model.predicts_ratings());
  lists.chosen_users = lists.judged_users(options.split);
  if (options.users > 0) {
    lists.chosen_users = systems::choose_users(communicator, run.model.users->first_row(), run.model.users->rows(),
                                               options.users, sample_seed, lists.chosen_users);
  }
  evaluate::RunResult result = describe(run, recipe, options);
  evaluate::EvaluationLists parts = lists.evaluation(options.split, sampled);
  const systems::Scoring scoring = run.model.scoring(communicator, run.layout.shards, parts);
  std::optional<Retrieval> retrieval;
  systems::Scoring retrieving;
  if (!options.retrieve.empty()) {
    retrieval.emplace(communicator, options.retrieve, options.checkpoint, run);
    retrieving = retrieval->scoring(options.split, parts.chosen_users);
    parts.retriever = &retrieving.scorer;
  }
  result.values = evaluate::evaluate(communicator, run.layout.shards, scoring.scorer, parts, evaluation);
  comm::agree(communicator, [&] {
    if (communicator.is_root()) evaluate::save_result(run.paths.results(), result);
  });
  if (options.per_user) {
    evaluate::save_user_values(
        communicator, user_values_path(run, result), result.values,
        [&](Index first, Index count) { return data::read_ids(*run.file, "/users/ids", first, count); },
        [&](Index item) { return data::read_ids(*run.file, "/items/ids", item, 1).front(); });
  }
  if (judged.runs.empty()) {
    judged.shards = run.layout.shards;
    judged.total_users = run.header.users;
  }
  judged.runs.push_back(std::move(result));
}

// Each later run against the first.
std::vector<evaluate::RunDifference> differences_of(const comm::Communicator& communicator, const Judged& judged,
                                                    Progress& progress) {
  std::vector<evaluate::RunDifference> differences;
  const auto& runs = judged.runs;
  for (std::size_t k = 1; k < runs.size(); ++k) {
    const std::string obstacle = evaluate::obstacle_to_comparison(runs[0], runs[k]);
    if (!obstacle.empty()) {
      progress.line(fmt::format("no test of {} against {}: {}", runs[k].run, runs[0].run, obstacle));
      continue;
    }
    differences.push_back({0, k,
                           evaluate::compare_users(communicator, judged.shards, judged.total_users, runs[0].values,
                                                   runs[k].values, runs[0].values.names)});
  }
  return differences;
}

std::string saved_line(const std::vector<evaluate::RunResult>& runs, bool per_user) {
  const std::string name = runs.front().file_name();
  for (const auto& run : runs) {
    if (run.file_name() != name) return "saved in results/ of each run\n";
  }
  const std::string users = per_user ? fmt::format(" and {}.users.tsv", name.substr(0, name.rfind(".json"))) : "";
  return fmt::format("saved results/{}{} in {}\n", name, users, runs.size() == 1 ? runs.front().run : "each run");
}

}  // namespace

int run_evaluate(const comm::Communicator& communicator, const EvaluateOptions& options) {
  set_threads(options.threads > 0 ? options.threads : available_processors());
  Progress progress(options.progress_mode(), communicator.is_root());
  systems::check_runs(communicator, options.runs);
  if (!options.retrieve.empty()) systems::check_runs(communicator, {options.retrieve});
  Judged judged;
  for (std::size_t k = 0; k < options.runs.size(); ++k) {
    if (options.runs.size() > 1)
      progress.status(fmt::format("evaluating {} ({} of {})", options.runs[k], k + 1, options.runs.size()));
    judge(communicator, options.runs[k], options, judged);
  }
  const bool grouped = options.group == "seed";
  std::vector<evaluate::RunDifference> differences;
  if (!grouped) differences = differences_of(communicator, judged, progress);
  if (!communicator.is_root()) return static_cast<int>(ExitCode::done);
  std::string text;
  if (options.json) {
    text = judged.runs.size() == 1 && !grouped ? evaluate::run_json(judged.runs.front(), -1)
                                               : evaluate::comparison_json(judged.runs, differences, grouped);
  } else {
    text = (grouped ? evaluate::group_table(judged.runs) : evaluate::run_table(judged.runs, differences)) +
           saved_line(judged.runs, options.per_user);
  }
  std::fputs(text.c_str(), stdout);
  return static_cast<int>(ExitCode::done);
}

}  // namespace spar::cli
