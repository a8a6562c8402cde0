#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "bench/bare_lists.hpp"
#include "bench/vector16.hpp"

#include "spar/base/memory.hpp"
#include "spar/base/sharding.hpp"
#include "spar/base/types.hpp"

/// The bare kernel that spar's training is held against: what a step of BPR (Rendle et al., UAI 2009) or APR (He et
/// al., SIGIR 2018, scope batch) costs when nothing is done but its arithmetic and its memory traffic. No sampling law,
/// no rejection of positives, no ranks, no checks, no loss. docs/performance.md says what it is compared with.
namespace spar::bench {

/// Floats in a row. Fixed, so that a row is four registers of sixteen floats.
inline constexpr int bare_dim = 64;

enum class BareLayout {
  side_by_side,  ///< a record is 64 values, then 64 accumulators
  apart,         ///< values in one array, accumulators in another
};

struct BareShape {
  Index users = 0;
  Index items = 0;
  int batch = 512;  ///< triples a step
  int shards = 8;   ///< micro-batches a step; batch / shards is a multiple of 16, below 32,767
  bool adversarial = false;
  BareLayout layout = BareLayout::side_by_side;
  bool prefetch = true;  ///< ask for the rows of the next micro-batch while this one computes
  float learning_rate = 0.05F;
  float epsilon = 0.5F;
  float weight = 1.0F;  ///< lambda, the weight of the adversarial loss
};

/// A table of rows with their Adagrad accumulators (0.1 at first), on huge pages.
class BareTable {
 public:
  BareTable(Index rows, BareLayout layout, std::uint64_t seed);
  float* values(Index row) { return values_ + row * stride_; }
  float* accumulators(Index row) { return accumulators_ + row * stride_; }

 private:
  Buffer<float> memory_;
  Buffer<float> second_;
  float* values_;
  float* accumulators_;
  Index stride_;
};

/// Seconds of the parts of a step, summed over steps.
struct BareSeconds {
  double draw = 0, list = 0, first = 0, perturb = 0, second = 0, update = 0;
};

/// A batch of triples, shard after shard. Users are counted from their shard's first user.
struct BareBatch {
  std::span<const std::uint32_t> users, positives, negatives;
};

/// Tables, buffers and the step. A step lists the distinct rows of every micro-batch (users are a shard's own; items
/// also once for the whole batch), gathers them into contiguous buffers, makes one pass or two, adds each micro-batch's
/// item gradients to the batch's in the order of the shards, and applies Adagrad once to every distinct row.
class BarePairwise {
 public:
  /// `popularity`: items from which positives are drawn uniformly, repeats included; empty: all items alike.
  BarePairwise(const BareShape& shape, std::uint64_t seed, std::vector<ItemId> popularity = {});

  /// Draws a batch and makes a step with it.
  void step();
  void step_with(const BareBatch& batch);

  BareTable& users() { return users_; }
  BareTable& items() { return items_; }
  /// Which users are which shard's.
  const Partition& user_parts() const { return parts_; }
  /// Asks the clock between the parts of each step from now on.
  void time_parts() { timed_ = true; }
  const BareSeconds& seconds() const { return seconds_; }

 private:
  struct Micro;
  Micro micro(int shard);
  void draw();
  void list_rows(const BareBatch& batch);
  void list_shard(int shard, const BareBatch& batch, RowQueue& first);
  std::uint16_t list_item(const Micro& m, std::uint32_t item, std::uint16_t occurrence);
  RowQueue ahead(int shard, bool perturbed);
  void margins(const Micro& m, float scale, RowQueue& next);
  void add_user_gradient(const Micro& m, std::uint32_t slot, Row64& g);
  void add_item_gradient(const Micro& m, std::uint32_t slot, Row64& g);
  void first_pass(int shard);
  void perturb_items();
  void second_pass(int shard);
  void update_items();

  BareShape shape_;
  int micro_;  // triples of a shard
  Partition parts_;
  BareTable users_, items_;
  std::vector<ItemId> popularity_;
  std::uint64_t counter_;
  Buffer<std::uint32_t> drawn_users_, drawn_positives_, drawn_negatives_;

  // Lists, by shard and slot or triple; an occurrence of an item is 2 * triple, + 1 as the negative.
  Stamps user_stamps_;   // over the users of one shard
  Stamps step_stamps_;   // over all items
  Stamps shard_stamps_;  // over the step's distinct items
  Buffer<std::uint32_t> user_count_, item_count_;
  Buffer<std::uint32_t> user_rows_, item_rows_, item_steps_;
  Buffer<std::uint32_t> item_met_;  // all ones where an earlier shard has the item, else 0
  Buffer<std::uint16_t> user_slot_, positive_slot_, negative_slot_;
  Buffer<std::uint16_t> user_head_, user_next_, item_head_, item_next_;  // occurrences of a slot, newest first
  Buffer<std::uint32_t> step_rows_;                                      // the step's distinct items

  Buffer<float> user_values_, item_values_;  // the gathered rows of one shard
  Buffer<float> weights_;                    // of its triples: dLoss/dx
  Buffer<float> user_gradients_;             // clean, by shard and slot (adversarial)
  Buffer<float> item_gradients_;             // by step slot
  Buffer<float> item_perturbed_;             // by step slot (adversarial)
  Buffer<const float*> queue_;
  bool timed_ = false;
  BareSeconds seconds_;
};

}  // namespace spar::bench
