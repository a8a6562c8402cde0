#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stopwatch.hpp"

#include "spar/game/neural_engine.hpp"
#include "spar/game/segmented_model.hpp"
#include "spar/table/row_gradient.hpp"

namespace spar::game {

/// What an adversary adds at a tap, in the worker's own memory, since the tape is reset between the passes.
struct NeuralEngine::Perturbed {
  std::string tap;
  tape::Matrix<float> delta;
  std::vector<RowPart> parts;  // of each row, which have norms of their own
};

/// Those of one shard's micro-batch.
struct NeuralEngine::Perturbations {
  std::vector<Perturbed> all;
  Buffer<float> deltas;
  std::vector<std::vector<float*>> places;  // by table: rows that their owners returned
};

/// Scratch memory of one thread; of one shard where passes have segments.
struct NeuralEngine::Worker {
  tape::Tape<float> tape;
  std::vector<tape::Var> tables;
  std::vector<tape::Var> dense;
  std::optional<Pass<float>> pass;
  tape::Var penalty;
  tape::Var second;
  bool has_penalty = false;
  NeuralBatch inner;
  NeuralBatch pairs;            // a negative's candidates, each with what asks
  std::vector<tape::Var> kept;  // by a pass in segments
};

/// What a pass differentiates, `seed` times, and the losses that it stands for.
struct NeuralEngine::Objective {
  tape::Var value;
  float seed = 1.0F;
  double loss = 0.0;
};

/// Vectors of a table, and what the penalty of the step has at each of them.
struct NeuralEngine::Decorrelated {
  std::size_t table = 0;
  std::unique_ptr<table::GramSums<double>> sums;
  table::RowGradient<float> gradient;
};

/// What passes in segments need besides.
struct NeuralEngine::Segments {
  const SegmentedModel* model = nullptr;
  std::vector<CutShape> cuts;
  std::vector<std::unique_ptr<Worker>> workers;  // by local shard
  std::unique_ptr<table::DenseSums> sums;

  std::size_t most_floats() const;  // of a sum
};

}  // namespace spar::game
