#pragma once
#include <string>
#include <vector>

#include "stopwatch.hpp"

#include "spar/game/neural_engine.hpp"

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

/// Scratch memory of one thread.
struct NeuralEngine::Worker {
  tape::Tape<float> tape;
  std::vector<tape::Var> tables;
  std::vector<tape::Var> dense;
  bool has_penalty = false;
  NeuralBatch inner;
  NeuralBatch pairs;  // a negative's candidates, each with what asks
};

}  // namespace spar::game
