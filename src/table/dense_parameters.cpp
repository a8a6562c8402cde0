#include "spar/table/dense_parameters.hpp"

#include <algorithm>
#include <cstring>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/base/shard_tree.hpp"
#include "spar/optim/rules.hpp"
#include "spar/table/contributions.hpp"

namespace spar::table {

namespace {

constexpr int floats_per_line = 16;

// This rank's partial sums: one for each maximal aligned subtree of its shards, left in the room of its first shard.
std::vector<std::size_t> sum_lanes(const ShardLayout& layout, int rank, float* by_shard, std::size_t count) {
  std::vector<std::size_t> lanes;
  const int first = layout.first_shard(rank);
  for (const Subtree& subtree : aligned_subtrees(layout)) {
    if (subtree.rank != rank) continue;
    const auto room = [&](int k) { return by_shard + static_cast<std::size_t>(subtree.begin - first + k) * count; };
    tree_reduce(
        subtree.end - subtree.begin, [&](int k) { return subtree.begin + k; },
        [&](int left, int right) { add_row(room(left), room(right), static_cast<int>(count)); });
    lanes.push_back(static_cast<std::size_t>(subtree.begin - first));
  }
  return lanes;
}

}  // namespace

DenseParameters::DenseParameters(const std::vector<DenseShape>& shapes, const ShardLayout& layout, int rank,
                                 const optim::OptimizerSettings& optimizer)
    : layout_(layout), rank_(rank), shapes_(shapes) {
  for (const DenseShape& shape : shapes) {
    tables_.emplace_back("dense." + shape.name, shape.rows, ShardLayout{1, 1}, 0, RowShape{shape.columns, false, 0},
                         optimizer);
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
  for (Table& table : tables_) table.reset_state(optimizer);
}

int DenseParameters::find(const std::string& name) const {
  for (int k = 0; k < count(); ++k) {
    if (shape(k).name == name) return k;
  }
  throw Bug("there is no dense parameter " + name);
}

void DenseParameters::for_rows(const float* gradient, const std::function<void(Table&, Index, const float*)>& visit) {
  for (int k = 0; k < count(); ++k) {
    for (Index r = 0; r < shape(k).rows; ++r) visit(table(k), r, gradient + offset(k) + r * table(k).shape().width());
  }
}

void DenseParameters::update(const optim::Updater& updater, const float* gradient) {
  for (int k = 0; k < count(); ++k) {
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

std::int64_t sum_dense(const comm::Communicator& communicator, const ShardLayout& layout, float* by_shard,
                       std::size_t count, float* total) {
  const auto own_lanes = sum_lanes(layout, communicator.rank(), by_shard, count);
  if (communicator.size() == 1) {
    std::copy_n(by_shard, count, total);
    return 0;
  }
  const auto lines = static_cast<Index>(count / floats_per_line);
  const Partition segments{lines, communicator.size()};
  const auto begin_of = [&](int r) { return static_cast<std::size_t>(segments.begin(r)) * floats_per_line; };
  std::vector<std::vector<std::byte>> outgoing(static_cast<std::size_t>(communicator.size()));
  for (int r = 0; r < communicator.size(); ++r) {
    const std::size_t bytes = static_cast<std::size_t>(segments.size(r)) * floats_per_line * sizeof(float);
    auto& message = outgoing[static_cast<std::size_t>(r)];
    message.resize(bytes * own_lanes.size());
    for (std::size_t l = 0; l < own_lanes.size(); ++l)
      if (bytes > 0) std::memcpy(message.data() + l * bytes, by_shard + own_lanes[l] * count + begin_of(r), bytes);
  }
  auto incoming = communicator.exchange(outgoing);
  const auto own = static_cast<std::size_t>(segments.size(communicator.rank())) * floats_per_line;
  std::vector<float> lanes_of_all;
  std::vector<std::int32_t> shards;
  for (const Subtree& subtree : aligned_subtrees(layout)) shards.push_back(subtree.begin);
  lanes_of_all.reserve(own * shards.size());
  for (const auto& part : incoming) {
    const std::size_t begin = lanes_of_all.size();
    lanes_of_all.resize(begin + part.size() / sizeof(float));
    if (!part.empty()) std::memcpy(lanes_of_all.data() + begin, part.data(), part.size());
  }
  tree_reduce(
      static_cast<int>(shards.size()), [&](int k) { return shards[static_cast<std::size_t>(k)]; },
      [&](int left, int right) {
        for (std::size_t c = 0; c < own; ++c)
          lanes_of_all[static_cast<std::size_t>(left) * own + c] +=
              lanes_of_all[static_cast<std::size_t>(right) * own + c];
      });
  const auto parts = communicator.allgather(std::as_bytes(std::span(lanes_of_all).first(own)));
  for (int r = 0; r < communicator.size(); ++r) {
    const auto& part = parts[static_cast<std::size_t>(r)];
    if (!part.empty()) std::memcpy(total + begin_of(r), part.data(), part.size());
  }
  const std::size_t given = (count - own) * own_lanes.size() + own * static_cast<std::size_t>(communicator.size() - 1);
  return static_cast<std::int64_t>(given * sizeof(float));
}

}  // namespace spar::table
