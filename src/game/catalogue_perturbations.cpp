#include <algorithm>

#include "catalogue_parts.hpp"

#include "spar/base/threads.hpp"
#include "spar/table/contributions.hpp"

namespace spar::game {

namespace {

using catalogue::SliceRows;

}  // namespace

void CatalogueEngine::perturb_encoder() {
  Stopwatch watch(seconds_.compute);
  const adversary::PerturbationSettings& settings = adversary_->perturbation;
  const table::Table& table = *setup_.tables.encoder;
  const int dim = table.shape().dim;
  const int width = table.shape().width();
  const auto key = [&](Index row) {
    return adversary::NoiseKey{setup_.seed, 0, row, static_cast<std::uint32_t>(step_),
                               static_cast<std::uint32_t>(epoch_)};
  };
  std::vector<double> squares(shards_.size());
  parallel_for(static_cast<int>(shards_.size()), [&](int k) {
    Shard& shard = *shards_[static_cast<std::size_t>(k)];
    const Index first = table.partition().begin(shard_of(k));
    shard.perturbed_encoder.require(static_cast<std::size_t>(shard.encoder.count()) * static_cast<std::size_t>(width));
    for (int t = 0; t < shard.encoder.count(); ++t) {
      float* delta = shard.perturbed_encoder.data() + static_cast<std::ptrdiff_t>(t) * width;
      adversary::direction(settings, shard.encoder.gradient(t), key(first + shard.encoder.row(t)), dim, width, delta);
      squares[static_cast<std::size_t>(k)] += adversary::squared_norm(delta, width);
    }
  });
  const double all = comm::tree_sum(*setup_.communicator, setup_.layout.shards, squares, 1).front();
  parallel_for(static_cast<int>(shards_.size()), [&](int k) {
    Shard& shard = *shards_[static_cast<std::size_t>(k)];
    const SliceRows rows = catalogue::slice_rows(table, shard_of(k));
    for (int t = 0; t < shard.encoder.count(); ++t) {
      float* delta = shard.perturbed_encoder.data() + static_cast<std::ptrdiff_t>(t) * width;
      adversary::scale_to_ball(settings, all, width, delta);
      table::add_row(delta, rows.row(shard.encoder.row(t)), width);
    }
    // The same inputs, by the places of the touched rows; those that were dropped have none.
    shard.perturbed_batch = shard.batch;
    for (std::size_t c = 0; c < shard.batch.items.size(); ++c)
      shard.perturbed_batch.items[c] = std::max(0, shard.encoder.place(shard.batch.items[c]));
  });
}

void CatalogueEngine::perturb_decoder() {
  Stopwatch watch(seconds_.compute);
  const adversary::PerturbationSettings& settings = adversary_->perturbation;
  const table::Table& table = *setup_.tables.decoder;
  const int width = table.shape().width();
  const int columns = padded(table.shape().dim);  // the bias is no part of the tap
  const bool all_cells = setup_.model.cells == LossCells::all;
  decoder_perturbed_.require(static_cast<std::size_t>(table.rows()) * static_cast<std::size_t>(width));
  const auto for_rows = [&](int k, auto&& body) {
    const SliceRows rows = catalogue::slice_rows(table, shard_of(k));
    const Index first = rows.first - table.first_row();
    catalogue::TouchedRows& touched = shards_[static_cast<std::size_t>(k)]->decoder;
    for (int r = 0; r < rows.rows; ++r) {
      const float* gradient = nullptr;
      if (all_cells) gradient = decoder_gradients_.data() + (first + r) * width;
      if (!all_cells && touched.place(r) >= 0) gradient = touched.gradient(touched.place(r));
      body(rows.first + r, rows.row(r), gradient, decoder_perturbed_.data() + (first + r) * width);
    }
  };
  std::vector<double> squares(shards_.size());
  parallel_for(static_cast<int>(shards_.size()), [&](int k) {
    for_rows(k, [&](Index item, const float*, const float* gradient, float* delta) {
      if (gradient == nullptr) return;
      adversary::direction(
          settings, gradient,
          {setup_.seed, 1, item, static_cast<std::uint32_t>(step_), static_cast<std::uint32_t>(epoch_)},
          table.shape().dim, columns, delta);
      squares[static_cast<std::size_t>(k)] += adversary::squared_norm(delta, columns);
    });
  });
  const double all = comm::tree_sum(*setup_.communicator, setup_.layout.shards, squares, 1).front();
  parallel_for(static_cast<int>(shards_.size()), [&](int k) {
    for_rows(k, [&](Index, const float* values, const float* gradient, float* to) {
      if (gradient == nullptr) {
        std::copy_n(values, width, to);
        return;
      }
      adversary::scale_to_ball(settings, all, columns, to);
      table::add_row(to, values, columns);
      std::copy(values + columns, values + width, to + columns);
    });
  });
}

}  // namespace spar::game
