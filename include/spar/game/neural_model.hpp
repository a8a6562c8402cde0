#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "spar/base/schedule.hpp"
#include "spar/catalogue/pair_function.hpp"
#include "spar/data/interactions.hpp"
#include "spar/data/posts.hpp"
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
  Moment moment{};                    ///< the step that is made, for weights that change
  double share = 1.0;                 ///< of this shard in what counts once a step: 1 / shards
  tape::Var* penalty = nullptr;  ///< where a model leaves what its step adds to the losses unseen by adversaries, 1 x 1
  tape::Var* second = nullptr;   ///< where a model leaves the loss of a second player, told apart in the log, 1 x 1
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
  /// Read by the shards that own the followed rows alone, so no message ever holds a row of it. It follows table 0,
  /// whose shards draw their own users, and stands behind those that are pulled.
  bool stays_with_owner = false;
};

/// Columns of a table's rows that are a tap of their own: an adversary at it perturbs them apart from the others,
/// within a ball of their own.
struct RowPart {
  std::string tap;
  int first = 0;
  int columns = 0;
};

/// A trained table besides those of users and items: sharded, pulled and pushed, started, stored and planned like them.
struct FurtherTable {
  std::string name;                           ///< of the table, in checkpoints, too, and of the tap on its whole rows
  data::IdSpace space = data::IdSpace::tags;  ///< it has a row for each member
  int columns = 0;
  std::vector<RowPart> parts;  ///< taps on parts of its rows
};

/// What an evaluation asks: for each query a ranking of all rows of one table. Tables by name.
struct Question {
  /// The rows that make up a query. One: each row of that table is a query, whose scores represent_query makes of it.
  /// "user" and "item": a query is a post, of its user's owner (evaluate::EvaluationLists::posts).
  std::vector<std::string> asks{"user"};
  std::string ranks = "item";  ///< whose rows are the candidates
};

/// A' A of the first columns of a table's rows A, which passes of a training want.
struct Gram {
  std::size_t table = 0;
  int columns = 0;
};

/// An L2 penalty that the owners of rows add, once a step, where the loss has none of its own: weight / 2 |row|^2 of
/// each row that a triple of the step has, or of all rows of all tables. Adversaries do not see it.
struct RowPenalty {
  enum class Of { occurrences, distinct_rows, tables };
  Of of = Of::occurrences;  ///< the loss has it
  double weight = 0.0;
};

/// Columns of a table's rows that make up one vector.
struct Vectors {
  std::size_t table = 0;
  int first = 0;
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

/// What a model adds whose items are described by numbers of the outside world, which an attacker may change.
class DescribedModel {
 public:
  virtual ~DescribedModel() = default;
  /// The frozen tables that hold them.
  virtual std::vector<std::string> inputs() const = 0;
  /// The scores by which pairs are ranked, examples x 1, for a batch with the roles user and item and a row of each
  /// table an example.
  virtual tape::Var pair_scores(const Pass<float>& pass) const = 0;
};

/// What a model adds that knows both sides by their profiles (NeuralModel::reads_profiles) and whose user profiles an
/// attacker may change.
class ProfiledModel {
 public:
  virtual ~ProfiledModel() = default;
  /// The logits by which pairs are ranked, examples x 1: above 0 where the label 1 is predicted. tables[0] and [1] are
  /// the sums over profiles of users and items, scaled, as represent_user and represent_item have them. In a pass in
  /// training they are noisy as in training: the pass then has grams, and the length of bags[role] says of how many
  /// members a profile is.
  virtual tape::Var profile_scores(const Pass<float>& pass) const = 0;
  /// Whether its training has noise.
  virtual bool is_noisy() const = 0;
};

class SegmentedModel;

class NeuralModel {
 public:
  virtual ~NeuralModel() = default;

  /// Layers are declared here, in the constructor of the model.
  const tape::layers::Declarations& declarations() const { return declarations_; }
  /// Columns of the rows of users and of items. 0: users have no rows; the tables of a pass then begin with items.
  virtual int user_columns() const = 0;
  virtual int item_columns() const = 0;
  /// Whether items have a bias beside their columns, as those of factor models.
  virtual bool item_bias() const { return false; }
  /// How many of the users' or items' last columns start at 0 (biases), whatever the law of the others.
  virtual int zero_user_columns() const { return 0; }
  virtual int zero_item_columns() const { return 0; }
  /// Tables besides those of users and items; in a pass they stand behind these, before frozen ones.
  virtual std::vector<FurtherTable> further() const { return {}; }
  virtual std::vector<FrozenTable> frozen() const { return {}; }
  virtual std::vector<Gram> grams() const { return {}; }
  /// The vectors that objective.decorrelation keeps decorrelated: by default the rows of users and of items without the
  /// columns that start at 0.
  virtual std::vector<Vectors> vectors() const;
  /// Whether both sides are known by their profiles: a user by the bag of the rows of his training items, an item by
  /// that of its training users (game/profile_batch.hpp). represent_user and represent_item are then given sums over
  /// profiles, scaled by profile_scale(), in place of rows.
  virtual bool reads_profiles() const { return false; }
  /// What the sum over a profile of `count` rows is multiplied by.
  virtual float profile_scale(std::int64_t count) const {
    static_cast<void>(count);
    return 1.0F;
  }
  /// The source of one shard's micro-batches; arguments as those of PointSource. By default a PairSource.
  virtual std::unique_ptr<BatchSource> source(const data::UserLists& lists, Index first_user, Index users, int shard,
                                              Index total_items, std::uint64_t seed) const;
  /// Whether it learns from posts: post_source takes the place of source.
  virtual bool learns_from_posts() const { return false; }
  /// The same from the posts of the rank's users; arguments as those of PostSource, which is what it makes.
  virtual std::unique_ptr<BatchSource> post_source(const data::PostRows& posts, Index first_user, Index users,
                                                   int shard, Index total_tags, std::uint64_t seed) const;
  /// The losses of a micro-batch, summed: 1 x 1. In float for training, in double for checks of its gradient.
  virtual tape::Var loss(const Pass<float>& pass) const = 0;
  virtual tape::Var loss(const Pass<double>& pass) const = 0;
  virtual RowPenalty row_penalty() const { return {}; }
  /// What the model's own penalty counts in a step with an adversary: 2 where it stands in the clean loss and in the
  /// perturbed one.
  virtual double adversarial_penalty() const { return 1.0; }
  /// Whether there are pair_scores, by which the hardest of several negatives is chosen.
  virtual bool scores_pairs() const { return false; }
  /// The scores by which pairs are ranked, examples x 1: of a batch of slots alone, whose roles are what asks, in the
  /// order of its own batches, and what is ranked.
  virtual tape::Var pair_scores(const Pass<float>& pass) const;
  /// Whether a step follows the gradient of that sum or of its mean over the examples of the whole batch.
  virtual Reduction reduction() const { return Reduction::mean; }
  /// What the log calls the loss that passes leave in `second`; no model has both that and an adversary.
  virtual std::string second_loss_name() const { return ""; }
  /// Steps that move the dense parameters alone, on examples of their own (BatchSource::draw_inner) and rows that stand
  /// still, before each step, which then moves the rows alone. 0: one step moves all.
  virtual int inner_steps() const { return 0; }
  /// The loss that they follow, 1 x 1: of a pass whose tables are the users' rows, then what stays with their owner.
  virtual tape::Var inner_loss(const Pass<float>& pass) const;
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
  /// What evaluations ask. Rows of the tables that it names, in its order, stand for a query, and of a candidate one
  /// row; by default those of a user and of an item, by the functions above.
  virtual Question question() const { return {}; }
  virtual void represent_query(const table::DenseParameters& dense, std::span<const float* const> rows,
                               float* out) const {
    represent_user(dense, rows[0], out);
  }
  virtual void represent_candidate(const table::DenseParameters& dense, const float* row, float* out) const {
    represent_item(dense, row, out);
  }
  /// How histories stand for users, nullptr where rows do.
  virtual const HistoryModel* histories() const { return nullptr; }
  /// The segments of its training passes, nullptr where a shard's loss needs no sums over all shards.
  virtual const SegmentedModel* segmented() const { return nullptr; }
  /// What describes items, nullptr where ids alone do.
  virtual const DescribedModel* described() const { return nullptr; }
  /// Of users known by their profiles, nullptr where an attacker has nothing to change in these.
  virtual const ProfiledModel* profiled() const { return nullptr; }
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
