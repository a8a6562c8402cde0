#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "spar/data/interactions.hpp"
#include "spar/data/triple_sampler.hpp"

/// What the shards of a data-parallel training work on, and who draws it.
namespace spar::game {

/// Lists of slots into a table's rows, one behind the other: bag b is slots [offsets[b], offsets[b + 1]).
struct BagLists {
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> slots;
};

/// Several draws for each negative, of which the one with the model's highest score takes part in the step, the first
/// of equals (dynamic negative sampling: Zhang, Chen, Wang and Yu, SIGIR 2013).
struct Contest {
  int each = 1;                        ///< candidates for a negative; 1: there is nothing to choose
  std::size_t query_roles = 1;         ///< the roles up to this one ask, and the candidates are ranked for them
  std::size_t role = 0;                ///< the role whose slots the chosen take
  std::vector<std::int32_t> examples;  ///< that have a negative
  std::vector<std::int32_t> slots;     ///< `each` candidates for every one of them, in the order of the draws
};

/// The micro-batch of one shard and step: the distinct rows of every table that it needs, and what a model wants to
/// know of its examples.
struct NeuralBatch {
  std::vector<std::vector<Index>> rows;          ///< by table: distinct global rows
  std::vector<std::vector<std::int32_t>> slots;  ///< by role: one slot into its table's rows for each example
  std::vector<float> labels;                     ///< by example, where the law has labels
  std::vector<Index> samples;                    ///< global number of each example in its epoch, for noise
  int examples = 0;
  int length = 0;                   ///< positions of each sequence, where examples come from sequences
  std::vector<std::uint8_t> valid;  ///< by position of every sequence: 0 is padding
  std::vector<BagLists> bags{};     ///< by role, where examples are known by bags of rows (ProfileBatcher)
  Contest contest{};                ///< of its negatives
};

/// Draws the micro-batches of one shard: entries floor(t n / T) to floor((t + 1) n / T) of its own in step t of T, so
/// that all shards end together. Every draw is a function of (seed, epoch, step, shard, place).
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  /// What is dealt out over the steps of an epoch: positives, sequences, posts ...
  virtual std::int64_t entries() const = 0;
  virtual void begin_epoch(std::int64_t epoch) = 0;
  virtual void draw(std::int64_t step, std::int64_t steps, NeuralBatch& batch) = 0;
  /// The users whose rows an inner step of the model meets: rows[0], rows of the shard's own users, which may repeat.
  virtual void draw_inner(std::int64_t step, std::int64_t steps, int inner, NeuralBatch& batch);
  /// Negatives come from this law, which must outlive the source; nullptr: uniform, as they do without a call. Bug
  /// where the source has no other.
  void use_law(const data::ItemLaw* law);
  /// Who draws its pairs of users and items and their negatives; nullptr where examples are made in another way.
  virtual data::TripleSampler* sampler() { return nullptr; }
  /// Examples left out in this epoch.
  virtual std::int64_t skipped() const { return 0; }
  /// Examples made of one entry, and the most distinct rows of one table for each.
  virtual std::int64_t examples_per_entry() const { return 1; }
  virtual std::int64_t most_rows_per_entry() const = 0;
  /// Whether entries give different numbers of examples: examples_per_entry() is then the most, and a mean divides by
  /// what all shards have drawn.
  virtual bool examples_vary() const { return false; }
};

/// Pointwise examples (He et al., WWW 2017): each positive with label 1, and `negatives` items that its user does not
/// have in training, with label 0, drawn uniformly by rejection or by the law that is used. Tables: user, item; roles:
/// user, item.
class PointSource final : public BatchSource {
 public:
  /// The shard's users are local users [first_user, first_user + users) of `lists`, which must outlive the source; at
  /// least one negative.
  PointSource(const data::UserLists& lists, Index first_user, Index users, int shard, Index total_items,
              std::uint64_t seed, int negatives);

  std::int64_t entries() const override { return sampler_.positives(); }
  void begin_epoch(std::int64_t epoch) override;
  void draw(std::int64_t step, std::int64_t steps, NeuralBatch& batch) override;
  data::TripleSampler* sampler() override { return &sampler_; }
  std::int64_t skipped() const override { return skipped_; }
  std::int64_t examples_per_entry() const override { return 1 + negatives_; }
  std::int64_t most_rows_per_entry() const override { return 1 + negatives_ * sampler_.candidates(); }

 private:
  void add_candidates(Index user, std::int64_t step, std::uint32_t place, std::int64_t places, NeuralBatch& batch);
  void add(Index user, ItemId item, float label, Index sample, NeuralBatch& batch);

  data::TripleSampler sampler_;
  Index first_global_user_;
  int shard_;
  int negatives_;
  std::int64_t skipped_ = 0;
  data::SlotFinder users_;
  data::SlotFinder items_;
  std::size_t most_ = 0;
};

/// What sources of triples add where a law asks for several candidates: the further draws for each negative.
class TripleCandidates {
 public:
  /// Fills batch.contest, whose chosen take the slots of the last role and are ranked for those before the positives;
  /// appends to `rows`, the distinct rows of the ranked table, which begin with triples.items.
  void draw(const data::TripleSampler& sampler, std::int64_t step, std::int64_t steps, const data::MicroBatch& triples,
            std::vector<Index>& rows, NeuralBatch& batch);

 private:
  data::SlotFinder finder_;
  std::size_t most_ = 0;
};

/// Pairwise examples (Rendle et al., UAI 2009): a positive and one negative of the same user. Tables: user, item;
/// roles: user, positive, negative.
class PairSource final : public BatchSource {
 public:
  PairSource(const data::UserLists& lists, Index first_user, Index users, int shard, Index total_items,
             std::uint64_t seed);

  std::int64_t entries() const override { return sampler_.positives(); }
  void begin_epoch(std::int64_t epoch) override { sampler_.begin_epoch(epoch); }
  void draw(std::int64_t step, std::int64_t steps, NeuralBatch& batch) override;
  data::TripleSampler* sampler() override { return &sampler_; }
  std::int64_t skipped() const override { return sampler_.skipped(); }
  std::int64_t most_rows_per_entry() const override { return 1 + sampler_.candidates(); }

 private:
  data::TripleSampler sampler_;
  Index first_global_user_;
  int shard_;
  data::MicroBatch triples_;
  TripleCandidates candidates_;
};

}  // namespace spar::game
