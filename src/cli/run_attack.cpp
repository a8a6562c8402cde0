#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "check_split.hpp"
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/base/error.hpp"
#include "spar/base/progress.hpp"
#include "spar/base/threads.hpp"
#include "spar/cli/run.hpp"
#include "spar/store/durable.hpp"
#include "spar/systems/attack.hpp"
#include "spar/systems/feature_attack.hpp"
#include "spar/systems/profile_attack.hpp"
#include "spar/systems/run_directory.hpp"

namespace spar::cli {

namespace {

constexpr std::int64_t triples_per_shard = 512;
constexpr std::int64_t gradient_steps = 10;
constexpr std::int64_t search_steps = 1000;
constexpr Index ids_per_block = 65536;
constexpr std::size_t longest_taps_in_name = 80;
const char* const search_method = "cw";

struct Point {
  std::string method;
  double epsilon = 0;
  evaluate::EvaluationResult result;
};

// The attack of one run: clean point first, then every method at every epsilon, random noise always beside; the search
// for smallest changes has no epsilon and stands apart.
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
        plan.step_size = options_.step_size.value_or(2.5 * epsilon / static_cast<double>(plan.steps));
        if (options_.ball.empty()) plan.ball = method == "fgsm" ? adversary::Ball::linf : adversary::Ball::row_l2;
        const auto perturbed = systems::perturbed_model(communicator_, run_.layout, run_.model, lists_.train,
                                                        run_.header.counts[0], plan, lists_.train_posts());
        points_.push_back({method, epsilon, judge(perturbed)});
      }
    }
    if (!searches_) return;
    progress.status(
        fmt::format("attacking {}: searching the smallest changes of {}", run_.paths.directory, search_.tap));
    const auto lists = lists_.evaluation(options_.split, false);
    found_ = search_.tap == systems::profile_tap
                 ? systems::attack_profiles(communicator_, run_.layout, run_.model, lists, search_)
                 : systems::attack_features(communicator_, run_.layout, run_.model, lists, search_);
  }

  std::string json() const {
    nlohmann::ordered_json curve = nlohmann::ordered_json::array();
    for (const Point& point : points_) {
      nlohmann::ordered_json metrics;
      for (const auto& [name, value] : point.result.metrics) metrics[name] = value.mean;
      curve.push_back({{"method", point.method}, {"epsilon", point.epsilon}, {"metrics", metrics}});
    }
    nlohmann::ordered_json out{{"run", run_.paths.directory},
                               {"system", run_.recipe.system()},
                               {"data", run_.header.name},
                               {"split", options_.split},
                               {"checkpoint", run_.is_best ? "best" : "last"},
                               {"epoch", run_.epoch},
                               {"users", points_.front().result.users},
                               {"protocol", evaluation_.protocol == evaluate::Protocol::sampled ? "sampled" : "full"},
                               {"ball", options_.ball.empty() ? "row_l2 (fgsm: linf)" : options_.ball},
                               {"scope", options_.scope},
                               {"taps", plan_.taps},
                               {"steps", plan_.steps},
                               {"seed", options_.seed},
                               {"curve", curve}};
    if (searches_) out["cw"] = search_json();
    return out.dump(2);
  }

  std::string table() const {
    std::string text =
        fmt::format("{}: {}, {} users, taps {}, ball {}, scope {}; {}epoch {} ({})\n", run_.paths.directory,
                    options_.split, with_commas(points_.front().result.users), fmt::join(plan_.taps, "+"),
                    options_.ball.empty() ? "row_l2 (fgsm: linf)" : options_.ball, options_.scope, norms(), run_.epoch,
                    run_.is_best ? "best" : "last");
    const bool all = !options_.metrics.empty() || !options_.cutoffs.empty();
    for (const auto& [metric, clean] : points_.front().result.metrics) {
      if (!all && metric != run_.recipe.text("evaluate.select_by")) continue;
      text += fmt::format("{:<14}{:>9}", metric, "clean");
      for (const double epsilon : options_.epsilon) text += methods_.empty() ? "" : fmt::format("  {:<17g}", epsilon);
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
      if (methods_.empty()) text += fmt::format("{:<14}{:>9.4f}\n", "", clean.mean);
    }
    if (searches_) text += search_line();
    return text;
  }

  // Results of several attacks of one run stand side by side: the name says which.
  std::string save() const {
    std::string name = fmt::format("attack-{}-{}-{}-{}", options_.split, fmt::join(options_.methods, "-"),
                                   options_.ball.empty() ? "row_l2" : options_.ball, options_.scope);
    if (!options_.taps.empty()) {
      const std::string taps = fmt::format("{}", fmt::join(plan_.taps, "+"));
      name += taps.size() <= longest_taps_in_name ? "-" + taps : fmt::format("-{}-taps", plan_.taps.size());
    }
    if (searches_) name += search_.goal == systems::Goal::label ? "-label" : fmt::format("-top{}", options_.top);
    if (!options_.push.empty()) name += "-push";
    if (options_.most_changes) name += fmt::format("-max{}", *options_.most_changes);
    if (search_.box) name += fmt::format("-box{:g},{:g}", search_.box->first, search_.box->second);
    if (options_.draws > 0) name += fmt::format("-draws{}", options_.draws);
    name += ".json";
    store::make_directories(run_.paths.results());
    store::write_durably(run_.paths.results() + "/" + name, json() + "\n");
    return run_.paths.results() + "/" + name;
  }

 private:
  void prepare() {
    comm::agree(communicator_, [&] {
      check_split(run_, options_.split);
      if (!run_.model.network && !run_.model.autoencoder && !run_.recipe.has("model.dim"))
        throw UserError(fmt::format("{}: {} learns no vectors, so there is nothing to perturb", run_.paths.directory,
                                    run_.recipe.system()));
      for (const double epsilon : options_.epsilon) {
        if (!(epsilon >= 0)) throw UserError("--epsilon takes numbers from 0 on");
      }
      if (options_.scope == "batch" && options_.ball == "global_l2")
        throw UserError("a global ball spans all rows, so it needs --scope data; scope batch takes row_l2 and linf");
      choose_taps();
    });
    if (!methods_.empty() && std::find(methods_.begin(), methods_.end(), "random") == methods_.end())
      methods_.push_back("random");
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
    plan_.steps = options_.steps.value_or(gradient_steps);
    plan_.seed = options_.seed;
    // Networks and auto-encoders need the memory of a training step; triples of factors need little.
    const bool is_factor_model = !run_.model.network && !run_.model.autoencoder;
    plan_.batch_size = options_.scope == "data" && is_factor_model ? run_.layout.shards * triples_per_shard
                       : options_.batch_size > 0                   ? options_.batch_size
                                                                   : run_.recipe.integer("train.batch_size");
    lists_ = systems::read_run_lists(communicator_, *run_.file, run_.header, run_.model,
                                     evaluation_.protocol == evaluate::Protocol::sampled, !evaluation_.cold_items);
    lists_.chosen_users = systems::choose_users(
        communicator_, run_.model.users->first_row(), run_.model.users->rows(), options_.users,
        static_cast<std::uint64_t>(run_.recipe.integer("train.seed")), lists_.judged_users(options_.split));
    median_norms_ = systems::median_norms(communicator_, run_.layout, run_.model, plan_.taps);
    if (!options_.push.empty()) search_.pushed = row_of_item(options_.push);
  }

  void choose_taps() {
    const std::string& system = run_.recipe.system();
    methods_ = options_.methods;
    searches_ = std::erase(methods_, search_method) > 0;
    if (!searches_) refuse_search_options();
    plan_.taps = options_.taps.empty() ? systems::default_taps(run_.recipe, run_.model) : options_.taps;
    const auto inputs = systems::continuous_inputs(run_.model);
    if (searches_ && inputs.empty())
      throw UserError(fmt::format(
          "{}: --method cw changes numbers that describe items or profiles of users, and {} has none: it knows users "
          "and items by their ids",
          run_.paths.directory, system));
    if (searches_ && options_.taps.empty() && methods_.empty()) plan_.taps = {inputs.front()};
    // Profiles are changed by the search alone, so no other method may meet this tap.
    auto of_all = plan_.taps;
    if (searches_ && methods_.empty()) std::erase(of_all, systems::profile_tap);
    systems::check_taps(fmt::format("{}: {}", run_.paths.directory, system), run_.model, of_all);
    if (!searches_) return;
    const auto tap = std::ranges::find_first_of(plan_.taps, inputs);
    search_.tap = tap == plan_.taps.end() ? inputs.front() : *tap;
    if (!options_.taps.empty() && tap == plan_.taps.end())
      throw UserError(
          fmt::format("{}: --method cw changes what users and items are known by: of {} it can change {}, not {}",
                      run_.paths.directory, system, fmt::join(inputs, ", "), fmt::join(options_.taps, ", ")));
    search_.top = options_.top;
    search_.search.confidence = options_.confidence;
    search_.search.steps = static_cast<int>(options_.steps.value_or(search_steps));
    search_.search.most_changes = options_.most_changes.value_or(0);
    set_goal();
  }

  void refuse_search_options() const {
    const std::pair<bool, const char*> given[] = {{!options_.push.empty(), "--push"},
                                                  {options_.most_changes.has_value(), "--max-changes"},
                                                  {!options_.box.empty(), "--box"},
                                                  {options_.goal != "list", "--goal"},
                                                  {options_.draws > 0, "--draws"}};
    for (const auto& [is_given, name] : given) {
      if (is_given) throw UserError(fmt::format("{} is for --method cw only", name));
    }
  }

  void set_goal() {
    const std::string& system = run_.recipe.system();
    const bool profiles = search_.tap == systems::profile_tap;
    if (!options_.box.empty()) {
      if (options_.box.size() != 2 || options_.box[0] >= options_.box[1])
        throw UserError("--box takes two numbers, the smaller one first");
      search_.box = {options_.box[0], options_.box[1]};
      if (profiles && (options_.box[0] != 0.0 || options_.box[1] < 1.0))
        throw UserError(
            fmt::format("--box {:g},{:g}: entries of a profile are 0 or 1, so their box begins at 0 and "
                        "ends at 1 or above",
                        options_.box[0], options_.box[1]));
    }
    if (profiles && search_.search.most_changes > systems::most_profile_changes)
      throw UserError(fmt::format("--max-changes {}: of a profile at most {} entries may change",
                                  search_.search.most_changes, systems::most_profile_changes));
    if (options_.goal == "label" && !profiles)
      throw UserError(fmt::format("{}: --goal label is for systems that predict a label from profiles: {} ranks",
                                  run_.paths.directory, system));
    search_.goal = options_.goal == "label" ? systems::Goal::label : systems::Goal::list;
    if (options_.draws == 0) return;
    if (!profiles || !run_.model.network->profiled()->is_noisy())
      throw UserError(fmt::format("{}: --draws averages over the noise of a training: {} has none here",
                                  run_.paths.directory, system));
    if (search_.goal != systems::Goal::label)
      throw UserError("--draws goes with --goal label: lists are ranked without noise");
    search_.draws = static_cast<int>(options_.draws);
    search_.seed = options_.seed;
  }

  // The row of an item's original id, which lies on one rank.
  Index row_of_item(const std::string& id) {
    std::int64_t found = -1;
    const table::Table& items = *run_.model.items;
    comm::agree(communicator_, [&] {
      for (Index begin = 0; begin < items.rows() && found < 0; begin += ids_per_block) {
        const auto ids = data::read_ids(*run_.file, "/items/ids", items.first_row() + begin,
                                        std::min(ids_per_block, items.rows() - begin));
        const auto at = std::ranges::find(ids, id);
        if (at != ids.end()) found = items.first_row() + begin + (at - ids.begin());
      }
    });
    found = communicator_.max(found);
    if (found < 0) throw UserError(fmt::format("--push {}: item \"{}\" is not in {}", id, id, run_.record.data_path));
    return found;
  }

  std::string norms() const {
    std::vector<std::string> texts;
    for (const double norm : median_norms_) texts.push_back(fmt::format("{:.2g}", norm));
    return texts.empty() ? "" : fmt::format("median row {}; ", fmt::join(texts, " / "));
  }

  nlohmann::ordered_json search_json() const {
    const auto number = [](double x) {
      return std::isfinite(x) ? nlohmann::ordered_json(x) : nlohmann::ordered_json();
    };
    const auto share = [&](std::int64_t a, std::int64_t b) {
      return b == 0 ? nlohmann::ordered_json() : number(static_cast<double>(a) / static_cast<double>(b));
    };
    return {{"tap", search_.tap},
            {"goal", search_.pushed < 0 ? "leave" : "enter"},
            {"item", options_.push},
            {"top", search_.top},
            {"confidence", search_.search.confidence},
            {"label", search_.goal == systems::Goal::label},
            {"draws", search_.draws},
            {"max_changes", options_.most_changes ? nlohmann::ordered_json(*options_.most_changes) : nullptr},
            {"box", options_.box.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(options_.box)},
            {"steps", search_.search.steps},
            {"pairs", found_.pairs},
            {"attacked", found_.attacked},
            {"successes", found_.successes},
            {"success_rate", share(found_.successes, found_.attacked)},
            {"distortion", number(found_.distortion)},
            {"relative_distortion", number(found_.relative)},
            {"changes", number(found_.changes)},
            {"hit_ratio", share(found_.hits, found_.pairs)},
            {"attacked_hit_ratio", share(hits_after(), found_.pairs)}};
  }

  std::int64_t hits_after() const { return found_.hits + (search_.pushed < 0 ? -1 : 1) * found_.successes; }

  std::string search_line() const {
    const std::string goal =
        search_.goal == systems::Goal::label
            ? fmt::format("{} to label {}", search_.pushed < 0 ? "judged items" : "item " + options_.push,
                          search_.pushed < 0 ? 0 : 1)
        : search_.pushed < 0 ? fmt::format("judged items out of the top {}", search_.top)
                             : fmt::format("item {} into the top {}", options_.push, search_.top);
    std::string text = fmt::format("cw on {}, {}: {} of {} pairs", search_.tap, goal, with_commas(found_.successes),
                                   with_commas(found_.attacked));
    if (found_.attacked > 0)
      text +=
          fmt::format(" ({:.1f}%)", 100 * static_cast<double>(found_.successes) / static_cast<double>(found_.attacked));
    if (found_.successes > 0)
      text += fmt::format(", mean L2 distortion {:.4g} ({:.1f}% of a row) in {:.1f} numbers", found_.distortion,
                          100 * found_.relative, found_.changes);
    if (found_.pairs > 0)
      text += fmt::format("; hits {:.4f} before, {:.4f} after",
                          static_cast<double>(found_.hits) / static_cast<double>(found_.pairs),
                          static_cast<double>(hits_after()) / static_cast<double>(found_.pairs));
    return text + "\n";
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
  std::vector<double> median_norms_;
  bool searches_ = false;
  systems::FeatureAttackPlan search_;
  systems::FeatureAttackResult found_;
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
