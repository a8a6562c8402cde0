#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "spar/game/neural_model.hpp"

namespace spar::game {

/// Rows x columns of a sum over the examples of all shards.
struct CutShape {
  int rows = 0;
  int columns = 0;
};

/// What a model adds whose training pass needs sums over the examples of all shards (batch norm): its loss comes in
/// segments that end at cuts of the tape. The engine lets every shard finish a segment, sums the cuts along the shard
/// tree and goes on; so all tapes of a rank are alive at once. Elsewhere (attacks, evaluation) the model's loss() is
/// one piece and takes running states in place of the sums.
class SegmentedModel {
 public:
  virtual ~SegmentedModel() = default;
  /// The sums of a pass, in order; the same for every shard, also for one without examples.
  virtual std::vector<CutShape> cuts() const = 0;
  /// Segment 0 ... cuts().size(). Each but the last leaves one open cut on the tape, the last gives the loss, 1 x 1.
  /// `kept`: what segments leave for those behind them; empty before the first.
  virtual tape::Var segment(const Pass<float>& pass, int segment, std::vector<tape::Var>& kept) const = 0;
  /// Moves what runs along (Context::states) by the closed cuts of a clean pass; on every rank once a step.
  virtual void update_states(const Pass<float>& pass, std::span<const tape::Var> kept) const = 0;
  /// What the values and gradients of an entry's examples take on a tape, for `spar plan`.
  virtual std::int64_t bytes_per_entry() const = 0;
};

}  // namespace spar::game
