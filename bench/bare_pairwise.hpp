#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "bench/vector16.hpp"
#include "spar/base/memory.hpp"
#include "spar/base/sharding.hpp"
#include "spar/base/types.hpp"

/// The bare kernel that spar's training is held against: what a step of BPR (Rendle et al., UAI 2009) or APR (He et al., SIGIR 2018, scope batch) costs when
/// nothing is done but the arithmetic and the memory traffic of it. No sampling law, no rejection of positives, no ranks, no checks, no loss.
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
  int shards = 8;   ///< micro-batches a step; batch / shards is a multiple of 16
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

/// Positions given to keys in the order of their first appearance, by a stamp array over the keys that is never cleared between lists.
class Stamps {
 public:
  explicit Stamps(std::size_t keys) : stamps_(keys) { std::fill(stamps_.begin(), stamps_.end(), ~std::uint32_t{0}); }

  /// Starts an empty list.
  void start() {
    base_ += count_;
    count_ = 0;
    if (base_ > 0x7fffffffU) {
      std::fill(stamps_.begin(), stamps_.end(), ~std::uint32_t{0});
      base_ = 0;
    }
  }
  /// The position of `key` in the list; it is new exactly if the position equals the count before the call.
  std::uint32_t position(std::uint32_t key) {
    const std::uint32_t seen = stamps_[key] - base_;
    const std::uint32_t position = seen < count_ ? seen : count_;
    stamps_[key] = base_ + position;
    count_ += static_cast<std::uint32_t>(position == count_);
    return position;
  }
  std::uint32_t count() const { return count_; }
  void prefetch(std::uint32_t key) const { __builtin_prefetch(&stamps_[key], 1); }

 private:
  Buffer<std::uint32_t> stamps_;
  std::uint32_t base_ = 0;
  std::uint32_t count_ = 0;
};

/// Seconds of the parts of a step, summed over steps.
struct BareSeconds {
  double draw = 0, list = 0, first = 0, perturb = 0, second = 0, update = 0;
  double total() const { return draw + list + first + perturb + second + update; }
};

class BarePairwise {
 public:
  /// `positives`: items from which positives are drawn uniformly (so each by its popularity); empty: all items alike.
  BarePairwise(const BareShape& shape, std::uint64_t seed, std::vector<ItemId> positives = {});

  /// Draws a batch and makes one step with it.
  void step();
  /// A step with given triples: `users` are relative to their shard's first user.
  void step_with(std::span<const std::uint32_t> users, std::span<const std::uint32_t> positives, std::span<const std::uint32_t> negatives);

  BareTable& users() { return users_; }
  BareTable& items() { return items_; }
  const Partition& user_parts() const { return parts_; }
  const BareSeconds& seconds() const { return seconds_; }
  void forget_seconds() { seconds_ = {}; }

 private:
  struct Micro;  // one shard's share of a step
  class Queue;
  void draw();
  void list_rows(const std::uint32_t* users, const std::uint32_t* positives, const std::uint32_t* negatives);
  void list_shard(int shard, const std::uint32_t* users, const std::uint32_t* positives, const std::uint32_t* negatives, Queue& first);
  void run_step(const std::uint32_t* users, const std::uint32_t* positives, const std::uint32_t* negatives);
  void first_pass(int shard);
  void perturb_items();
  void second_pass(int shard);
  void update_items();
  Micro micro(int shard);
  Queue ahead(int shard, int pass);
  void margins(const Micro& m, float scale, Queue& next);
  void add_user_gradient(const Micro& m, std::uint32_t slot, Row64& g);
  void add_item_gradient(const Micro& m, std::uint32_t slot, Row64& g);

  BareShape shape_;
  int micro_;  // triples of one shard
  Partition parts_;
  BareTable users_;
  BareTable items_;
  std::vector<ItemId> popularity_;
  std::uint64_t counter_;

  // The batch, as drawn.
  Buffer<std::uint32_t> drawn_users_, drawn_positives_, drawn_negatives_;
  // Lists of distinct rows.
  Stamps user_stamps_;   // over the users of one shard
  Stamps step_stamps_;   // over all items
  Stamps shard_stamps_;  // over the step's distinct items
  Buffer<std::uint32_t> user_count_, item_count_;                             // by shard
  Buffer<std::uint32_t> user_rows_, item_rows_, item_steps_;                  // by shard and slot
  Buffer<std::uint16_t> user_slot_, positive_slot_, negative_slot_;           // by shard and triple
  Buffer<std::uint16_t> user_head_, user_next_, item_head_, item_next_;       // occurrences of a slot, newest first
  Buffer<std::uint32_t> item_fresh_;                                          // 0 where no earlier shard has the item, else all ones
  Buffer<std::uint32_t> step_rows_;                                           // the step's distinct items
  // Rows and gradients.
  Buffer<float> user_values_, item_values_;  // gathered rows of one shard
  Buffer<float> user_gradients_;             // clean gradients of all shards (adversarial only)
  Buffer<float> item_gradients_;             // by step slot
  Buffer<float> item_perturbed_;             // by step slot
  Buffer<float> weights_;                    // of one shard's triples: -dLoss/dx
  Buffer<const float*> ahead_;               // rows to ask for early
  BareSeconds seconds_;
};

}  // namespace spar::bench
