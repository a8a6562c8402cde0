#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "spar/base/sharding.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/table/dense_sums.hpp"
#include "spar/table/table.hpp"

/// Statistics of sharded tables as a whole: of n rows x of d columns the mean, the Gram matrix X'X, the covariance, the
/// norms. Owners sum over their rows, shard by shard and row by row, then the sums go along the shard tree: the same
/// bits on any launch. table/row_gradient.hpp takes the gradient of a function of them to the rows.
namespace spar::table {

/// Whose rows: columns [first, first + columns) of one table, or of several of them, which then count as one, the rows
/// of the next below those of the one before.
struct RowStack {
  std::vector<const Table*> tables{};
  int first = 0;
  int columns = 0;

  /// Of all ranks.
  Index rows() const;
};

/// X'X and the sums of the columns, in float or double, again and again as the rows change. An entry is one chain of
/// fused multiply-adds over the rows of a shard in ascending order, then the tree; in double the products are exact.
/// Costs d (d + 1) / 2 products a row, each row read once; on the wire what DenseSumsOf sends of d^2 + d numbers.
template <class T>
class GramSums {
 public:
  /// Collective. The tables must outlive it and lie by `layout`.
  GramSums(const comm::Communicator& communicator, const ShardLayout& layout, const RowStack& stack,
           const DenseSumsOptions& options);

  const RowStack& stack() const { return stack_; }
  /// Numbers from row to row of what receive() gives.
  int stride() const { return padded(stack_.columns); }
  /// Sums over this rank's rows as they are now, each shard on one thread.
  void add_up();
  /// Collective: the sums over all ranks, until the next add_up(). Rows 0 .. columns - 1: X'X, symmetric, zeros behind
  /// the columns; row stride(): the sums of the columns. `step` is for the deadline's sentence.
  const T* receive(std::int64_t step);

  std::int64_t bytes_sent() const { return sums_.bytes_sent(); }
  /// What a rank with `threads` threads keeps for it.
  static std::int64_t bytes(int columns, int shards, int threads);

 private:
  void add_shard(int k, T* sum) const;

  RowStack stack_;
  int first_shard_;
  int shards_;  // of this rank
  DenseSumsOf<T> sums_;
};

/// Moments of n rows of d columns, in float64. Everything is 0 where there are no rows.
struct Moments {
  Index count = 0;
  int columns = 0;
  std::vector<double> mean{};  ///< d
  std::vector<double> gram{};  ///< d x d: sums of products

  /// Of sums as GramSums<double> gives them.
  static Moments of(Index count, int columns, const double* sums);

  double product(int a, int b) const {
    return gram[static_cast<std::size_t>(a) * static_cast<std::size_t>(columns) + static_cast<std::size_t>(b)];
  }
  /// Of the population: the mean of (x_a - mean_a)(x_b - mean_b).
  double covariance(int a, int b) const;
  /// The norm of a column, sqrt(sum x_c^2).
  double column_norm(int c) const;
  /// The standard deviation of all n d entries about their common mean, of the sample (n d - 1): AMASR scales its noise
  /// by it (Tran et al., SIGIR 2019). 0 for fewer than two entries.
  double entry_deviation() const;
};

/// The moments of the rows as they are now; collective. One pass over the rank's rows.
Moments row_moments(const comm::Communicator& communicator, const ShardLayout& layout, const RowStack& stack,
                    const DenseSumsOptions& options);

/// L2 norms of rows; 0 where there are none.
struct RowNorms {
  double smallest = 0.0;
  double mean = 0.0;
  double largest = 0.0;
};

/// Collective. One pass over the rank's rows; on the wire 8 bytes a shard (comm::tree_sum).
RowNorms row_norms(const comm::Communicator& communicator, const ShardLayout& layout, const RowStack& stack);

extern template class GramSums<float>;
extern template class GramSums<double>;

}  // namespace spar::table
