#include <algorithm>

#include "catalogue_parts.hpp"

#include "spar/base/lanes.hpp"
#include "spar/base/threads.hpp"
#include "spar/table/contributions.hpp"
#include "spar/tape/operations.hpp"

namespace spar::game {

namespace {

using catalogue::OutputLoss;
using catalogue::SliceRows;
using tape::Matrix;
using tape::Var;

Matrix<float> rows_of(Buffer<float>& buffer, int first, int rows, int columns) {
  const int stride = padded(columns);
  return {buffer.data() + static_cast<std::ptrdiff_t>(first) * stride, rows, columns, stride};
}

void scale_row(float* row, float factor, int width) {
  for (int c = 0; c < width; c += lanes) store_lanes(row + c, factor * load_lanes(row + c));
}

}  // namespace

void CatalogueEngine::run(const Pass& pass) {
  std::vector<double> adversarial(pass.clean ? 0 : losses_.size());
  std::vector<double>& losses = pass.clean ? losses_ : adversarial;
  encode(pass);
  inner_forward();
  decode(pass, losses);
  inner_backward(pass);
  encode_backward();
  const int taps = static_cast<int>(perturbs_encoder_) + static_cast<int>(perturbs_decoder_);
  for (std::size_t k = 0; k < adversarial.size(); ++k) second_losses_[k] += adversarial[k] / taps;
}

// The wide input layer: sums of the items' rows for the own users of the batch.
void CatalogueEngine::encode(const Pass& pass) {
  const int width = padded(setup_.model.input_width());
  const auto count = static_cast<std::size_t>(batch_.rows.rows()) * static_cast<std::size_t>(width);
  {
    Stopwatch watch(seconds_.compute);
    sums_.add_up(count, [&](int k, int, float* room) {
      Shard& shard = *shards_[static_cast<std::size_t>(k)];
      SliceRows rows = catalogue::slice_rows(*setup_.tables.encoder, shard_of(k));
      if (!pass.perturbed_encoder) return catalogue::input_forward(rows, shard.batch, room);
      rows.data = shard.perturbed_encoder.data();
      rows.rows = shard.encoder.count();
      rows.stride = rows.width;
      catalogue::input_forward(rows, shard.perturbed_batch, room);
    });
  }
  Stopwatch watch(seconds_.communication);
  sums_.to_homes(batch_.rows, width, inputs_.data());
}

void CatalogueEngine::inner_forward() {
  {
    Stopwatch watch(seconds_.compute);
    const Autoencoder& model = setup_.model;
    const int in = model.input_width();
    const int first_row = batch_.rows.first_of_rank(setup_.layout, setup_.communicator->rank());
    const Index first_user = setup_.train->first_user;
    tape::NoiseKey noise{setup_.seed, Purpose::dropout, static_cast<std::uint32_t>(epoch_),
                         static_cast<std::uint32_t>(step_), code_place};
    parallel_for(static_cast<int>(shards_.size()), [&](int k) {
      Shard& shard = *shards_[static_cast<std::size_t>(k)];
      const int begin = batch_.rows.begin[static_cast<std::size_t>(shard_of(k))];
      const int count = batch_.rows.of_shard(shard_of(k));
      if (count == 0) return;
      const auto users =
          std::span(batch_.users).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count));
      const Matrix<float> input = rows_of(inputs_, begin - first_row, count, in);
      for (int r = 0; r < count; ++r) {
        const Index user = users[static_cast<std::size_t>(r)] - first_user;
        if (model.normalise) scale_row(input.row(r), norms_[static_cast<std::size_t>(user)], input.stride);
        if (model.user_nodes) table::add_row(input.row(r), setup_.tables.users->record(user), input.stride);
      }
      shard.tape.reset();
      shard.layers = put_inner_layers(shard.tape, model, *setup_.tables.dense, input,
                                      rows_of(input_gradients_, begin - first_row, count, in),
                                      {true, noise, users, dense_sums_->room(k)});
      const Matrix<float> value = shard.tape.value(shard.layers.hidden);
      const Matrix<float> to = rows_of(hidden_, begin, count, value.columns);
      for (int r = 0; r < count; ++r) {
        std::copy_n(value.row(r), value.columns, to.row(r));
        std::fill(to.row(r) + value.columns, to.row(r) + to.stride, 0.0F);
      }
    });
  }
  Stopwatch watch(seconds_.communication);
  bytes_sent_ += catalogue::share_rows(*setup_.communicator, setup_.layout, batch_.rows,
                                       padded(setup_.model.output_width()), hidden_.data());
}

SliceRows CatalogueEngine::decoder_rows(const Pass& pass, int k) const {
  const table::Table& table = *setup_.tables.decoder;
  SliceRows rows = catalogue::slice_rows(table, shard_of(k));
  if (!pass.perturbed_decoder) return rows;
  rows.data = decoder_perturbed_.data() + (rows.first - table.first_row()) * rows.width;
  rows.stride = rows.width;
  return rows;
}

// Where each shard's logits stay until the backward pass, if there is room for all.
void CatalogueEngine::plan_kept_logits() {
  std::size_t floats = 0;
  kept_places_.clear();
  for (std::size_t k = 0; k < shards_.size(); ++k) {
    kept_places_.push_back(floats);
    const auto items = output_law_
                           ? shards_[k]->output.drawn.count()
                           : static_cast<int>(setup_.tables.decoder->partition().size(shard_of(static_cast<int>(k))));
    floats += catalogue::WideOutput::kept_floats(batch_.rows.rows(), items);
  }
  if (static_cast<std::int64_t>(floats * sizeof(float)) > setup_.kept_bytes) return kept_places_.clear();
  kept_.require(floats);
}

float* CatalogueEngine::kept_logits(int k) {
  return kept_places_.empty() ? nullptr : kept_.data() + kept_places_[static_cast<std::size_t>(k)];
}

// The wide output layer; leaves the gradient of the own users' hidden rows.
void CatalogueEngine::decode(const Pass& pass, std::vector<double>& losses) {
  const int users = batch_.rows.rows();
  std::vector<double> log_sums;
  if (setup_.model.loss != OutputLoss::multinomial) return decode_backward(pass, log_sums, losses);
  {
    Stopwatch watch(seconds_.compute);
    plan_kept_logits();
    log_sums_.resize(shards_.size() * static_cast<std::size_t>(users));
    const Matrix<float> hidden = rows_of(hidden_, 0, users, setup_.model.output_width());
    parallel_for_worker(static_cast<int>(shards_.size()), [&](int k, int worker) {
      const auto at = static_cast<std::size_t>(k);
      auto& output = outputs_[static_cast<std::size_t>(worker)];
      const SliceRows rows = decoder_rows(pass, k);
      const auto sums =
          std::span(log_sums_).subspan(at * static_cast<std::size_t>(users), static_cast<std::size_t>(users));
      Shard& shard = *shards_[at];
      losses[at] += output_law_ ? shard.output.forward(output, rows, hidden, shard.batch, kept_logits(k), sums)
                                : output.forward(rows, hidden, shard.batch, kept_logits(k), sums);
    });
  }
  {
    Stopwatch watch(seconds_.communication);
    const auto merged = catalogue::merge_log_sums(*setup_.communicator, setup_.layout, users, log_sums_);
    for (const auto& sum : merged) log_sums.push_back(sum.log());
  }
  for (std::size_t k = 0; k < shards_.size(); ++k) {
    const int shard = shard_of(static_cast<int>(k));
    const int begin = batch_.rows.begin[static_cast<std::size_t>(shard)];
    for (auto u = static_cast<std::size_t>(begin); u < static_cast<std::size_t>(begin + batch_.rows.of_shard(shard));
         ++u)
      losses[k] += static_cast<double>(batch_.totals[u]) * log_sums[u];
  }
  decode_backward(pass, log_sums, losses);
}

void CatalogueEngine::decode_backward(const Pass& pass, std::span<const double> log_sums, std::vector<double>& losses) {
  const Autoencoder& model = setup_.model;
  const int users = batch_.rows.rows();
  const int width = padded(model.output_width());
  const float mean = model.mean_over_users ? 1.0F / static_cast<float>(std::max(1, users)) : 1.0F;
  const catalogue::LossTerms terms{model.loss, pass.weight * mean, batch_.totals, log_sums};
  table::Table& table = *setup_.tables.decoder;
  const bool multinomial = model.loss == OutputLoss::multinomial;
  {
    Stopwatch watch(seconds_.compute);
    const Matrix<float> hidden = rows_of(hidden_, 0, users, model.output_width());
    sums_.add_up(
        static_cast<std::size_t>(users) * static_cast<std::size_t>(width), [&](int k, int worker, float* room) {
          const auto at = static_cast<std::size_t>(k);
          Shard& shard = *shards_[at];
          const SliceRows rows = decoder_rows(pass, k);
          const Matrix<float> hidden_gradient{room, users, model.output_width(), width};
          auto& output = outputs_[static_cast<std::size_t>(worker)];
          if (output_law_) {
            return shard.output.backward(output, rows, hidden, shard.batch, terms, kept_logits(k), hidden_gradient,
                                         shard.decoder);
          }
          if (model.cells != LossCells::all) {
            losses[at] +=
                output.backward_cells(rows, hidden, shard.cells(model.cells), terms, hidden_gradient, shard.decoder);
            return;
          }
          const Index first = rows.first - table.first_row();
          std::vector<float> scratch(static_cast<std::size_t>(rows.width));
          losses[at] += output.backward(rows, hidden, shard.batch, terms, multinomial ? kept_logits(k) : nullptr,
                                        hidden_gradient, [&](int row, const float* gradient) {
                                          if (!holds_gradients())
                                            return update_row(table, first + row, gradient, scratch.data());
                                          float* sum = decoder_gradients_.data() + (first + row) * rows.width;
                                          if (pass.clean)
                                            std::copy_n(gradient, rows.width, sum);
                                          else
                                            table::add_row(sum, gradient, rows.width);
                                        });
        });
  }
  Stopwatch watch(seconds_.communication);
  sums_.to_homes(batch_.rows, width, hidden_gradients_.data());
}

// From dL/dh to the gradients of the dense parameters and of the sums of the input layer, at the users' homes.
void CatalogueEngine::inner_backward(const Pass& pass) {
  {
    Stopwatch watch(seconds_.compute);
    const Autoencoder& model = setup_.model;
    const int in = model.input_width();
    const int first_row = batch_.rows.first_of_rank(setup_.layout, setup_.communicator->rank());
    const double mean = model.mean_over_users ? 1.0 / std::max(1, batch_.rows.rows()) : 1.0;
    const double beta = static_cast<double>(pass.weight) * mean * model.beta.at({epoch_, step_, steps()});
    parallel_for(static_cast<int>(shards_.size()), [&](int k) {
      Shard& shard = *shards_[static_cast<std::size_t>(k)];
      const int begin = batch_.rows.begin[static_cast<std::size_t>(shard_of(k))];
      const int count = batch_.rows.of_shard(shard_of(k));
      if (count == 0) return;
      tape::Tape<float>& tape = shard.tape;
      // The scalar whose gradient at the hidden rows is the one that came back from the items.
      const Var upstream = tape.constant(rows_of(hidden_gradients_, begin - first_row, count, model.output_width()));
      Var loss = tape::sum(tape, tape::row_dot(tape, shard.layers.hidden, upstream));
      if (shard.layers.divergence.id >= 0) {
        const Var divergence = tape::sum(tape, shard.layers.divergence);
        if (pass.clean && !adversary_)
          second_losses_[static_cast<std::size_t>(k)] += static_cast<double>(tape.value(divergence).at(0, 0));
        loss = tape::add(tape, loss, tape::scale(tape, divergence, static_cast<float>(beta)));
      }
      tape.backward(loss);
      const Matrix<float> gradient = rows_of(input_gradients_, begin - first_row, count, in);
      const Matrix<float> delta = rows_of(delta_, begin, count, in);
      const Matrix<float> nodes = rows_of(user_gradients_, begin - first_row, count, in);
      for (int r = 0; r < count; ++r) {
        if (model.user_nodes) table::add_row(nodes.row(r), gradient.row(r), nodes.stride);
        std::copy_n(gradient.row(r), delta.stride, delta.row(r));
        if (!model.normalise) continue;
        const Index user = batch_.users[static_cast<std::size_t>(begin + r)] - setup_.train->first_user;
        scale_row(delta.row(r), norms_[static_cast<std::size_t>(user)], delta.stride);
      }
    });
  }
  Stopwatch watch(seconds_.communication);
  bytes_sent_ += catalogue::share_rows(*setup_.communicator, setup_.layout, batch_.rows,
                                       padded(setup_.model.input_width()), delta_.data());
}

void CatalogueEngine::encode_backward() {
  Stopwatch watch(seconds_.compute);
  parallel_for(static_cast<int>(shards_.size()), [&](int k) {
    Shard& shard = *shards_[static_cast<std::size_t>(k)];
    catalogue::input_backward(catalogue::slice_rows(*setup_.tables.encoder, shard_of(k)), shard.batch, delta_.data(),
                              shard.encoder);
  });
}

// Both perturbations are built before either noisy pass adds to the clean gradients.
void CatalogueEngine::adversarial_passes() {
  if (perturbs_encoder_) perturb_encoder();
  if (perturbs_decoder_) perturb_decoder();
  const auto weight = [&](double tap) { return static_cast<float>(adversary_->weight * tap); };
  if (perturbs_encoder_) run({.weight = weight(setup_.encoder_weight), .clean = false, .perturbed_encoder = true});
  if (perturbs_decoder_) run({.weight = weight(setup_.decoder_weight), .clean = false, .perturbed_decoder = true});
}

}  // namespace spar::game
