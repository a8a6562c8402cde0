#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "spar/base/error.hpp"
#include "spar/base/progress.hpp"
#include "spar/base/threads.hpp"
#include "spar/cli/run.hpp"
#include "spar/data/attributes.hpp"
#include "spar/data/side_data.hpp"
#include "spar/evaluate/probe.hpp"
#include "spar/store/durable.hpp"
#include "spar/systems/run_directory.hpp"

namespace spar::cli {

namespace {

// The same users for all runs, whatever their seeds.
constexpr std::uint64_t sample_seed = 1;

struct Probed {
  std::string attribute;
  evaluate::ProbeResult result;
};

// Those asked for, else those that the run hides, else the data set's only one.
std::vector<std::string> attributes_of(const systems::OpenRun& run, const ProbeOptions& options) {
  std::vector<std::string> names = options.attributes;
  if (names.empty() && run.recipe.has("privacy.attributes")) names = run.recipe.texts("privacy.attributes");
  if (names.empty()) {
    for (const data::SideDescription& side : data::list_side_data(*run.file)) {
      if (side.kind == data::SideKind::attribute && side.side == data::Side::users) names.push_back(side.name);
    }
    if (names.empty())
      throw UserError(
          fmt::format("{}: has no attributes of users to probe for; spar import brings them with "
                      "--user-attributes",
                      run.header.path));
    if (names.size() > 1)
      throw UserError(fmt::format("{} has several attributes of users: choose by --attributes NAME,... of {}",
                                  run.header.path, fmt::join(names, ", ")));
  }
  for (const std::string& name : names)
    data::find_side_data(*run.file, data::SideKind::attribute, data::Side::users, name);
  return names;
}

class ProbeRun {
 public:
  ProbeRun(const comm::Communicator& communicator, const ProbeOptions& options, const std::string& directory)
      : communicator_(communicator),
        options_(options),
        run_(systems::open_run(communicator, directory, options.checkpoint)) {}

  void run(Progress& progress) {
    comm::agree(communicator_, [&] { names_ = attributes_of(run_, options_); });
    systems::RunLists lists = systems::read_run_lists(communicator_, *run_.file, run_.header, run_.model, false, false);
    const table::Table& users = *run_.model.users;
    lists.chosen_users =
        systems::choose_users(communicator_, users.first_row(), users.rows(), options_.users, sample_seed);
    // Histories end where training ends.
    const evaluate::EvaluationLists parts = lists.evaluation("validation", false);
    const systems::Scoring scoring = run_.model.scoring(communicator_, run_.layout.shards, parts);
    for (const std::string& name : names_) {
      progress.status(fmt::format("probing {} for {}", run_.paths.directory, name));
      std::vector<std::int32_t> classes(static_cast<std::size_t>(users.rows()), -1);
      int values = 0;
      comm::agree(communicator_, [&] {
        const auto side = data::find_side_data(*run_.file, data::SideKind::attribute, data::Side::users, name);
        values = static_cast<int>(side.width) - 1;
        if (users.rows() == 0) return;
        const auto codes = data::read_attribute(*run_.file, data::Side::users, name, users.first_row(),
                                                users.first_row() + users.rows());
        // Who has no training interactions has a vector that says nothing.
        for (Index k = 0; k < users.rows(); ++k) {
          const auto at = static_cast<std::size_t>(k);
          if (lists.chosen_users[at] != 0 && !lists.train.of(k).empty())
            classes[at] = static_cast<std::int32_t>(codes[at]) - 1;
        }
      });
      try {
        probed_.push_back({name, evaluate::probe(communicator_, run_.layout, run_.header.users, scoring.scorer.users,
                                                 classes, values, {.folds = options_.folds, .seed = options_.seed})});
      } catch (const UserError& error) {
        throw UserError(fmt::format("{}, attribute \"{}\": {}", run_.header.path, name, error.what()));
      }
    }
  }

  nlohmann::ordered_json json() const {
    nlohmann::ordered_json attributes = nlohmann::ordered_json::object();
    for (const Probed& probed : probed_) {
      nlohmann::ordered_json classifiers = nlohmann::ordered_json::object();
      for (const evaluate::ProbeScore& score : probed.result.scores) {
        classifiers[score.classifier] = {
            {"accuracy", score.accuracy}, {"balanced_accuracy", score.balanced_accuracy}, {"macro_f1", score.macro_f1}};
        if (score.auc) classifiers[score.classifier]["auc"] = *score.auc;
      }
      attributes[probed.attribute] = {{"users", probed.result.users},
                                      {"values", probed.result.value_counts},
                                      {"majority", probed.result.majority},
                                      {"classifiers", classifiers}};
    }
    return {{"format", "spar-probe"},      {"version", 1},
            {"run", run_.paths.directory}, {"system", run_.recipe.system()},
            {"data", run_.header.name},    {"checkpoint", run_.is_best ? "best" : "last"},
            {"epoch", run_.epoch},         {"folds", options_.folds},
            {"seed", options_.seed},       {"attributes", attributes}};
  }

  std::string table() const {
    std::string text =
        fmt::format("{}: {} folds of {} users, epoch {} ({})\n", run_.paths.directory, options_.folds,
                    with_commas(probed_.front().result.users), run_.epoch, run_.is_best ? "best" : "last");
    std::size_t width = 9;
    for (const Probed& probed : probed_) width = std::max(width, probed.attribute.size());
    text += fmt::format("{:<{}}  {:<10}  {:>8}  {:>8}  {:>8}  {:>8}  {:>8}\n", "attribute", width, "classifier",
                        "majority", "accuracy", "balanced", "macro F1", "AUC");
    for (const Probed& probed : probed_) {
      for (const evaluate::ProbeScore& score : probed.result.scores) {
        text += fmt::format("{:<{}}  {:<10}  {:>8.4f}  {:>8.4f}  {:>8.4f}  {:>8.4f}  {:>8}\n", probed.attribute, width,
                            score.classifier, probed.result.majority, score.accuracy, score.balanced_accuracy,
                            score.macro_f1, score.auc ? fmt::format("{:.4f}", *score.auc) : "-");
      }
    }
    return text;
  }

  std::string save() const {
    store::make_directories(run_.paths.results());
    std::string path =
        fmt::format("{}/probe-{}-{}.json", run_.paths.results(), options_.checkpoint, fmt::join(names_, "-"));
    store::write_durably(path, json().dump(2) + "\n");
    return path;
  }

 private:
  const comm::Communicator& communicator_;
  const ProbeOptions& options_;
  systems::OpenRun run_;
  std::vector<std::string> names_;
  std::vector<Probed> probed_;
};

}  // namespace

int run_probe(const comm::Communicator& communicator, const ProbeOptions& options) {
  set_threads(options.threads > 0 ? options.threads : available_processors());
  Progress progress(options.progress_mode(), communicator.is_root());
  systems::check_runs(communicator, options.runs);
  nlohmann::ordered_json objects = nlohmann::ordered_json::array();
  std::string text;
  for (const std::string& directory : options.runs) {
    ProbeRun run(communicator, options, directory);
    run.run(progress);
    objects.push_back(run.json());
    comm::agree(communicator, [&] {
      if (communicator.is_root()) text += run.table() + fmt::format("saved {}\n", run.save());
    });
  }
  if (!communicator.is_root()) return static_cast<int>(ExitCode::done);
  if (options.json) text = (objects.size() == 1 ? objects.front() : objects).dump(2) + "\n";
  std::fputs(text.c_str(), stdout);
  return static_cast<int>(ExitCode::done);
}

}  // namespace spar::cli
