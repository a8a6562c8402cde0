#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/catalogue/item_slices.hpp"
#include "spar/catalogue/output_law.hpp"
#include "spar/catalogue/shard_sums.hpp"
#include "spar/catalogue/slice_batch.hpp"
#include "spar/catalogue/wide_input.hpp"
#include "spar/catalogue/wide_output.hpp"
#include "spar/game/autoencoder.hpp"
#include "spar/game/engine.hpp"
#include "spar/game/user_batches.hpp"
#include "spar/table/dense_sums.hpp"

/// The catalogue-parallel steps of auto-encoders: all ranks work on the same batch of users, each shard on its own
/// slice of the items. In a pass over B users with layers of H and H' columns at the catalogue, a rank sends and
/// receives 4 B (2 H + 2 H') bytes and 16 B of log-sum-exp, whatever the catalogue and the length of the profiles; no
/// row of a table moves. Inner layers run where the users' shards are, on weights that every rank holds, whose
/// gradients are summed over all shards.
///
/// Memory of a rank beside the tables, for batches of B users: ItemSlices; 4 B max(H, H') bytes for each thread and
/// level of the shard tree; 4 B (H + H') bytes of the batch's rows; kept_bytes; the gradients of the item rows that a
/// batch touches; one set of dense gradients for each of its shards; with an adversary, gradients and perturbed values
/// of the rank's decoder rows (two more tables without state).
namespace spar::game {

struct CatalogueSetup {
  const comm::Communicator* communicator = nullptr;
  ShardLayout layout;
  Autoencoder model;
  AutoencoderTables tables;
  const data::UserLists* train = nullptr;  ///< this rank's users
  std::span<const float> values{};         ///< x_ui of train's items in their order (ratings); empty: 1
  Index users = 0;                         ///< of all ranks
  std::int64_t batch_users = 500;
  std::uint64_t seed = 1;
  /// Logits of a step that are kept for the backward pass, a rank; beyond it they are computed twice. No bit depends on
  /// it.
  std::int64_t kept_bytes = std::int64_t{256} << 20;
  Schedule rate{};         ///< the learning rate; 0: that of the optimiser's settings, unchanged
  double clip_norm = 0.0;  ///< longest gradient of a step, of all rows and dense parameters; 0: any
  /// Factors of Adversary::weight by tap.
  double encoder_weight = 1.0;
  double decoder_weight = 1.0;
  /// Of the sums of dense gradients.
  bool node_memory = true;
  double deadline_seconds = 600;
};

/// The adversary, if a stage has one, adds L(Theta + N_s) for each of its taps s, "encoder.weights" and
/// "decoder.weights" (both where it names none), times its weight and the tap's (ACAE: Yuan, Yao and Benatallah, IJCNN
/// 2019). N_s is built from the gradient of the clean loss of the batch with respect to the items' vectors (scope batch
/// only), row by row (row_l2, linf) or over the whole table (global_l2), from the same corrupted input.
class CatalogueEngine final : public Engine {
 public:
  /// Collective, like all calls below.
  explicit CatalogueEngine(const CatalogueSetup& setup);
  ~CatalogueEngine() override;

  std::int64_t steps() const override { return batches_.steps(); }
  /// UserError for a scope or tap that this engine does not know.
  void begin_stage(const Stage& stage) override;
  void use_optimizer(const optim::OptimizerSettings& settings, std::int64_t step_count) override;
  /// Without an adversary; the caller leaves Autoencoder::l2 at 0 and sets its corruption, noise and beta.
  void use_sink(GradientSink sink) override { sink_ = std::move(sink); }
  void begin_epoch(std::int64_t epoch, std::int64_t first_step,
                   const std::vector<store::PendingRows>& pending = {}) override;
  Flags step(Flags flags) override;
  void end_epoch() override {}

  const std::string& divergence() const override { return divergence_; }
  std::int64_t next_step() const override { return step_; }
  std::int64_t step_count() const override { return step_count_; }
  std::vector<store::PendingRows> pending() override { return {}; }

  /// The clean loss; the mean of the perturbed losses over the taps, or else the KL term before beta.
  std::vector<double>& losses() override { return losses_; }
  std::vector<double>& second_losses() override { return second_losses_; }
  std::string loss_name() const override { return "reconstruction"; }
  std::string second_loss_name() const override;
  /// Users, and those without interactions.
  std::int64_t examples() const override { return examples_; }
  std::int64_t skipped() const override { return batches_.without_interactions(); }
  const LoopSeconds& seconds() const override { return seconds_; }
  std::int64_t bytes_sent() const override {
    return batches_.bytes_sent() + sums_.bytes_sent() + dense_sums_->bytes_sent() + bytes_sent_;
  }

 private:
  struct Shard;
  struct Pass;

  // catalogue_engine.cpp
  void make_output_law();
  void list_cells();
  void apply();
  void apply_rows();
  float* sum_dense();
  void apply_dense(float* total);
  void apply_table(table::Table& table, int k, catalogue::TouchedRows& touched);
  void apply_users();
  bool moves_all_rows() const { return !sink_.row && updater_->moves_all_rows(); }
  void update_row(table::Table& table, Index local_row, const float* gradient, float* sum);
  void hold_gradients();
  /// Whether the output rows' gradients are kept until all of the step are whole, as adversaries and clipping need.
  bool holds_gradients() const { return adversary_ || setup_.clip_norm > 0.0; }
  // catalogue_clipping.cpp
  void clip(float* dense_total);
  void check_finite();
  int shard_of(int k) const;
  int own_rows() const;
  // catalogue_passes.cpp
  void run(const Pass& pass);
  void encode(const Pass& pass);
  void decode(const Pass& pass, std::vector<double>& losses);
  void decode_backward(const Pass& pass, std::span<const double> log_sums, std::vector<double>& losses);
  void inner_forward();
  void inner_backward(const Pass& pass);
  void encode_backward();
  void plan_kept_logits();
  float* kept_logits(int k);
  catalogue::SliceRows decoder_rows(const Pass& pass, int k) const;
  void adversarial_passes();
  // catalogue_perturbations.cpp
  void perturb_encoder();
  void perturb_decoder();

  CatalogueSetup setup_;
  catalogue::ItemSlices slices_;
  UserBatches batches_;
  std::optional<catalogue::OutputLaw> output_law_;  // none: the loss draws no items for the whole batch
  catalogue::ShardSums sums_;
  UserBatch batch_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<catalogue::WideOutput> outputs_;  // by worker
  std::vector<float> norms_;                    // 1 / |x_u| of own users, where inputs are normalised
  std::unique_ptr<optim::Updater> updater_;
  StageAdversary adversary_;
  GradientSink sink_;
  bool perturbs_encoder_ = false;
  bool perturbs_decoder_ = false;

  // Of the batch's users, those of all ranks: what leaves and enters the inner layers.
  Buffer<float> hidden_;
  Buffer<float> delta_;
  // Of the own ones among them.
  Buffer<float> inputs_;
  Buffer<float> input_gradients_;
  Buffer<float> hidden_gradients_;
  Buffer<float> user_gradients_;
  Buffer<float> kept_;
  std::vector<std::size_t> kept_places_;  // by own shard; none: logits are computed twice
  std::vector<catalogue::LogSum> log_sums_;
  std::unique_ptr<table::DenseSums> dense_sums_;
  Buffer<float> decoder_gradients_;  // of all own rows, where they are held
  Buffer<float> decoder_perturbed_;

  bool measures_ = false;        // update_row adds up squares instead of moving
  std::vector<double> squares_;  // of the step's gradient, by own shard
  float clip_factor_ = 1.0F;

  std::int64_t epoch_ = 0;
  std::int64_t step_ = 0;
  std::int64_t step_count_ = 0;
  std::int64_t examples_ = 0;
  std::int64_t bytes_sent_ = 0;
  std::string divergence_;
  std::vector<double> losses_;
  std::vector<double> second_losses_;
  LoopSeconds seconds_;
};

}  // namespace spar::game
