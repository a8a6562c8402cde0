#pragma once
#include <functional>
#include <string>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/optim/update.hpp"
#include "spar/table/table.hpp"

/// The weights that every rank holds whole: matrices of layers, whose gradients are summed over all shards.
namespace spar::table {

/// One matrix and the law of its start.
struct DenseShape {
  std::string name;  ///< "mlp.0.weights"
  int rows = 0;
  int columns = 0;
  std::string law = "constant";  ///< "truncated_normal", "normal", "uniform" (Table::initialize), or "constant"
  double deviation = 0.0;        ///< of the law; "constant": the value itself
  bool is_state = false;         ///< no optimiser moves it and it has no gradient (running moments); behind all others
};

/// Replicated parameters. Each matrix is held as a whole Table, its rows with their optimiser state beside them, so
/// that updates and checkpoints are those of rows. A rank's checkpoint holds the rows of its shards only.
class DenseParameters {
 public:
  /// `prefix` and a point stand before each name where tables are stored: "dense.mlp.0.weights".
  DenseParameters(const std::vector<DenseShape>& shapes, const ShardLayout& layout, int rank,
                  const optim::OptimizerSettings& optimizer);

  /// Values from (seed, first_table + k, row): the same on every rank.
  void initialize(std::uint64_t seed, std::uint32_t first_table);
  void reset_state(const optim::OptimizerSettings& optimizer);

  int count() const { return static_cast<int>(tables_.size()); }
  /// How many of them, the first ones, an optimiser moves; the others are states.
  int trained() const { return trained_; }
  /// The number of the matrix of that name; a Bug where there is none.
  int find(const std::string& name) const;
  Table& table(int k) { return tables_[static_cast<std::size_t>(k)]; }
  const Table& table(int k) const { return tables_[static_cast<std::size_t>(k)]; }
  const DenseShape& shape(int k) const { return shapes_[static_cast<std::size_t>(k)]; }
  /// Floats from one row to the next of the values.
  Index stride(int k) const { return table(k).shape().record(); }

  /// A gradient of all trained matrices: matrix k from offset(k) on, rows of padded columns, one behind the other.
  std::size_t gradient_floats() const { return floats_; }
  std::size_t offset(int k) const { return offsets_[static_cast<std::size_t>(k)]; }
  /// visit(matrix, row, the row of `gradient`) for every row of every trained matrix.
  void for_rows(const float* gradient,
                const std::function<void(Table& matrix, Index row, const float* row_gradient)>& visit);
  /// Applies a gradient that is the same on every rank.
  void update(const optim::Updater& updater, const float* gradient);

  /// This rank's share for a checkpoint, in order.
  std::vector<store::TableRows> stored(bool with_state);
  /// After that share was loaded: takes the other ranks' rows from them. Collective.
  void complete(const comm::Communicator& communicator);

 private:
  ShardLayout layout_;
  int rank_;
  std::vector<DenseShape> shapes_;
  std::vector<Table> tables_;
  std::vector<std::size_t> offsets_;
  std::size_t floats_ = 0;
  int trained_ = 0;
};

}  // namespace spar::table
