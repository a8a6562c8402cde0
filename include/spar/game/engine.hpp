#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "spar/adversary/perturbation.hpp"
#include "spar/base/schedule.hpp"
#include "spar/optim/update.hpp"
#include "spar/store/checkpoint.hpp"
#include "spar/table/table.hpp"

/// What a trainer knows of whatever makes the steps of a training.
namespace spar::game {

/// The adversary of a stage.
struct Adversary {
  adversary::PerturbationSettings perturbation;
  adversary::Scope scope = adversary::Scope::batch;
  double weight = 1.0;              ///< lambda; 0 leaves the adversary out, so the bits are those of the base
  std::vector<std::string> taps{};  ///< where its perturbations enter; empty: the rows of every table
  /// What weight and epsilon follow where they change; without one they stay.
  std::optional<Schedule> weight_schedule{};
  std::optional<Schedule> epsilon_schedule{};

  bool varies() const { return weight_schedule || epsilon_schedule; }
  bool is_present() const { return weight != 0.0 || weight_schedule; }
  /// As it is in a step; nothing where its weight is 0 there.
  std::optional<Adversary> at(const Moment& moment) const {
    Adversary now = *this;
    if (weight_schedule) now.weight = weight_schedule->at(moment);
    if (epsilon_schedule) now.perturbation.epsilon = epsilon_schedule->at(moment);
    return now.weight == 0.0 ? std::nullopt : std::optional(now);
  }
};

/// The adversary of a stage from step to step.
class StageAdversary {
 public:
  void begin(const std::optional<Adversary>& adversary) {
    stage_ = adversary && adversary->is_present() ? adversary : std::nullopt;
    now_ = stage_;
  }
  void move_to(const Moment& moment) {
    if (stage_ && stage_->varies()) now_ = stage_->at(moment);
  }
  /// Whether the stage has one, though its weight may be 0 now.
  bool in_stage() const { return stage_.has_value(); }

  explicit operator bool() const { return now_.has_value(); }
  const Adversary* operator->() const { return &*now_; }
  const Adversary& operator*() const { return *now_; }

 private:
  std::optional<Adversary> stage_;
  std::optional<Adversary> now_;
};

/// One stage: epochs until `end_epoch` (counted from the start of the training) or until its validation stops gaining.
struct Stage {
  std::string name;
  std::int64_t end_epoch = 0;
  std::optional<Adversary> adversary;
  std::int64_t patience = 0;  ///< validations without gain that end the stage; 0: none does
};

/// Where the gradients of a step go in place of the optimiser, for attacks.
struct GradientSink {
  /// Whether the gradients of this table are wanted: a sharded one, a frozen one, a matrix of dense parameters.
  std::function<bool(const table::Table& table)> wants;
  /// row(table, local row, gradient of `width` floats): summed over the examples of the whole step. Called from several
  /// threads, never twice at once for one row; rows of dense parameters come on every rank.
  std::function<void(table::Table& table, Index local_row, const float* gradient)> row;
};

/// Seconds of the training loop by kind.
struct LoopSeconds {
  double compute = 0;
  double communication = 0;
  double input = 0;
};

/// Makes the steps of a training: draws batches, moves parameters. All calls are collective unless said otherwise, and
/// leave the same bits on any launch.
class Engine {
 public:
  /// What the ranks tell each other with every step; the union of all ranks' flags comes out one step later.
  using Flags = std::uint32_t;
  /// Set by the engine itself among a step's flags: a loss of some rank is not finite. The other bits are the caller's.
  static constexpr Flags diverged_flag = Flags{1} << 31;

  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual ~Engine() = default;

  /// Steps of an epoch.
  virtual std::int64_t steps() const = 0;
  /// From the next step on: what the stage adds to or changes in the objective.
  virtual void begin_stage(const Stage& stage) = 0;
  /// Gradients go to the optimiser. `step_count`: steps since the optimiser's state was reset (Adam).
  virtual void use_optimizer(const optim::OptimizerSettings& settings, std::int64_t step_count) = 0;

  /// Gradients go to `sink`, and no parameter moves. They are those of the loss alone, at the model that is evaluated:
  /// without penalties, dropout or adversary.
  virtual void use_sink(GradientSink sink) = 0;

  /// Prepares the epoch to go on at `first_step`; `pending` are gradients that the stopped run had not applied yet
  /// (pipeline).
  virtual void begin_epoch(std::int64_t epoch, std::int64_t first_step,
                           const std::vector<store::PendingRows>& pending) = 0;
  /// One step; returns the union of the flags that all ranks gave one step earlier, 0 in the last step of an epoch.
  virtual Flags step(Flags flags) = 0;
  /// Applies what is in flight; after it every parameter is up to date.
  virtual void end_epoch() = 0;

  /// The sentence of this rank's divergence, empty where there was none.
  virtual const std::string& divergence() const = 0;
  virtual std::int64_t next_step() const = 0;
  virtual std::int64_t step_count() const = 0;
  /// With pipeline: the gradients of the last step, summed and not yet applied, for a checkpoint inside an epoch. State
  /// is not changed.
  virtual std::vector<store::PendingRows> pending() = 0;

  /// Sums of the epoch so far, by this rank's shards: the main term of the objective, and a second one where the stage
  /// has it (at the perturbed point, of the prior ...). May be set when an epoch goes on.
  virtual std::vector<double>& losses() = 0;
  virtual std::vector<double>& second_losses() = 0;
  /// What they are called in the log: "ranking"; the second empty where the stage has none.
  virtual std::string loss_name() const = 0;
  virtual std::string second_loss_name() const = 0;
  /// What the log of an epoch tells beside them, by name: parts of the objective that follow from the parameters alone,
  /// as these are now. Collective.
  virtual std::vector<std::pair<std::string, double>> terms() { return {}; }
  /// Examples of this rank in this epoch, and those left out.
  virtual std::int64_t examples() const = 0;
  virtual std::int64_t skipped() const = 0;
  virtual const LoopSeconds& seconds() const = 0;
  virtual std::int64_t bytes_sent() const = 0;
};

}  // namespace spar::game
