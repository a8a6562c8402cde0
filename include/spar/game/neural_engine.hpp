#pragma once
#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "spar/comm/communicator.hpp"
#include "spar/data/interactions.hpp"
#include "spar/data/negative_service.hpp"
#include "spar/game/decorrelation.hpp"
#include "spar/game/engine.hpp"
#include "spar/game/neural_model.hpp"
#include "spar/table/dense_parameters.hpp"
#include "spar/table/dense_sums.hpp"
#include "spar/table/row_exchange.hpp"
#include "spar/table/table.hpp"
#include "spar/tape/tape.hpp"

/// The data-parallel steps of neural models (docs/architecture.md, "Neural models"): one tape a shard, the rows of
/// every table pulled and pushed, the gradients of dense parameters summed along the shard tree.
namespace spar::game {

struct NeuralSetup {
  const comm::Communicator* communicator = nullptr;
  ShardLayout layout;
  const NeuralModel* model = nullptr;
  const table::Table* users = nullptr;  ///< whose shards the work is cut by
  const table::Table* items = nullptr;
  std::vector<table::Table*> tables;  ///< those of a pass: users (where they have columns), items, further ones
  std::vector<table::Table*> frozen;  ///< in the order of the model's frozen(), those that stay with their owners last
  Schedule rate{};                    ///< the learning rate; 0: that of the optimiser's settings, unchanged
  std::vector<Schedule> table_rates;  ///< those of the tables' own; 0 or none: as above
  Schedule dense_rate{};              ///< the same of the dense parameters
  double clip_norm = 0.0;             ///< longest gradient of a step, of all rows and dense parameters; 0: any
  Decorrelation decorrelation{};      ///< of the model's vectors()
  table::DenseParameters* dense = nullptr;
  const data::UserLists* train = nullptr;  ///< this rank's users
  const data::PostRows* posts = nullptr;   ///< the same, of models that learn from posts, which have a table of tags
  /// Adds to the micro-batches of this rank's shards what only other ranks know; collective. None: they are complete.
  std::function<void(std::span<NeuralBatch* const> batches)> complete{};
  std::shared_ptr<const data::ItemLaw> law{};  ///< of the negatives; nullptr: uniform
  std::int64_t batch_size = 64;                ///< entries of a step
  std::uint64_t seed = 1;
  bool node_memory = true;
  double deadline_seconds = 600;
};

/// A step over b examples a shard moves what its tape's operations move, plus: each distinct row read where it lies and
/// its gradient written once; across ranks 8 bytes of ids and slots and 2 rows a distinct row of others, and twice the
/// dense parameters. Frozen rows are pulled only. A model with cuts (game::SegmentedModel) keeps the tapes of all of
/// the rank's shards at once and moves each of its sums twice a pass. With an adversary of scope batch on the rows of
/// tables, these tables' gradients are pushed twice and a perturbation comes back for each distinct row; frozen ones
/// are pushed once. A step that decorrelates reads its tables twice and writes them once, 1.5 d^2 products a row, and
/// sends d^2 doubles as DenseSumsOf does; terms() reads them once more.
class NeuralEngine final : public Engine {
 public:
  explicit NeuralEngine(const NeuralSetup& setup);
  ~NeuralEngine() override;

  std::int64_t steps() const override { return steps_; }
  void begin_stage(const Stage& stage) override;
  void use_optimizer(const optim::OptimizerSettings& settings, std::int64_t step_count) override;
  void use_sink(GradientSink sink) override { sink_ = std::move(sink); }
  void begin_epoch(std::int64_t epoch, std::int64_t first_step,
                   const std::vector<store::PendingRows>& pending) override;
  Flags step(Flags flags) override;
  void end_epoch() override {}

  const std::string& divergence() const override { return divergence_; }
  std::int64_t next_step() const override { return step_; }
  std::int64_t step_count() const override { return step_count_; }
  std::vector<store::PendingRows> pending() override { return {}; }

  /// Of all examples; at the perturbed point, or of the model's second player.
  std::vector<double>& losses() override { return losses_; }
  std::vector<double>& second_losses() override { return perturbed_losses_; }
  std::string loss_name() const override { return "loss"; }
  std::string second_loss_name() const override {
    return adversary_.in_stage() ? "adversarial" : setup_.model->second_loss_name();
  }
  /// "decorrelation": the penalty, without its weight, over all its tables.
  std::vector<std::pair<std::string, double>> terms() override;
  std::int64_t examples() const override { return examples_; }
  std::int64_t skipped() const override;
  const LoopSeconds& seconds() const override { return seconds_; }
  std::int64_t bytes_sent() const override;

 private:
  struct Worker;
  struct Perturbed;
  struct Perturbations;
  struct Segments;
  struct Objective;
  struct Decorrelated;
  enum class PassKind { whole, clean, perturbed, penalty, inner, scores };
  static constexpr int sets = table::RowExchange::sets;
  static int set_of(std::int64_t step) { return static_cast<int>(step % sets); }

  const NeuralBatch& batch_of(int shard, int set) const {
    return batches_[static_cast<std::size_t>(shard)][static_cast<std::size_t>(set)];
  }
  NeuralBatch& batch_of(int shard, int set) {
    return batches_[static_cast<std::size_t>(shard)][static_cast<std::size_t>(set)];
  }
  void draw(std::int64_t step);
  void request(std::int64_t step);
  void serve(std::int64_t step);
  void send_rows(std::int64_t step);
  std::int64_t examples_of_step() const;
  void make_room();
  void make_statistics(const std::function<table::DenseSumsOptions()>& next_options);
  void sum_grams();
  table::Moments moments_of(Decorrelated& part);
  void add_decorrelation();
  bool moves_resting_rows() const;
  void resting_gradient(std::size_t t, const float* row, float factor, float* gradient) const;
  table::Table& table(std::size_t t) const {
    return t < setup_.tables.size() ? *setup_.tables[t] : *setup_.frozen[t - setup_.tables.size()];
  }
  bool is_frozen(std::size_t t) const { return t >= setup_.tables.size(); }
  std::unique_ptr<BatchSource> make_source(int shard) const;
  bool is_tapped(const std::string& tap) const;
  bool is_wanted(const table::Table& table) const { return sink_.row && sink_.wants(table); }
  bool has_gradient(std::size_t t, PassKind kind) const;
  void find_perturbed_columns();
  bool perturbs_rows(std::size_t t) const { return adversary_ && !perturbed_columns_[t].empty(); }
  bool owners_perturb() const;
  void for_shards(const std::function<void(int shard, Worker& worker)>& pass);
  void clean_pass(int shard, Worker& worker);
  void second_pass(int shard, Worker& worker);
  double run_pass(int shard, Worker& worker, PassKind kind);
  void begin_pass(int shard, Worker& worker, PassKind kind);
  Objective objective_of(int shard, Worker& worker, PassKind kind, tape::Var loss);
  void whole_passes(bool by_owner, bool dense);
  void passes_in_segments(bool by_owner);
  void run_segments(PassKind kind);
  void make_segments();
  tape::Var put_rows(int shard, Worker& worker, std::size_t t, PassKind kind);
  void put_dense(int shard, Worker& worker, PassKind kind);
  tape::Var put_own_rows(Worker& worker, const NeuralBatch& batch, const table::Table& table) const;
  bool has_candidates() const { return setup_.law && setup_.law->options().candidates > 1; }
  void choose_negatives();
  void choose_negatives(int shard, Worker& worker);
  void inner_steps();
  void inner_pass(int shard, Worker& worker, int inner);
  Moment moment() const { return {epoch_, step_, steps_}; }
  bool moves_dense() const { return dense_sums_ != nullptr && setup_.model->inner_steps() == 0; }
  bool follows_dense() const;
  void perturb_shard(int shard, Worker& worker);
  void perturb_tables();
  void perturb_touched(std::size_t t);
  void take_returned(int shard);
  Index noise_row(int shard, const std::string& tap, int row) const;
  void begin_updates();
  void sum_gradients();
  void sum_dense_gradients();
  void list_moving_rows();
  void add_row_penalty();
  void add_resting_squares(std::size_t t, const std::vector<std::pair<Index, int>>& moving,
                           std::vector<double>& by_shard) const;
  double dense_square() const;
  float clip_factor(bool dense_alone) const;
  void apply(float factor);
  void hand_over();
  void update_dense(float factor);
  void check_finite(int shard);

  NeuralSetup setup_;
  std::int64_t steps_ = 1;
  std::int64_t entries_per_step_ = 0;
  std::vector<std::int64_t> shard_entries_;          // of all shards
  std::array<std::int64_t, sets> examples_drawn_{};  // of all shards, where entries give different numbers
  std::vector<std::unique_ptr<BatchSource>> sources_;
  std::unique_ptr<data::NegativeService> negatives_;    // where owners draw
  std::vector<std::array<NeuralBatch, sets>> batches_;  // by local shard
  std::vector<std::unique_ptr<table::RowExchange>> exchanges_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Perturbations>> perturbations_;  // by local shard
  std::vector<FrozenTable> frozen_;                            // those that are pulled
  std::vector<const table::Table*> staying_;                   // the others
  std::vector<optim::Updater> updaters_;                       // of each table, then of the dense parameters
  std::vector<Schedule> rates_;                                // beside them
  StageAdversary adversary_;
  GradientSink sink_;
  std::vector<std::vector<RowPart>> perturbed_columns_;  // by table; each part has a norm of its own
  std::vector<float*> row_gradients_;                    // by table: room of all local shards
  std::vector<std::uint8_t> pushed_;  // by table: its clean gradients went to the owners, the second ones are apart
  std::unique_ptr<table::DenseSums> dense_sums_;  // nullptr without dense parameters
  float* dense_total_ = nullptr;                  // of the step
  std::vector<std::unique_ptr<Decorrelated>> decorrelated_;
  bool decorrelates_now_ = false;
  std::vector<Gram> grams_;
  std::vector<std::unique_ptr<table::GramSums<float>>> gram_sums_;
  std::vector<tape::Matrix<float>> gram_views_;
  std::vector<tape::Matrix<float>> states_;       // of the dense parameters
  std::unique_ptr<Segments> segments_;            // nullptr: the model has no cuts
  RowPenalty penalty_;                            // that the owners add
  std::vector<std::vector<int>> moving_;          // by table: the touched rows that the step moves
  std::vector<std::vector<std::uint8_t>> moved_;  // by table: the same as marks, where the others move, too
  std::int64_t epoch_ = 0;
  std::int64_t step_ = 0;
  std::int64_t step_count_ = 0;
  std::int64_t examples_ = 0;
  Flags posted_flags_ = 0;
  Flags agreed_flags_ = 0;
  std::mutex divergence_mutex_;
  std::string divergence_;
  std::vector<double> losses_;
  std::vector<double> perturbed_losses_;
  LoopSeconds seconds_;
};

}  // namespace spar::game
