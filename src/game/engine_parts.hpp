#pragma once
#include <chrono>
#include <vector>

#include "spar/game/pairwise_engine.hpp"
#include "spar/tape/pairwise.hpp"

namespace spar::game {

/// What one shard keeps from phase to phase of a step.
struct PairwiseEngine::Shard {
  data::TripleSampler sampler;
  std::array<data::MicroBatch, sets> batches;
  // Gradients of the distinct item rows, clean (or whole) and at the perturbed rows, and of the distinct users where a
  // later phase needs them. Without pipeline one of each serves all steps and stays in cache: gradient_set().
  std::array<std::array<Buffer<float>, 2>, sets> item_gradients;
  std::array<Buffer<float>, sets> user_gradients;
  // Users as they were before the updates in flight (pipeline).
  std::array<Buffer<float>, sets> user_rows;

  explicit Shard(data::TripleSampler s) : sampler(std::move(s)) {}
};

/// Scratch memory of one thread.
struct PairwiseEngine::Worker {
  tape::Tape<float> tape;
  Buffer<float> delta;
};

class PairwiseEngine::Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds), start_(std::chrono::steady_clock::now()) {}
  ~Stopwatch() { seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& seconds_;
  std::chrono::steady_clock::time_point start_;
};

inline tape::Triples triples_of(const data::MicroBatch& batch) {
  return {batch.user, batch.positive, batch.negative};
}

inline void prefetch_row(const float* row, int width) {
  for (int c = 0; c < width; c += 16) __builtin_prefetch(row + c);
}

}  // namespace spar::game
