#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/base/random.hpp"
#include "spar/base/sharding.hpp"
#include "spar/optim/update.hpp"
#include "spar/store/checkpoint.hpp"
#include "spar/table/row_block.hpp"

namespace spar::table {

/// How the numbers of one row lie in memory. All offsets are whole cache lines; padding is zero.
///   record = [ vector | bias line ]  [ state block 0 ]  [ state block 1 ] ...
struct RowShape {
  int dim = 0;            ///< columns of the vector
  bool has_bias = false;  ///< one number more, on a cache line of its own
  int blocks = 0;         ///< state blocks beside the values

  int bias_offset() const { return padded(dim); }
  int width() const {
    return padded(dim) + (has_bias ? padded(1) : 0);
  }  ///< values, padded: what travels and what is updated
  Index record() const { return static_cast<Index>(width()) * (1 + blocks); }
};

/// This rank's share of a sharded table: the rows of its shards, each with its optimiser state beside it. Values of
/// absent ranks are nowhere on this rank.
class Table {
 public:
  /// Rows [begin, end) of `total_rows`, those of the rank's shards; zero values, state at its start. Memory: (end -
  /// begin) * record * 4 bytes.
  Table(std::string name, Index total_rows, const ShardLayout& layout, int rank, RowShape shape,
        const optim::OptimizerSettings& optimizer);

  const std::string& name() const { return name_; }
  const RowShape& shape() const { return shape_; }
  const Partition& partition() const { return partition_; }
  Index total_rows() const { return partition_.rows; }
  Index first_row() const { return first_row_; }
  Index rows() const { return rows_; }

  /// The record of local row k (global row first_row() + k): values first.
  float* record(Index k) { return records_.data() + k * record_; }
  const float* record(Index k) const { return records_.data() + k * record_; }

  /// Fills the vectors of every row from (seed, table, global row): "truncated_normal" (cut at two deviations),
  /// "normal" or "uniform" (in +-sqrt(3) deviations); biases are 0.
  void initialize(std::uint64_t seed, std::uint32_t table_number, const std::string& law, double deviation);
  /// Puts the optimiser state of every row at its start.
  void reset_state(const optim::OptimizerSettings& optimizer);

  /// The vectors as a block for scoring; the bias column as pointer and stride.
  RowBlock vectors() const { return {records_.data(), first_row_, rows_, shape_.dim, record_}; }
  const float* biases() const { return shape_.has_bias ? records_.data() + shape_.bias_offset() : nullptr; }

  /// What a checkpoint stores: values and, with `state`, the optimiser state.
  store::TableRows stored(bool with_state);

  /// The median L2 norm over a fixed sample of this table's vectors (at most `sample` rows a shard). Collective.
  double median_norm(const comm::Communicator& communicator, int shards, Index sample = 64) const;

  /// The first local row one of whose numbers (state included) is not finite, -1 where all are. Reads every row once.
  Index broken_row() const;

  static std::int64_t bytes(Index rows, const RowShape& shape) {
    return rows * shape.record() * static_cast<std::int64_t>(sizeof(float));
  }

 private:
  std::string name_;
  Partition partition_;
  RowShape shape_;
  optim::Rule rule_;
  Index first_row_ = 0;
  Index rows_ = 0;
  Index record_ = 0;
  Buffer<float> records_;
};

}  // namespace spar::table
