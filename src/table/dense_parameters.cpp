#include "spar/table/dense_parameters.hpp"

#include <algorithm>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/optim/rules.hpp"

namespace spar::table {

DenseParameters::DenseParameters(const std::vector<DenseShape>& shapes, const ShardLayout& layout, int rank,
                                 const optim::OptimizerSettings& optimizer)
    : layout_(layout), rank_(rank), shapes_(shapes) {
  const optim::OptimizerSettings none{.rule = optim::Rule::sgd};
  for (const DenseShape& shape : shapes) {
    tables_.emplace_back("dense." + shape.name, shape.rows, ShardLayout{1, 1}, 0, RowShape{shape.columns, false, 0},
                         shape.is_state ? none : optimizer);
    if (shape.is_state) continue;
    SPAR_ASSERT(trained_ + 1 == count());
    ++trained_;
    offsets_.push_back(floats_);
    floats_ += static_cast<std::size_t>(shape.rows) * static_cast<std::size_t>(padded(shape.columns));
  }
}

void DenseParameters::initialize(std::uint64_t seed, std::uint32_t first_table) {
  for (int k = 0; k < count(); ++k) {
    const DenseShape& s = shape(k);
    if (s.law != "constant") {
      table(k).initialize(seed, first_table + static_cast<std::uint32_t>(k), s.law, s.deviation);
      continue;
    }
    for (int r = 0; r < s.rows; ++r) std::fill_n(table(k).record(r), s.columns, static_cast<float>(s.deviation));
  }
}

void DenseParameters::reset_state(const optim::OptimizerSettings& optimizer) {
  for (int k = 0; k < trained(); ++k) table(k).reset_state(optimizer);
}

int DenseParameters::find(const std::string& name) const {
  for (int k = 0; k < count(); ++k) {
    if (shape(k).name == name) return k;
  }
  throw Bug("there is no dense parameter " + name);
}

void DenseParameters::for_rows(const float* gradient, const std::function<void(Table&, Index, const float*)>& visit) {
  for (int k = 0; k < trained(); ++k) {
    for (Index r = 0; r < shape(k).rows; ++r) visit(table(k), r, gradient + offset(k) + r * table(k).shape().width());
  }
}

void DenseParameters::update(const optim::Updater& updater, const float* gradient) {
  for (int k = 0; k < trained(); ++k) {
    Table& matrix = table(k);
    const int width = matrix.shape().width();
    const float* rows = gradient + offset(k);
    updater.update_rows(
        shape(k).rows, width, width, [&](int r) { return matrix.record(r); },
        [&](int r) {
          return [row = rows + static_cast<std::ptrdiff_t>(r) * width](int c) { return load_lanes(row + c); };
        });
  }
}

std::vector<store::TableRows> DenseParameters::stored(bool with_state) {
  std::vector<store::TableRows> parts;
  for (Table& table : tables_) {
    store::TableRows rows = table.stored(with_state);
    const Partition partition{rows.total_rows, layout_.shards};
    rows.first_row = partition.begin(layout_.first_shard(rank_));
    rows.rows = partition.begin(layout_.end_shard(rank_)) - rows.first_row;
    rows.records += rows.first_row * rows.stride;
    parts.push_back(std::move(rows));
  }
  return parts;
}

void DenseParameters::complete(const comm::Communicator& communicator) {
  for (Table& table : tables_) {
    const Partition partition{table.total_rows(), layout_.shards};
    for (int r = 0; r < layout_.ranks; ++r) {
      const Index first = partition.begin(layout_.first_shard(r));
      const Index end = partition.begin(layout_.end_shard(r));
      const auto floats = static_cast<std::size_t>((end - first) * table.shape().record());
      if (floats > 0) communicator.broadcast(std::as_writable_bytes(std::span(table.record(first), floats)), r);
    }
  }
}

}  // namespace spar::table
