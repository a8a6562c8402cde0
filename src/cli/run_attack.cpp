#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/base/error.hpp"
#include "spar/base/progress.hpp"
#include "spar/base/threads.hpp"
#include "spar/cli/run.hpp"
#include "spar/store/durable.hpp"
#include "spar/systems/attack.hpp"
#include "spar/systems/run_directory.hpp"

namespace spar::cli {

namespace {

constexpr std::int64_t triples_per_shard = 512;

struct Point {
  std::string method;
  double epsilon = 0;
  evaluate::EvaluationResult result;
};

// The attack of one run: clean point first, then every method at every epsilon, random noise always beside.
class AttackRun {
 public:
  AttackRun(const comm::Communicator& communicator, const AttackOptions& options, const std::string& directory)
      : communicator_(communicator),
        options_(options),
        run_(systems::open_run(communicator, directory, options.checkpoint)) {
    prepare();
  }

  void run(Progress& progress) {
    points_.push_back({"clean", 0.0, judge(run_.model)});
    for (const std::string& method : methods_) {
      for (const double epsilon : options_.epsilon) {
        progress.status(fmt::format("attacking {}: {} at epsilon {:g}", run_.paths.directory, method, epsilon));
        systems::AttackPlan plan = plan_;
        plan.method = systems::attack_method_of(method);
        plan.epsilon = epsilon;
        plan.step_size =
            options_.step_size.value_or(2.5 * epsilon / static_cast<double>(std::max<std::int64_t>(1, options_.steps)));
        if (options_.ball.empty()) plan.ball = method == "fgsm" ? adversary::Ball::linf : adversary::Ball::row_l2;
        const auto perturbed =
            systems::perturbed_model(communicator_, run_.layout, run_.model, lists_.train, run_.header.counts[0], plan);
        points_.push_back({method, epsilon, judge(perturbed)});
      }
    }
  }

  std::string json() const {
    nlohmann::ordered_json curve = nlohmann::ordered_json::array();
    for (const Point& point : points_) {
      nlohmann::ordered_json metrics;
      for (const auto& [name, value] : point.result.metrics) metrics[name] = value.mean;
      curve.push_back({{"method", point.method}, {"epsilon", point.epsilon}, {"metrics", metrics}});
    }
    const nlohmann::ordered_json out{
        {"run", run_.paths.directory},
        {"system", run_.recipe.system()},
        {"data", run_.header.name},
        {"split", options_.split},
        {"checkpoint", run_.is_best ? "best" : "last"},
        {"epoch", run_.epoch},
        {"users", points_.front().result.users},
        {"protocol", evaluation_.protocol == evaluate::Protocol::sampled ? "sampled" : "full"},
        {"ball", options_.ball.empty() ? "row_l2 (fgsm: linf)" : options_.ball},
        {"scope", options_.scope},
        {"taps", options_.taps},
        {"steps", options_.steps},
        {"seed", options_.seed},
        {"curve", curve}};
    return out.dump(2);
  }

  std::string table() const {
    std::string text =
        fmt::format("{}: {}, {} users, taps {}, ball {}, scope {}; median row {:.2g} / {:.2g}; epoch {} ({})\n",
                    run_.paths.directory, options_.split, with_commas(points_.front().result.users),
                    fmt::join(options_.taps, "+"), options_.ball.empty() ? "row_l2 (fgsm: linf)" : options_.ball,
                    options_.scope, user_norm_, item_norm_, run_.epoch, run_.is_best ? "best" : "last");
    const bool all = !options_.metrics.empty() || !options_.cutoffs.empty();
    for (const auto& [metric, clean] : points_.front().result.metrics) {
      if (!all && metric != run_.recipe.text("evaluate.select_by")) continue;
      text += fmt::format("{:<14}{:>9}", metric, "clean");
      for (const double epsilon : options_.epsilon) text += fmt::format("  {:<17g}", epsilon);
      text += "\n";
      for (const std::string& method : methods_) {
        text += fmt::format("{:<14}{:>9.4f}", method, clean.mean);
        for (const Point& point : points_) {
          if (point.method != method) continue;
          const double value = point.result.metrics.at(metric).mean;
          const std::string change =
              clean.mean == 0 ? std::string("-") : fmt::format("{:+.1f}%", 100 * (value - clean.mean) / clean.mean);
          text += fmt::format("  {:<17}", fmt::format("{:.4f} ({})", value, change));
        }
        text += "\n";
      }
    }
    return text;
  }

  // Results of several attacks of one run stand side by side: the name says which.
  std::string save() const {
    const std::string name = fmt::format("attack-{}-{}-{}-{}.json", options_.split, fmt::join(options_.methods, "-"),
                                         options_.ball.empty() ? "row_l2" : options_.ball, options_.scope);
    store::make_directories(run_.paths.results());
    store::write_durably(run_.paths.results() + "/" + name, json() + "\n");
    return run_.paths.results() + "/" + name;
  }

 private:
  void prepare() {
    comm::agree(communicator_, [&] {
      const Index targets = run_.header.counts[options_.split == "test" ? 2 : 1];
      if (targets == 0)
        throw UserError(fmt::format("{}: its data set has no {} interactions to be judged on", run_.paths.directory,
                                    options_.split));
      if (run_.model.autoencoder)
        throw UserError(
            fmt::format("{}: spar attack moves the vectors of factor models (bpr-mf, apr); {} is an "
                        "auto-encoder",
                        run_.paths.directory, run_.recipe.system()));
      if (run_.model.network)
        throw UserError(fmt::format("{}: spar attack moves the vectors of factor models (bpr-mf, apr); {} is a network",
                                    run_.paths.directory, run_.recipe.system()));
      if (!run_.recipe.has("model.dim"))
        throw UserError(fmt::format("{}: {} learns no vectors, so there is nothing to perturb", run_.paths.directory,
                                    run_.recipe.system()));
      for (const double epsilon : options_.epsilon) {
        if (!(epsilon >= 0)) throw UserError("--epsilon takes numbers from 0 on");
      }
      if (options_.scope == "batch" && options_.ball == "global_l2")
        throw UserError("a global ball spans all rows, so it needs --scope data; scope batch takes row_l2 and linf");
    });
    methods_ = options_.methods;
    if (std::find(methods_.begin(), methods_.end(), "random") == methods_.end()) methods_.push_back("random");
    evaluation_ = systems::evaluation_options(run_.recipe);
    if (!options_.cutoffs.empty()) evaluation_.cutoffs = options_.cutoffs;
    if (!options_.metrics.empty()) evaluation_.metrics = options_.metrics;
    // The table shows the metric that selected the model, so it must be among those evaluated.
    const std::string& by = run_.recipe.text("evaluate.select_by");
    const std::string metric = by.substr(0, by.find('@'));
    if (options_.metrics.empty() &&
        std::find(evaluation_.metrics.begin(), evaluation_.metrics.end(), metric) == evaluation_.metrics.end())
      evaluation_.metrics.push_back(metric);
    if (options_.cutoffs.empty() && by.find('@') != std::string::npos) {
      const std::int64_t cutoff = std::stoll(by.substr(by.find('@') + 1));
      if (std::find(evaluation_.cutoffs.begin(), evaluation_.cutoffs.end(), cutoff) == evaluation_.cutoffs.end())
        evaluation_.cutoffs.push_back(cutoff);
    }
    plan_.scope = adversary::scope_of(options_.scope);
    if (!options_.ball.empty()) plan_.ball = adversary::ball_of(options_.ball);
    plan_.steps = options_.steps;
    plan_.users = std::find(options_.taps.begin(), options_.taps.end(), "user") != options_.taps.end();
    plan_.items = std::find(options_.taps.begin(), options_.taps.end(), "item") != options_.taps.end();
    plan_.seed = options_.seed;
    plan_.batch_size = options_.scope == "data"  ? run_.layout.shards * triples_per_shard
                       : options_.batch_size > 0 ? options_.batch_size
                                                 : run_.recipe.integer("train.batch_size");
    lists_ = systems::read_run_lists(communicator_, *run_.file, run_.header, run_.model,
                                     evaluation_.protocol == evaluate::Protocol::sampled, !evaluation_.cold_items);
    lists_.chosen_users = systems::choose_users(
        communicator_, run_.model.users->first_row(), run_.model.users->rows(), options_.users,
        static_cast<std::uint64_t>(run_.recipe.integer("train.seed")), lists_.judged_users(options_.split));
    user_norm_ = run_.model.users->median_norm(communicator_, run_.layout.shards);
    item_norm_ = run_.model.items->median_norm(communicator_, run_.layout.shards);
  }

  evaluate::EvaluationResult judge(const systems::FactorModel& model) {
    const evaluate::EvaluationLists lists =
        lists_.evaluation(options_.split, evaluation_.protocol == evaluate::Protocol::sampled);
    const systems::Scoring scoring = model.scoring(communicator_, run_.layout.shards, lists);
    return evaluate::evaluate(communicator_, run_.layout.shards, scoring.scorer, lists, evaluation_);
  }

  const comm::Communicator& communicator_;
  const AttackOptions& options_;
  systems::OpenRun run_;
  systems::RunLists lists_;
  std::vector<std::string> methods_;
  evaluate::EvaluationOptions evaluation_;
  systems::AttackPlan plan_;
  std::vector<Point> points_;
  double user_norm_ = 0;
  double item_norm_ = 0;
};

}  // namespace

int run_attack(const comm::Communicator& communicator, const AttackOptions& options) {
  set_threads(options.threads > 0 ? options.threads : available_processors());
  Progress progress(options.progress_mode(), communicator.is_root());
  systems::check_runs(communicator, options.runs);
  std::vector<std::string> objects;
  std::string tables;
  std::vector<std::string> saved;
  for (const std::string& directory : options.runs) {
    AttackRun run(communicator, options, directory);
    run.run(progress);
    objects.push_back(run.json());
    tables += run.table();
    comm::agree(communicator, [&] {
      if (communicator.is_root()) saved.push_back(run.save());
    });
  }
  if (!communicator.is_root()) return static_cast<int>(ExitCode::done);
  if (options.json) {
    if (objects.size() == 1) {
      fmt::print("{}\n", objects.front());
    } else {
      fmt::print("[{}]\n", fmt::join(objects, ",\n"));
    }
  } else {
    fmt::print("{}", tables);
    for (const std::string& path : saved) fmt::print("saved {}\n", path);
  }
  std::fflush(stdout);
  return static_cast<int>(ExitCode::done);
}

}  // namespace spar::cli
