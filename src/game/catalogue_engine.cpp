#include "spar/game/catalogue_engine.hpp"

#include <algorithm>
#include <cmath>

#include "catalogue_parts.hpp"
#include "rates.hpp"
#include "square.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/base/threads.hpp"

namespace spar::game {

namespace {

constexpr int dense_tag = 16;
const char* const encoder_tap = "encoder.weights";
const char* const decoder_tap = "decoder.weights";

std::vector<float> inverse_norms(const data::UserLists& train, std::span<const float> values) {
  std::vector<float> norms(static_cast<std::size_t>(train.users()));
  for (std::size_t u = 0; u < norms.size(); ++u) {
    double squares = 0;
    for (auto k = static_cast<std::size_t>(train.offsets[u]); k < static_cast<std::size_t>(train.offsets[u + 1]); ++k)
      squares += values.empty() ? 1.0 : static_cast<double>(values[k]) * static_cast<double>(values[k]);
    norms[u] = squares > 0.0 ? static_cast<float>(1.0 / std::sqrt(squares)) : 0.0F;
  }
  return norms;
}

bool is_bias(const std::string& name) {
  return name.ends_with(".bias");
}

}  // namespace

CatalogueEngine::CatalogueEngine(const CatalogueSetup& setup)
    : setup_(setup),
      slices_(*setup.communicator, setup.layout, setup.users, setup.tables.encoder->total_rows(), *setup.train,
              setup.values),
      batches_(*setup.communicator, setup.layout, setup.users, *setup.train, setup.values, setup.batch_users,
               setup.seed),
      sums_(*setup.communicator, setup.layout),
      outputs_(static_cast<std::size_t>(threads())) {
  const AutoencoderTables& t = setup.tables;
  SPAR_ASSERT(t.encoder->shape().dim == setup.model.input_width() && !t.encoder->shape().has_bias);
  SPAR_ASSERT(t.decoder->shape().dim == setup.model.output_width() && t.decoder->shape().has_bias);
  SPAR_ASSERT((t.users != nullptr) == setup.model.user_nodes);
  SPAR_ASSERT(setup.model.cells != LossCells::observed || setup.model.loss != catalogue::OutputLoss::multinomial);
  if (setup.model.samples_softmax()) make_output_law();
  if (setup.model.normalise) norms_ = inverse_norms(*setup.train, setup.values);
  const int shards = setup.layout.shard_count(setup.communicator->rank());
  for (int k = 0; k < shards; ++k) shards_.push_back(std::make_unique<Shard>());
  losses_.resize(shards_.size());
  second_losses_.resize(shards_.size());
  dense_sums_ = std::make_unique<table::DenseSums>(
      *setup.communicator, setup.layout, t.dense->gradient_floats(),
      table::DenseSumsOptions{
          .tag = dense_tag, .deadline_seconds = setup.deadline_seconds, .node_memory = setup.node_memory});
}

CatalogueEngine::~CatalogueEngine() = default;

void CatalogueEngine::make_output_law() {
  const table::Table& items = *setup_.tables.decoder;
  const Autoencoder& model = setup_.model;
  if (model.sample_power == 0.0) {
    output_law_.emplace(setup_.layout, items.total_rows(), model.samples);
    return;
  }
  const auto counts = slices_.counts(items.first_row(), items.first_row() + items.rows());
  output_law_.emplace(*setup_.communicator, setup_.layout, items.total_rows(), model.samples, counts,
                      model.sample_power);
}

int CatalogueEngine::shard_of(int k) const {
  return setup_.layout.first_shard(setup_.communicator->rank()) + k;
}

int CatalogueEngine::own_rows() const {
  const int rank = setup_.communicator->rank();
  return batch_.rows.end_of_rank(setup_.layout, rank) - batch_.rows.first_of_rank(setup_.layout, rank);
}

void CatalogueEngine::begin_stage(const Stage& stage) {
  adversary_.begin(std::nullopt);
  perturbs_encoder_ = perturbs_decoder_ = false;
  if (!stage.adversary || !stage.adversary->is_present()) return;
  const Adversary& adversary = *stage.adversary;
  if (adversary.scope != adversary::Scope::batch)
    throw UserError("adversary.scope: auto-encoders know the scope \"batch\" only");
  for (const std::string& tap : adversary.taps) {
    if (tap != encoder_tap && tap != decoder_tap) {
      throw UserError(fmt::format("adversary.taps: auto-encoders have no tap \"{}\"; they have \"{}\" and \"{}\"", tap,
                                  encoder_tap, decoder_tap));
    }
  }
  const auto has = [&](const char* tap) {
    return adversary.taps.empty() ||
           std::find(adversary.taps.begin(), adversary.taps.end(), tap) != adversary.taps.end();
  };
  perturbs_encoder_ = has(encoder_tap) && setup_.encoder_weight != 0.0;
  perturbs_decoder_ = has(decoder_tap) && setup_.decoder_weight != 0.0;
  if (!perturbs_encoder_ && !perturbs_decoder_) return;
  adversary_.begin(adversary);
  hold_gradients();
}

void CatalogueEngine::use_optimizer(const optim::OptimizerSettings& settings, std::int64_t step_count) {
  updater_ = std::make_unique<optim::Updater>(settings);
  step_count_ = step_count;
  if (setup_.clip_norm > 0.0) hold_gradients();
}

void CatalogueEngine::hold_gradients() {
  const table::Table& decoder = *setup_.tables.decoder;
  if (setup_.model.cells == LossCells::all)
    decoder_gradients_.require(static_cast<std::size_t>(decoder.rows() * decoder.shape().width()));
}

std::string CatalogueEngine::second_loss_name() const {
  if (adversary_.in_stage()) return "adversarial";
  return setup_.model.gaussian ? "divergence" : "";
}

void CatalogueEngine::begin_epoch(std::int64_t epoch, std::int64_t first_step,
                                  const std::vector<store::PendingRows>& pending) {
  SPAR_ASSERT(pending.empty());
  epoch_ = epoch;
  step_ = first_step;
  examples_ = 0;
  seconds_ = {};
  std::fill(losses_.begin(), losses_.end(), 0.0);
  std::fill(second_losses_.begin(), second_losses_.end(), 0.0);
  Stopwatch watch(seconds_.input);
  batches_.begin_epoch(epoch);
}

Engine::Flags CatalogueEngine::step(Flags flags) {
  {
    Stopwatch watch(seconds_.communication);
    batches_.gather(step_, flags | (divergence_.empty() ? 0 : diverged_flag), batch_);
  }
  list_cells();
  adversary_.move_to({epoch_, step_, steps()});
  if (updater_) {
    follow_rate(setup_.rate, {epoch_, step_, steps()}, *updater_);
    updater_->begin_step(step_count_ + 1);
  }
  const auto floats = [](int rows, int width) {
    return static_cast<std::size_t>(rows) * static_cast<std::size_t>(padded(width));
  };
  const int in = setup_.model.input_width();
  const int out = setup_.model.output_width();
  hidden_.require(floats(batch_.rows.rows(), out));
  delta_.require(floats(batch_.rows.rows(), in));
  for (Buffer<float>* own : {&inputs_, &input_gradients_, &user_gradients_}) own->require(floats(own_rows(), in));
  hidden_gradients_.require(floats(own_rows(), out));
  std::fill_n(user_gradients_.data(), floats(own_rows(), in), 0.0F);
  for (int k = 0; k < static_cast<int>(shards_.size()); ++k)
    std::fill_n(dense_sums_->room(k), setup_.tables.dense->gradient_floats(), 0.0F);
  run(Pass{});
  if (adversary_) adversarial_passes();
  check_finite();
  apply();
  examples_ += own_rows();
  ++step_count_;
  ++step_;
  return step_ < steps() ? batch_.flags : 0;
}

void CatalogueEngine::list_cells() {
  Stopwatch watch(seconds_.input);
  const Autoencoder& model = setup_.model;
  const tape::NoiseKey key{setup_.seed, Purpose::dropout, static_cast<std::uint32_t>(epoch_),
                           static_cast<std::uint32_t>(step_), corruption_place};
  tape::NoiseKey draws = key.at(negatives_place);
  draws.purpose = Purpose::negatives;
  parallel_for(static_cast<int>(shards_.size()), [&](int k) {
    Shard& shard = *shards_[static_cast<std::size_t>(k)];
    const auto rows = catalogue::slice_rows(*setup_.tables.encoder, shard_of(k));
    catalogue::list_batch(slices_, rows, batch_.users, {model.keep, key}, shard.batch);
    if (output_law_) {
      output_law_->draw(shard_of(k), draws, shard.output.drawn);
    } else if (model.cells == LossCells::sampled) {
      catalogue::add_negatives(shard.batch, rows, setup_.tables.encoder->total_rows(), batch_.users, batch_.totals,
                               model.negatives, draws, shard.sampled);
    }
    shard.encoder.reset(rows.rows, setup_.tables.encoder->shape().width());
    shard.decoder.reset(rows.rows, setup_.tables.decoder->shape().width());
  });
}

// `sum`: scratch, a row wide. Biases are not decayed.
void CatalogueEngine::update_row(table::Table& table, Index local_row, const float* gradient, float* sum) {
  if (sink_.row) {
    if (sink_.wants(table)) sink_.row(table, local_row, gradient);
    return;
  }
  const int width = table.shape().width();
  float* record = table.record(local_row);
  if (setup_.model.l2 != 0.0) {
    const Lanes<float> factor = all_lanes(static_cast<float>(2.0 * setup_.model.l2));
    std::copy_n(gradient, width, sum);
    for (int c = 0; c < padded(table.shape().dim); c += lanes)
      store_lanes(sum + c, lane_fma(factor, load_lanes(record + c), load_lanes(sum + c)));
    gradient = sum;
  }
  if (measures_) {
    const int shard = table.partition().part_of(table.first_row() + local_row);
    squares_[static_cast<std::size_t>(shard - shard_of(0))] += square_of(gradient, static_cast<std::size_t>(width));
    return;
  }
  if (clip_factor_ != 1.0F) {
    for (int c = 0; c < width; c += lanes) store_lanes(sum + c, clip_factor_ * load_lanes(gradient + c));
    gradient = sum;
  }
  updater_->update(record, gradient, width, width);
}

void CatalogueEngine::apply_table(table::Table& table, int k, catalogue::TouchedRows& touched) {
  const Index first = table.partition().begin(shard_of(k)) - table.first_row();
  const auto width = static_cast<std::size_t>(table.shape().width());
  std::vector<float> scratch(2 * width);  // a sum, and a gradient of zeros
  for (int t = 0; t < touched.count(); ++t)
    update_row(table, first + touched.row(t), touched.gradient(t), scratch.data());
  if (!moves_all_rows()) return;
  for (int row = 0; row < static_cast<int>(table.partition().size(shard_of(k))); ++row) {
    if (touched.place(row) < 0) update_row(table, first + row, scratch.data() + width, scratch.data());
  }
}

void CatalogueEngine::apply() {
  // Sums of dense gradients travel while the wide layers are moved.
  for (int k = 0; k < static_cast<int>(shards_.size()); ++k) dense_sums_->finish(k);
  dense_sums_->send();
  if (setup_.clip_norm <= 0.0 || sink_.row) {
    apply_rows();
    return apply_dense(sum_dense());
  }
  float* const total = sum_dense();
  clip(total);
  apply_rows();
  apply_dense(total);
}

void CatalogueEngine::apply_rows() {
  {
    Stopwatch watch(seconds_.compute);
    const bool few_cells = setup_.model.cells != LossCells::all;
    parallel_for(static_cast<int>(shards_.size()), [&](int k) {
      Shard& shard = *shards_[static_cast<std::size_t>(k)];
      apply_table(*setup_.tables.encoder, k, shard.encoder);
      table::Table& decoder = *setup_.tables.decoder;
      if (few_cells) return apply_table(decoder, k, shard.decoder);
      if (!holds_gradients()) return;  // each row was moved as soon as its gradient was whole
      const auto width = static_cast<std::size_t>(decoder.shape().width());
      std::vector<float> sum(width);
      const Index first = decoder.partition().begin(shard_of(k)) - decoder.first_row();
      for (Index row = first; row < first + decoder.partition().size(shard_of(k)); ++row)
        update_row(decoder, row, decoder_gradients_.data() + static_cast<std::size_t>(row) * width, sum.data());
    });
    if (setup_.model.user_nodes) apply_users();
  }
}

void CatalogueEngine::apply_users() {
  table::Table& users = *setup_.tables.users;
  const auto width = static_cast<std::size_t>(users.shape().width());
  const int first = batch_.rows.first_of_rank(setup_.layout, setup_.communicator->rank());
  std::vector<float> scratch(2 * width);
  std::vector<std::uint8_t> moved(moves_all_rows() ? static_cast<std::size_t>(users.rows()) : 0);
  for (int r = 0; r < own_rows(); ++r) {
    const Index user = batch_.users[static_cast<std::size_t>(first + r)] - users.first_row();
    update_row(users, user, user_gradients_.data() + static_cast<std::size_t>(r) * width, scratch.data());
    if (!moved.empty()) moved[static_cast<std::size_t>(user)] = 1;
  }
  for (std::size_t user = 0; user < moved.size(); ++user) {
    if (moved[user] == 0) update_row(users, static_cast<Index>(user), scratch.data() + width, scratch.data());
  }
}

// The gradients of the dense parameters, penalty included where they are about to move.
float* CatalogueEngine::sum_dense() {
  table::DenseParameters& dense = *setup_.tables.dense;
  float* total = nullptr;
  {
    Stopwatch watch(seconds_.communication);
    total = dense_sums_->receive(step_);
  }
  Stopwatch watch(seconds_.compute);
  if (sink_.row) return total;
  const auto factor = static_cast<float>(2.0 * setup_.model.l2);
  for (int k = 0; k < dense.count() && factor != 0.0F; ++k) {
    if (is_bias(dense.shape(k).name)) continue;
    const int width = dense.table(k).shape().width();
    for (int r = 0; r < dense.shape(k).rows; ++r) {
      float* gradient = total + dense.offset(k) + static_cast<std::ptrdiff_t>(r) * width;
      const float* row = dense.table(k).record(r);
      for (int c = 0; c < width; c += lanes)
        store_lanes(gradient + c, lane_fma(all_lanes(factor), load_lanes(row + c), load_lanes(gradient + c)));
    }
  }
  return total;
}

void CatalogueEngine::apply_dense(float* total) {
  Stopwatch watch(seconds_.compute);
  table::DenseParameters& dense = *setup_.tables.dense;
  if (sink_.row) {
    return dense.for_rows(total, [&](table::Table& matrix, Index row, const float* gradient) {
      if (sink_.wants(matrix)) sink_.row(matrix, row, gradient);
    });
  }
  dense.update(*updater_, total);
}

void CatalogueEngine::check_finite() {
  const auto finite = [](const std::vector<double>& losses) {
    return std::all_of(losses.begin(), losses.end(), [](double x) { return std::isfinite(x); });
  };
  // Other ranks are in the middle of the step: the flag rides in the next exchange, and all leave together.
  if (!divergence_.empty() || (finite(losses_) && finite(second_losses_))) return;
  divergence_ =
      fmt::format("training diverged: the loss of player model is not finite at epoch {}, step {}", epoch_ + 1, step_);
}

}  // namespace spar::game
