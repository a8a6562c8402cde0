#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "spar/base/progress.hpp"
#include "spar/cli/option_set.hpp"

/// What the command line says to each verb. Each structure has one function that declares its options; structures hold
/// the defaults.
namespace spar::cli {

/// Options of every verb that works on data.
struct WorkOptions {
  std::string progress = "auto";
  int threads = 0;  ///< of each rank; 0: all processors that it may use

  ProgressMode progress_mode() const { return spar::progress_mode(progress).value_or(ProgressMode::automatic); }
};

struct TrainOptions : WorkOptions {
  std::string recipe;  ///< a file or the name of a ready recipe
  std::string data;
  std::string run;               ///< empty: runs/RECIPE-DATA
  std::vector<std::string> set;  ///< "key=value"; --threads becomes parallel.threads
  bool dry_run = false;
};

/// Which model of a run, and which users, metrics and lists judge it.
struct JudgeOptions : WorkOptions {
  std::vector<std::string> runs;
  std::string checkpoint = "best";    ///< best | last
  std::string split = "test";         ///< test | validation
  std::vector<std::int64_t> cutoffs;  ///< empty: the recipe's
  std::vector<std::string> metrics;   ///< empty: the recipe's
  std::int64_t users = 0;             ///< at most this many, a fixed sample; 0: all
  bool json = false;
};

struct EvaluateOptions : JudgeOptions {
  std::string ties;               ///< empty: the recipe's
  std::string protocol;           ///< empty: the recipe's
  std::string retrieve;           ///< the run that chooses the candidates; empty: all items are
  std::int64_t candidates = 100;  ///< of each user, with `retrieve`
  std::string group;  ///< empty, or "seed": runs that differ in the seed only are one row, with mean and spread
  bool per_user = false;
};

struct AttackOptions : JudgeOptions {
  std::vector<std::string> methods{"fgm"};  ///< random, fgm, fgsm, bim, pgd, cw; random is shown beside all but cw
  std::vector<double> epsilon{0.5};
  std::optional<std::int64_t> steps;  ///< unset: 10 of bim and pgd, 1000 of cw
  std::optional<double> step_size;    ///< unset: 2.5 epsilon / steps
  std::string ball;                   ///< row_l2 | global_l2 | linf; empty: linf for fgsm, else row_l2
  std::string scope = "data";         ///< batch | data
  std::vector<std::string> taps;      ///< empty: those of the system's own adversary, else its trained rows
  std::int64_t batch_size = 0;        ///< of scope batch; 0: the recipe's
  std::int64_t top = 10;              ///< of cw: the length of the lists that items are to leave or enter
  std::string push;         ///< of cw: original id of the item that is to enter; empty: test items are to leave
  double confidence = 0.0;  ///< of cw
  std::optional<std::int64_t> most_changes;  ///< of cw: of one row or profile
  std::vector<double> box;                   ///< of cw: two numbers; empty: all values of the tap, [0, 1] of profiles
  std::string goal = "list";                 ///< of cw: list | label
  std::int64_t draws = 0;                    ///< of cw: of the training's noise, over which logits are averaged
  std::uint64_t seed = 1;
};

struct ProbeOptions : WorkOptions {
  std::vector<std::string> runs;
  std::vector<std::string> attributes;  ///< empty: those that the run hides, else the data set's only one
  std::string checkpoint = "best";
  std::int64_t users = 20000;  ///< at most this many, a fixed sample; 0: all
  int folds = 5;
  std::uint64_t seed = 1;
  bool json = false;
};

struct RecommendOptions : WorkOptions {
  std::string run;
  std::vector<std::string> users;  ///< original ids
  std::string users_from;          ///< a file with one id a line, "-": standard input
  std::vector<std::string> items;  ///< of systems that rank tags: with each of the users, a post
  std::string posts;               ///< a file with a user and an item a line
  std::int64_t top = 10;
  std::string retrieve;           ///< the run that chooses the candidates; empty: all items are
  std::int64_t candidates = 100;  ///< of each user, with `retrieve`
  std::string format = "tsv";     ///< tsv | jsonl
  std::string checkpoint = "best";
};

struct ExportOptions : WorkOptions {
  std::string run;
  std::string to;
  std::string checkpoint = "best";
  bool fold_bias = false;
};

struct PlanOptions {
  std::string recipe;
  std::string data;
  std::int64_t ranks = 1;
  std::int64_t threads = 1;
  std::vector<std::string> set;
  bool json = false;
};

struct InspectOptions {
  std::string path;  ///< a data set, run or checkpoint
  bool json = false;
};

void declare(OptionSet& set, TrainOptions& options);
void declare(OptionSet& set, EvaluateOptions& options);
void declare(OptionSet& set, AttackOptions& options);
void declare(OptionSet& set, ProbeOptions& options);
void declare(OptionSet& set, RecommendOptions& options);
void declare(OptionSet& set, ExportOptions& options);
void declare(OptionSet& set, PlanOptions& options);
void declare(OptionSet& set, InspectOptions& options);
void declare_work(OptionSet& set, WorkOptions& options);

}  // namespace spar::cli
