#include "spar/cli/options.hpp"

#include "spar/base/settings.hpp"

namespace spar::cli {

namespace {

const std::vector<std::string>& metric_choices() {
  return find_setting("evaluate.metrics")->choices;
}

void declare_checkpoint(OptionSet& set, std::string& checkpoint) {
  set.choice("--checkpoint", {"best", "last"}, checkpoint,
             "The checkpoint to use: the best by the recipe's select_by, or the newest");
}

void declare_judge(OptionSet& set, JudgeOptions& options) {
  set.arguments("DIR", options.runs, "Run directories");
  declare_checkpoint(set, options.checkpoint);
  set.choice("--split", {"test", "validation"}, options.split, "The part of the data set that judges");
  set.integers("--cutoffs", "N,...", options.cutoffs, {1, 100000},
               "Lengths of the ranked lists; default: the recipe's");
  set.choices("--metrics", metric_choices(), options.metrics, "Metrics to compute; default: the recipe's");
  set.integer("--users", "N", options.users, at_least(0),
              "Users that judge, a fixed sample where there are more; 0: all");
  set.flag("--json", options.json, "Print one JSON object to stdout");
}

void declare_recipe(OptionSet& set, std::string& recipe, std::string& data, std::vector<std::string>& overrides) {
  set.argument("RECIPE", recipe, "A TOML file, or the name of a ready recipe (spar systems lists them)");
  set.text("--data", "FILE", data, "The data set, as spar import writes it", Need::required);
  set.repeated("--set", "KEY=VALUE", overrides, "Another value for a setting of the recipe (spar settings lists them)");
}

void declare_retrieval(OptionSet& set, std::string& run, std::int64_t& candidates) {
  set.text("--retrieve", "DIR", run,
           "Rank only the best items of each user by this run of the same data, whose scores are inner products");
  set.integer("--candidates", "N", candidates, {1, 100000}, "Items of each user that --retrieve finds");
}

}  // namespace

void declare_work(OptionSet& set, WorkOptions& options) {
  set.integer("--threads", "N", options.threads, {0, 4096}, "Threads of each rank; 0: all processors that it may use");
  set.choice("--progress", progress_mode_names(), options.progress,
             "Progress on stderr: a line refreshed in place, plain lines, or none");
}

void declare(OptionSet& set, TrainOptions& options) {
  declare_recipe(set, options.recipe, options.data, options.set);
  set.text("--run", "DIR", options.run, "The run directory; default: runs/RECIPE-DATA");
  set.flag("--dry-run", options.dry_run, "Check everything and train nothing");
  declare_work(set, options);
}

void declare(OptionSet& set, EvaluateOptions& options) {
  declare_judge(set, options);
  const auto choices_of = [](const char* key) { return find_setting(key)->choices; };
  set.choice("--ties", choices_of("evaluate.ties"), options.ties, "Order of equal scores; default: the recipe's");
  set.choice("--protocol", choices_of("evaluate.protocol"), options.protocol, "Candidates; default: the recipe's");
  declare_retrieval(set, options.retrieve, options.candidates);
  set.choice("--group", {"seed"}, options.group,
             "Runs that differ in the seed only become one row, with mean and spread");
  set.flag("--per-user", options.per_user, "Also save the values of every user");
  declare_work(set, options);
}

void declare(OptionSet& set, AttackOptions& options) {
  declare_judge(set, options);
  set.choices("--method", {"random", "fgm", "fgsm", "bim", "pgd", "cw"}, options.methods,
              "Attacks; random noise of the same size is shown beside all but cw");
  set.reals("--epsilon", "X,...", options.epsilon, {0, 1e30}, "Sizes of the perturbation; cw finds its own");
  set.integer("--steps", "N", options.steps, {1, 100000},
              "Steps of bim and pgd (default: 10), of each search of cw (default: 1000)");
  set.real("--step-size", "X", options.step_size, {0, 1e30}, "Length of a step; default: 2.5 epsilon / steps");
  set.choice("--ball", find_setting("adversary.ball")->choices, options.ball,
             "What epsilon bounds; default: linf for fgsm, else row_l2");
  set.choice("--scope", {"batch", "data"}, options.scope,
             "The loss that is attacked: of batches, or of all training interactions at once");
  set.list("--taps", "TAP,...", options.taps,
           "What is perturbed; default: as the system's own adversary does, else all trained rows");
  set.integer("--batch-size", "N", options.batch_size, at_least(0),
              "Positives of a batch in scope batch; 0: the recipe's");
  set.integer("--top", "N", options.top, {1, 100000}, "Length of the lists that cw moves items out of or into");
  set.text("--push", "ID", options.push,
           "Original id of the item that cw moves into all lists; default: judged items leave their users' lists");
  set.real("--confidence", "X", options.confidence, {0, 1e30}, "By how much cw must pass the score at the lists' end");
  set.integer("--max-changes", "N", options.most_changes, {1, 1000000},
              "Numbers of a row that cw may change, those of the largest gradient; default: all, of profiles 256");
  set.reals("--box", "LOW,HIGH", options.box, {-1e30, 1e30},
            "What changed values of cw stay within; default: the range of the values, of profiles 0,1");
  set.choice("--goal", {"list", "label"}, options.goal,
             "What cw changes of profiles are to reach: another list, or another predicted label");
  set.integer("--draws", "N", options.draws, {0, 10000},
              "Draws of the noise of training over which cw averages logits, with --goal label");
  set.seed("--seed", options.seed, "Fixes the attack's random numbers");
  declare_work(set, options);
}

void declare(OptionSet& set, ProbeOptions& options) {
  set.arguments("DIR", options.runs, "Run directories");
  set.list("--attributes", "NAME,...", options.attributes,
           "Attributes of users to look for; default: those that the run hides, or the data set's only one");
  declare_checkpoint(set, options.checkpoint);
  set.integer("--users", "N", options.users, at_least(0),
              "Users that are read, a fixed sample where there are more; 0: all");
  set.integer("--folds", "N", options.folds, {2, 100}, "Parts of the users; each is judged by what the others taught");
  set.seed("--seed", options.seed, "Deals users to folds and starts the classifiers");
  set.flag("--json", options.json, "Print one JSON object to stdout");
  declare_work(set, options);
}

void declare(OptionSet& set, RecommendOptions& options) {
  set.argument("DIR", options.run, "A run directory");
  set.list("--users", "ID,...", options.users, "Original ids of users; default: all users");
  set.text("--users-from", "FILE", options.users_from, "A file with one original id a line; -: standard input");
  set.list("--items", "ID,...", options.items, "pitf, atf: rank tags for each of --users with each of these items");
  set.text("--posts", "FILE", options.posts,
           "pitf, atf: a file with the original ids of a user and an item a line, a tab between; -: standard input");
  set.integer("--top", "N", options.top, {1, 100000}, "Items for each user, or tags for each post");
  declare_retrieval(set, options.retrieve, options.candidates);
  set.choice(
      "--format", {"tsv", "jsonl"}, options.format,
      "Columns user, place, item and score (user, item, place, tag and score), or one JSON object a user or post");
  declare_checkpoint(set, options.checkpoint);
  declare_work(set, options);
}

void declare(OptionSet& set, ExportOptions& options) {
  set.argument("DIR", options.run, "A run directory");
  set.text("--to", "OUT", options.to,
           "The folder to write: user.npy, user_ids.txt, item.npy, item_ids.txt, item_bias.npy, export.json",
           Need::required);
  set.flag("--fold-bias", options.fold_bias,
           "Fold the item bias into the vectors, so that plain inner products are the scores");
  declare_checkpoint(set, options.checkpoint);
  declare_work(set, options);
}

void declare(OptionSet& set, PlanOptions& options) {
  declare_recipe(set, options.recipe, options.data, options.set);
  set.integer("--ranks", "N", options.ranks, {1, 1024}, "Ranks of the planned job", Need::required);
  set.integer("--threads", "N", options.threads, {1, 4096}, "Threads of each rank");
  set.flag("--json", options.json, "Print one JSON object to stdout");
}

void declare(OptionSet& set, InspectOptions& options) {
  set.argument("PATH", options.path, "A data set, a run directory or a checkpoint");
  set.flag("--json", options.json, "Print one JSON object to stdout");
}

}  // namespace spar::cli
