#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "spar/adversary/perturbation.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/interactions.hpp"
#include "spar/data/negative_service.hpp"
#include "spar/data/triple_sampler.hpp"
#include "spar/game/engine.hpp"
#include "spar/optim/update.hpp"
#include "spar/store/checkpoint.hpp"
#include "spar/table/row_exchange.hpp"
#include "spar/table/table.hpp"
#include "spar/tape/tape.hpp"

/// The data-parallel steps of pairwise factor models, with or without an adversary, in exchange mode "pull"
/// (docs/architecture.md, "A training step"). A step over b triples a shard with r distinct rows of d floats moves, per
/// triple: 3 rows read where they lie, asked for a shard earlier, and again for the gradients; 3 rows of gradients
/// written and read; 3 x 4 rows by Adagrad (value and accumulator, read and written); with scope batch all but the last
/// twice, and a perturbed row an item. Across ranks: 8 bytes of ids and slots and 2 rows (4 with scope batch) a
/// distinct item row.
namespace spar::game {

struct PairwiseSetup {
  const comm::Communicator* communicator = nullptr;
  ShardLayout layout;
  table::Table* users = nullptr;
  table::Table* items = nullptr;
  const data::UserLists* train = nullptr;      ///< this rank's users
  std::int64_t total_positives = 0;            ///< of all ranks
  std::shared_ptr<const data::ItemLaw> law{};  ///< of the negatives; nullptr: uniform
  std::int64_t batch_size = 512;
  std::uint64_t seed = 1;
  double l2 = 0.0;
  bool l2_batch_mean = false;  ///< APR's regulariser: a mean over batch and columns instead of a sum over occurrences
  Schedule rate{};             ///< the learning rate; 0: that of the optimiser's settings, unchanged
  bool pipeline = false;
  bool node_memory = true;  ///< ranks of one node read each other's rows in place
  double deadline_seconds = 600;
  Purpose order_purpose = Purpose::shuffle;
  Purpose negative_purpose = Purpose::negatives;
};

class PairwiseEngine final : public Engine {
 public:
  /// Collective, like all calls below.
  explicit PairwiseEngine(const PairwiseSetup& setup);
  ~PairwiseEngine() override;

  /// ceil(total positives / batch size).
  std::int64_t steps() const override { return steps_; }

  /// From the next step on: nullptr for none.
  void set_adversary(const Adversary* adversary);
  void begin_stage(const Stage& stage) override { set_adversary(stage.adversary ? &*stage.adversary : nullptr); }
  void use_optimizer(const optim::OptimizerSettings& settings, std::int64_t step_count) override;
  /// The caller leaves PairwiseSetup::l2 at 0.
  void use_sink(GradientSink sink) override { sink_ = std::move(sink); }

  void begin_epoch(std::int64_t epoch, std::int64_t first_step,
                   const std::vector<store::PendingRows>& pending = {}) override;
  Flags step(Flags flags) override;
  void end_epoch() override;

  const std::string& divergence() const override { return divergence_; }
  std::int64_t next_step() const override { return step_; }
  std::int64_t step_count() const override { return step_count_; }
  std::vector<store::PendingRows> pending() override;

  /// Clean loss, and the loss at the perturbed rows.
  std::vector<double>& losses() override { return losses_; }
  std::vector<double>& second_losses() override { return perturbed_losses_; }
  std::string loss_name() const override { return "ranking"; }
  std::string second_loss_name() const override { return adversary_.in_stage() ? "adversarial" : ""; }
  /// Triples, and those left out because their user has every item.
  std::int64_t examples() const override { return examples_; }
  std::int64_t skipped() const override;
  const LoopSeconds& seconds() const override { return seconds_; }
  std::int64_t bytes_sent() const override;
  /// The most triples that a step of one shard has, over all shards.
  std::int64_t most_triples() const { return most_triples_; }

 private:
  struct Shard;
  struct Worker;

  static constexpr int sets = table::RowExchange::sets;
  static int set_of(std::int64_t step) { return static_cast<int>(step % sets); }
  std::size_t gradient_set(std::size_t set) const { return setup_.pipeline ? set : 0; }

  // Phases of a step (pairwise_engine.cpp).
  void sample(std::int64_t step);
  void request(std::int64_t step);
  void serve(std::int64_t step);
  void send_rows(std::int64_t step);
  void copy_users(std::int64_t step);
  void for_shards(const std::function<void(int shard, Worker& worker)>& pass);
  void middle();
  void finish_previous();
  void begin_updates(std::int64_t count, std::int64_t step);
  void apply(int set);
  void apply_items(int set);
  void apply_restored();
  void move_other_rows();
  void accept(table::Table& table, Index local_row, const float* gradient);
  std::int64_t batch_count(std::int64_t step) const;
  double occurrence_l2() const;

  // Passes over one shard, and what joins them (pairwise_passes.cpp).
  void one_push_step();
  void batch_scope_step();
  void push_items(int set, int channel);
  void make_room(int set);
  float* user_gradients(const Shard& shard, int set);
  float* item_gradients(int k, int channel);
  void ask_for_shard(int k, Worker& worker, const float* const* items, bool with_state) const;
  tape::Matrix<float> item_rows(int k, Worker& worker) const;
  tape::Matrix<float> returned_items(int k, Worker& worker) const;
  /// Whether owners return perturbed rows: with pipeline they have moved since they were pulled, so only the
  /// perturbation itself can be returned.
  bool returns_rows() const { return !setup_.pipeline; }
  template <class Row, class Id>
  tape::Matrix<float> perturbed_rows(Worker& worker, std::uint32_t table, std::size_t count, int width, bool fused,
                                     Row&& row, Id&& id, const float* clean, double squares) const;
  tape::Matrix<float> perturbed_users(int k, Worker& worker, double squares);
  tape::Matrix<float> perturbed_items(int k, Worker& worker, double squares);
  void clean_pass(int k, Worker& worker);
  void perturbed_pass(int k, Worker& worker, double squares, int channel, const tape::Matrix<float>& items);
  void shard_scope_pass(int k, Worker& worker);
  void sample_scope_pass(int k, Worker& worker);
  const float* user_row(const Shard& shard, std::size_t j) const;
  void hand_over_users(const Shard& shard, tape::Tape<float>& tape, const float* gradients);
  void perturb(std::uint32_t table, Index row, const float* gradient, double squares, int width, float* delta) const;
  void perturb_touched_range(int set, int begin, int end, double squares, float* answers);
  void perturb_touched_items(int set, double squares);
  double direction_square(std::uint32_t table, Index row, const float* gradient) const;
  double shard_squares(int k);
  double global_squares(int set);
  void check_finite(int k);

  PairwiseSetup setup_;
  int dim_;
  int user_width_;
  int item_width_;
  int bias_column_;
  std::int64_t steps_ = 0;
  std::int64_t most_triples_ = 0;
  std::vector<std::int64_t> shard_positives_;  // of all shards
  std::unique_ptr<table::RowExchange> exchange_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::unique_ptr<data::NegativeService> negatives_;  // where owners draw
  std::vector<std::unique_ptr<Worker>> workers_;
  StageAdversary adversary_;
  std::unique_ptr<optim::Updater> updater_;
  GradientSink sink_;
  std::vector<std::uint8_t> moved_users_;  // dense Adam: rows that the step has touched
  std::vector<std::uint8_t> moved_items_;
  std::vector<std::span<const Index>> wanted_;
  // Of the step's item rows by channel: 0 clean or whole, 1 at the perturbed rows; in the exchange's rooms.
  std::array<float*, 2> item_gradients_{};
  // Of the distinct users, shard after shard, where a later phase of the step needs them.
  std::array<Buffer<float>, sets> user_gradients_;
  std::vector<store::PendingRows> restored_pending_;
  std::int64_t epoch_ = 0;
  std::int64_t step_ = 0;
  std::int64_t step_count_ = 0;
  std::int64_t examples_ = 0;
  std::mutex divergence_mutex_;
  std::string divergence_;
  Flags posted_flags_ = 0;
  Flags agreed_flags_ = 0;
  bool middle_done_ = false;
  bool unapplied_ = false;               // the last step's gradients wait (pipeline)
  bool unapplied_summed_ = false;        // and their sums are complete
  bool restored_ = false;                // and they are those of restored_pending_
  std::array<bool, sets> two_pushes_{};  // the set's gradient is total 0 + weight * total 1
  std::vector<double> losses_;
  std::vector<double> perturbed_losses_;
  LoopSeconds seconds_;
};

}  // namespace spar::game
