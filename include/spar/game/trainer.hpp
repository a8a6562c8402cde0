#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "spar/comm/communicator.hpp"
#include "spar/game/engine.hpp"
#include "spar/store/checkpoint.hpp"
#include "spar/table/dense_parameters.hpp"
#include "spar/table/table.hpp"

/// The schedule of a training: stages of epochs, validation, early stopping, checkpoints, stop and resume. It knows an
/// engine that makes steps and nothing of what a step is.
namespace spar::game {

struct TrainingPlan {
  std::vector<Stage> stages;
  optim::OptimizerSettings optimizer;
  bool lower_is_better = false;  ///< of what validate gives
  bool start_from_best = true;   ///< a later stage starts from the best state of the one before (else from its last)
  std::int64_t validate_every_epochs = 0;  ///< 0: never
  std::int64_t checkpoint_every_epochs = 0;
  double checkpoint_every_minutes = 10;
  int checkpoints_kept = 2;
};

/// Where a run lives on disk.
struct RunPlace {
  std::string checkpoints;  ///< directory
  std::string nonce;
  std::function<bool()> may_write;  ///< asked before each commit or deletion, on rank 0
  std::string recipe;               ///< resolved TOML
  std::string identity;
};

struct EpochReport {
  std::int64_t epoch = 0;  ///< counts from 1
  std::string stage;
  std::vector<std::pair<std::string, double>> losses;  ///< means per example, by term; then Engine::terms()
  std::int64_t examples = 0;                           ///< of all ranks
  double seconds = 0;                                  ///< of the training loop
  LoopSeconds by_kind;                                 ///< of rank 0
  std::int64_t bytes_sent = 0;                         ///< of all ranks, in this epoch
  std::int64_t skipped = 0;                            ///< examples left out because their user has every item
};

struct StepReport {
  std::int64_t epoch = 0;
  std::string stage;
  std::int64_t step = 0;
  std::int64_t steps = 0;
  double loss = 0;                 ///< of rank 0's shards, per example
  double examples_per_second = 0;  ///< of all ranks, estimated from rank 0
};

/// What the trainer tells and asks. Calls come on every rank unless said otherwise; unset ones are skipped.
struct TrainingHooks {
  /// Evaluates the model and returns the value that selects (larger is better); collective.
  std::function<double(std::int64_t epoch, const std::string& stage)> validate;
  std::function<void(std::int64_t epoch, const std::string& stage, double value, bool best)> validated;
  std::function<void(const EpochReport&)> epoch_done;
  std::function<void(const StepReport&)> step_done;  ///< rank 0, a few times a second
  std::function<void(std::int64_t epoch, const store::SaveReport&)> saved;
  std::function<void(const Stage&)> stage_begins;
  std::function<void(const std::string& sentence)> warn;
  std::function<void(const Stage& stage, std::int64_t best_epoch)> stopped_early;
  /// Bytes of the log to be recorded in a checkpoint, on rank 0 / the number recorded by the checkpoint that the
  /// training goes on from (0: a new run); before anything is logged.
  std::function<std::int64_t()> log_length;
};

/// How far a training has come; kept in every checkpoint.
struct TrainingProgress {
  std::int64_t epoch = 0;  ///< whole epochs done
  std::int64_t step = 0;   ///< steps done of the next
  int stage = 0;
  bool stage_over = false;
  std::int64_t optimizer_steps = 0;
  std::int64_t without_gain = 0;
  struct Best {
    std::int64_t epoch = -1;  ///< -1: none yet
    double value = 0;
    std::string checkpoint;
  };
  std::vector<Best> best;      ///< by stage
  std::vector<double> losses;  ///< of the epoch under way, by shard
  std::vector<double> perturbed_losses;
  std::int64_t examples = 0;  ///< of the epoch under way, all ranks
  std::int64_t log_length = 0;
  std::int64_t starts = 0;  ///< how often the run has been started
  bool finished = false;

  std::string json() const;
  static TrainingProgress parse(const std::string& json);
};

enum class Outcome { done, stopped };

/// The progress of the newest sound checkpoint of a run, and where it is; nothing for a new run.
/// Every byte of it has been compared with its checksum; damaged ones are skipped with a warning. Collective.
struct ResumePoint {
  store::CheckpointManifest manifest;
  TrainingProgress progress;
};
std::optional<ResumePoint> find_resume_point(const comm::Communicator& communicator, const std::string& checkpoints,
                                             const std::function<void(const std::string&)>& warn);

class Trainer {
 public:
  /// `tables` are the sharded ones in the order of the checkpoint; `dense` may be nullptr.
  Trainer(const comm::Communicator& communicator, Engine& engine, std::vector<table::Table*> tables,
          table::DenseParameters* dense, const ShardLayout& layout, TrainingPlan plan, RunPlace place,
          TrainingHooks hooks);

  /// Loads the state of a stopped run; collective. Without it the training starts with the tables as they are.
  void resume(const ResumePoint& point);
  /// Trains to the end, a stop request (after a checkpoint) or an early stop. Collective. DivergenceError on every rank
  /// where a loss is not finite.
  Outcome run();
  const TrainingProgress& progress() const { return progress_; }

 private:
  void begin_stage();
  bool run_epoch();
  void end_epoch();
  void validate();
  void save(bool again = false);
  void require_finite_rows(const std::vector<store::PendingRows>& pending) const;
  std::string last_good_checkpoint() const;
  void act_on(Engine::Flags flags, bool& stopped);
  void load(const store::CheckpointManifest& manifest, bool with_state, std::vector<store::PendingRows>* pending);
  void load_best(const TrainingProgress::Best& best);
  void report_step();
  Engine::Flags wishes();
  std::vector<store::TableRows> stored(bool with_state);
  const Stage& stage() const { return plan_.stages[static_cast<std::size_t>(progress_.stage)]; }

  const comm::Communicator& communicator_;
  Engine& engine_;
  std::vector<table::Table*> tables_;
  table::DenseParameters* dense_;
  ShardLayout layout_;
  TrainingPlan plan_;
  RunPlace place_;
  TrainingHooks hooks_;
  TrainingProgress progress_;
  std::vector<store::PendingRows> pending_;
  std::int64_t saved_epoch_ = -1;
  std::int64_t saved_step_ = -1;
  std::int64_t earlier_examples_ = 0;  // of this epoch, before a resume
  std::int64_t bytes_before_ = 0;
  double last_save_ = 0;
  double last_report_ = 0;
  double loop_seconds_ = 0;
};

}  // namespace spar::game
