#pragma once
#include <vector>

#include "stopwatch.hpp"

#include "spar/catalogue/sampled_output.hpp"
#include "spar/game/catalogue_engine.hpp"

namespace spar::game {

/// Streams of noise within a step.
constexpr std::uint32_t corruption_place = 0;
constexpr std::uint32_t code_place = 1;
constexpr std::uint32_t negatives_place = 2;

/// What one shard keeps during a step: as home of users and as owner of items.
struct CatalogueEngine::Shard {
  catalogue::SliceBatch batch;
  catalogue::SliceBatch sampled;
  catalogue::TouchedRows encoder;   // gradients of the items' input rows
  catalogue::TouchedRows decoder;   // of their output rows, where the loss has few cells
  catalogue::SampledOutput output;  // where items are drawn for the whole batch
  Buffer<float> perturbed_encoder;  // by place in `encoder`
  catalogue::SliceBatch perturbed_batch;
  tape::Tape<float> tape;
  InnerLayers layers;

  const catalogue::SliceBatch& cells(LossCells which) const { return which == LossCells::sampled ? sampled : batch; }
};

/// One evaluation of the loss and its gradients, which are added up over the passes of a step times `weight`.
struct CatalogueEngine::Pass {
  float weight = 1.0F;
  bool clean = true;
  bool perturbed_encoder = false;
  bool perturbed_decoder = false;
};

}  // namespace spar::game
