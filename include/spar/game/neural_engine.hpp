#pragma once
#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "spar/comm/communicator.hpp"
#include "spar/data/interactions.hpp"
#include "spar/game/engine.hpp"
#include "spar/game/neural_model.hpp"
#include "spar/table/dense_parameters.hpp"
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
  std::vector<table::Table*> tables;  ///< those of a pass: users (where they have columns), items
  std::vector<table::Table*> frozen;  ///< in the order of the model's frozen()
  std::vector<float> table_rates;     ///< learning rates of the tables' own; 0 or none: the optimiser's
  float dense_rate = 0.0F;            ///< the same of the dense parameters
  table::DenseParameters* dense = nullptr;
  const data::UserLists* train = nullptr;  ///< this rank's users
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
/// dense parameters. Frozen rows are pulled only. With an adversary of scope batch on the rows of tables, these tables'
/// gradients are pushed twice and a perturbation comes back for each distinct row; frozen ones are pushed once.
class NeuralEngine final : public Engine {
 public:
  explicit NeuralEngine(const NeuralSetup& setup);
  ~NeuralEngine() override;

  std::int64_t steps() const override { return steps_; }
  void begin_stage(const Stage& stage) override;
  void use_optimizer(const optim::OptimizerSettings& settings, std::int64_t step_count) override;
  void begin_epoch(std::int64_t epoch, std::int64_t first_step,
                   const std::vector<store::PendingRows>& pending) override;
  Flags step(Flags flags) override;
  void end_epoch() override {}

  const std::string& divergence() const override { return divergence_; }
  std::int64_t next_step() const override { return step_; }
  std::int64_t step_count() const override { return step_count_; }
  std::vector<store::PendingRows> pending() override { return {}; }

  /// Of all examples; at the perturbed point.
  std::vector<double>& losses() override { return losses_; }
  std::vector<double>& second_losses() override { return perturbed_losses_; }
  std::string loss_name() const override { return "loss"; }
  std::string second_loss_name() const override { return adversary_ ? "adversarial" : ""; }
  std::int64_t examples() const override { return examples_; }
  std::int64_t skipped() const override;
  const LoopSeconds& seconds() const override { return seconds_; }
  std::int64_t bytes_sent() const override;

 private:
  struct Worker;
  struct Perturbed;
  struct Perturbations;
  enum class PassKind { whole, clean, perturbed, penalty };
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
  void sum_grams();
  table::Table& table(std::size_t t) const {
    return t < setup_.tables.size() ? *setup_.tables[t] : *setup_.frozen[t - setup_.tables.size()];
  }
  bool is_frozen(std::size_t t) const { return t >= setup_.tables.size(); }
  bool is_tapped(const std::string& tap) const;
  bool owners_perturb() const;
  void for_shards(const std::function<void(int shard, Worker& worker)>& pass);
  void clean_pass(int shard, Worker& worker);
  void second_pass(int shard, Worker& worker);
  double run_pass(int shard, Worker& worker, PassKind kind);
  tape::Var put_rows(int shard, Worker& worker, std::size_t t, PassKind kind);
  void put_dense(int shard, Worker& worker, PassKind kind);
  void perturb_shard(int shard, Worker& worker);
  void perturb_tables();
  void perturb_touched(std::size_t t);
  void take_returned(int shard);
  Index noise_row(int shard, const std::string& tap, int row) const;
  void apply();
  void update_dense();
  void check_finite(int shard);

  NeuralSetup setup_;
  std::int64_t steps_ = 1;
  std::int64_t entries_per_step_ = 0;
  std::vector<std::int64_t> shard_entries_;          // of all shards
  std::array<std::int64_t, sets> examples_drawn_{};  // of all shards, where entries give different numbers
  std::vector<std::unique_ptr<BatchSource>> sources_;
  std::vector<std::array<NeuralBatch, sets>> batches_;  // by local shard
  std::vector<std::unique_ptr<table::RowExchange>> exchanges_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Perturbations>> perturbations_;  // by local shard
  std::vector<FrozenTable> frozen_;
  std::vector<optim::Updater> updaters_;  // of each table, then of the dense parameters
  std::unique_ptr<Adversary> adversary_;
  std::vector<float*> row_gradients_;  // by table: room of all local shards
  std::vector<std::uint8_t> pushed_;   // by table: its clean gradients went to the owners, the second ones are apart
  Buffer<float> dense_by_shard_;
  Buffer<float> dense_total_;
  std::vector<Gram> grams_;
  std::vector<Buffer<float>> gram_by_shard_;
  std::vector<Buffer<float>> gram_totals_;
  std::vector<tape::Matrix<float>> gram_views_;
  std::int64_t dense_bytes_sent_ = 0;
  std::vector<std::vector<std::uint8_t>> moved_;  // dense Adam, by table: rows that the step has touched
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
