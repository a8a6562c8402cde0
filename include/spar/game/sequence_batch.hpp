#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "spar/base/random.hpp"
#include "spar/data/interactions.hpp"
#include "spar/data/triple_sampler.hpp"
#include "spar/game/neural_batch.hpp"

/// Micro-batches of item sequences (Kang and McAuley, ICDM 2018). Sequence b has positions b * length to (b + 1) *
/// length - 1 of the batch, its newest item last and padding in front; `length` is that of the longest sequence of the
/// micro-batch, so that short histories cost little. One table: item.
namespace spar::game {

/// The roles of the slots. Padding has slot 0 in `inputs` and no mark in NeuralBatch::valid.
struct SequenceRoles {
  static constexpr std::size_t inputs = 0;          ///< by position
  static constexpr std::size_t places = 1;          ///< the position that each target follows
  static constexpr std::size_t targets = 2;         ///< the item that follows
  static constexpr std::size_t first_negative = 3;  ///< as many roles as there are negatives for each target
};

/// Lays histories out as batches, for models that score by them.
class HistoryBatcher {
 public:
  explicit HistoryBatcher(int length) : length_(length) {}
  /// The newest `length` items of each history, oldest first; none may be empty. Roles: inputs, and as places the last
  /// position of each.
  void fill(std::span<const std::vector<ItemId>> histories, NeuralBatch& batch);

 private:
  int length_;
  data::SlotFinder items_;
  std::size_t most_ = 0;
};

/// Inputs and the last target, and the negatives of every target.
constexpr std::int64_t most_rows_per_sequence(int length, int negatives) {
  return 1 + length * std::int64_t{1 + negatives};
}

/// One entry is a user with at least two training items: his newest `length` + 1 make `length` inputs and, one later,
/// as many targets, each with `negatives` items that he does not have in training, drawn uniformly by rejection. Users
/// in a fresh order every epoch, each once. Users with every item are left out, and counted.
class SequenceSource final : public BatchSource {
 public:
  /// The shard's users are local users [first_user, first_user + users) of `lists`, which have by_time and must outlive
  /// the source.
  SequenceSource(const data::UserLists& lists, Index first_user, Index users, int shard, Index total_items,
                 std::uint64_t seed, int length, int negatives);

  std::int64_t entries() const override { return static_cast<std::int64_t>(users_.size()); }
  void begin_epoch(std::int64_t epoch) override;
  void draw(std::int64_t step, std::int64_t steps, NeuralBatch& batch) override;
  std::int64_t skipped() const override { return skipped_; }
  std::int64_t examples_per_entry() const override { return length_; }
  std::int64_t most_rows_per_entry() const override { return most_rows_per_sequence(length_, negatives_); }
  bool examples_vary() const override { return true; }

 private:
  void add(Index user, int row, std::int64_t step, NeuralBatch& batch);
  ItemId draw_negative(Index user, std::int64_t step, std::uint32_t place) const;

  const data::UserLists* lists_;
  int shard_;
  Index total_items_;
  int length_;
  int negatives_;
  RandomStream order_stream_;
  RandomStream negative_stream_;
  std::vector<std::uint32_t> all_users_;  // local users with two items or more, ascending
  std::vector<std::uint32_t> users_;      // the epoch's order
  std::int64_t epoch_ = -1;
  std::int64_t skipped_ = 0;
  data::SlotFinder items_;
  std::size_t most_ = 0;
};

}  // namespace spar::game
