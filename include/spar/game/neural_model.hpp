#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "spar/catalogue/pair_function.hpp"
#include "spar/data/interactions.hpp"
#include "spar/game/neural_batch.hpp"
#include "spar/table/dense_parameters.hpp"
#include "spar/tape/layers/parameters.hpp"

/// What a system says of itself to be trained data-parallel: its tables, its dense parameters, the loss of a
/// micro-batch and the scores of its pairs.
namespace spar::game {

/// One pass over a micro-batch: what a model meets on the tape of its shard. Dense parameters are those of the context.
template <class T>
struct Pass {
  tape::layers::Context<T> context;
  const NeuralBatch& batch;
  std::span<const tape::Var> tables;  ///< the distinct rows of each table, then of each frozen one, after their taps
  double share = 1.0;                 ///< of this shard in what counts once a step: 1 / shards
  tape::Var* penalty = nullptr;  ///< where a model leaves what its step adds to the losses unseen by adversaries, 1 x 1
  std::int64_t epoch = 0;        ///< of the training, from 0
  std::span<const tape::Matrix<T>> grams = {};  ///< of the tables that the model's grams() names

  tape::Tape<T>& tape() const { return context.tape; }
  /// examples x dim: the rows of `table` for the examples' slots in `role`.
  tape::Var rows(std::size_t table, std::size_t role) const;
  /// examples x 1: the labels, in the tape's arena.
  tape::Matrix<T> labels() const;
};

/// Rows of side data, which no optimiser moves and no checkpoint holds; sharded and pulled like those of `follows`.
struct FrozenTable {
  std::string name;         ///< of the table and of the tap on its rows
  std::size_t follows = 1;  ///< the table whose rows a micro-batch needs of it
  int columns = 0;
};

/// A' A of the first columns of a table's rows A, which passes of a training want.
struct Gram {
  std::size_t table = 0;
  int columns = 0;
};

/// How the mean over a step is taken.
enum class Reduction { sum, mean };

/// What one sequence of full length costs, for `spar plan`.
struct SequenceCost {
  std::int64_t rows = 0;   ///< the most rows of items that a training step pulls for it
  std::int64_t bytes = 0;  ///< of a training pass, values and gradients
  double flops = 0;        ///< of the state behind it
};

/// What a model adds that knows a user by the items of his history, oldest first, instead of a row.
class HistoryModel {
 public:
  virtual ~HistoryModel() = default;
  /// The newest items of a history that it reads.
  virtual int length() const = 0;
  virtual SequenceCost cost() const = 0;
  /// The states behind whole histories, for a batch of HistoryBatcher: sequences x score_columns.
  virtual tape::Var states(const Pass<float>& pass) const = 0;
};

class NeuralModel {
 public:
  virtual ~NeuralModel() = default;

  /// Layers are declared here, in the constructor of the model.
  const tape::layers::Declarations& declarations() const { return declarations_; }
  /// Columns of the rows of users and of items. 0: users have no rows; the tables of a pass then begin with items.
  virtual int user_columns() const = 0;
  virtual int item_columns() const = 0;
  /// How many of the users' or items' last columns start at 0 (biases), whatever the law of the others.
  virtual int zero_user_columns() const { return 0; }
  virtual int zero_item_columns() const { return 0; }
  virtual std::vector<FrozenTable> frozen() const { return {}; }
  virtual std::vector<Gram> grams() const { return {}; }
  /// Whether both sides are known by their profiles: a user by the bag of the rows of his training items, an item by
  /// that of its training users (game/profile_batch.hpp). represent_user and represent_item are then given sums over
  /// profiles, scaled by profile_scale(), in place of rows.
  virtual bool reads_profiles() const { return false; }
  /// What the sum over a profile of `count` rows is multiplied by.
  virtual float profile_scale(std::int64_t count) const {
    static_cast<void>(count);
    return 1.0F;
  }
  /// The source of one shard's micro-batches; arguments as those of PointSource.
  virtual std::unique_ptr<BatchSource> source(const data::UserLists& lists, Index first_user, Index users, int shard,
                                              Index total_items, std::uint64_t seed) const = 0;
  /// The losses of a micro-batch, summed: 1 x 1. In float for training, in double for checks of its gradient.
  virtual tape::Var loss(const Pass<float>& pass) const = 0;
  virtual tape::Var loss(const Pass<double>& pass) const = 0;
  /// Whether a step follows the gradient of that sum or of its mean over the examples of the whole batch.
  virtual Reduction reduction() const { return Reduction::mean; }
  /// Where perturbations may enter: "user", "item", "hidden.1" ...
  virtual std::vector<std::string> taps() const = 0;

  /// Columns of what stands for a user and an item when pairs are scored (both the same).
  virtual int score_columns() const = 0;
  /// Writes them, from the values of a row (`columns` floats); by default they are the row itself.
  virtual void represent_user(const table::DenseParameters& dense, const float* row, float* out) const;
  virtual void represent_item(const table::DenseParameters& dense, const float* row, float* out) const;
  /// The same of an item with its rows of the frozen tables.
  virtual void represent_described_item(const table::DenseParameters& dense, const float* row,
                                        std::span<const float* const> frozen, float* out) const {
    static_cast<void>(frozen);
    represent_item(dense, row, out);
  }
  /// How histories stand for users, nullptr where rows do.
  virtual const HistoryModel* histories() const { return nullptr; }
  /// The score of two of them where it is no inner product; nullptr where it is.
  virtual std::unique_ptr<catalogue::PairFunction> pair_function(const table::DenseParameters& dense) const {
    static_cast<void>(dense);
    return nullptr;
  }

 protected:
  tape::layers::Declarations declarations_;
};

/// Gives a model whose loss is the template build<T>(pass) both of its losses.
template <class Model>
class NeuralModelOf : public NeuralModel {
 public:
  tape::Var loss(const Pass<float>& pass) const final { return static_cast<const Model*>(this)->build(pass); }
  tape::Var loss(const Pass<double>& pass) const final { return static_cast<const Model*>(this)->build(pass); }
};

/// The model's dense parameters at their start: functions of (seed, name, row, column).
table::DenseParameters make_dense(const NeuralModel& model, const ShardLayout& layout, int rank,
                                  const optim::OptimizerSettings& optimizer, std::uint64_t seed);

extern template struct Pass<float>;
extern template struct Pass<double>;

}  // namespace spar::game
