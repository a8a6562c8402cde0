#include "spar/table/table.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/base/threads.hpp"

namespace spar::table {

namespace {

// One draw of the wanted law, as a multiple of the deviation.
double draw(const RandomStream& stream, const std::string& law, Index row, int column, std::uint32_t table) {
  const auto low = static_cast<std::uint32_t>(row);
  const auto high = static_cast<std::uint32_t>(row >> 32);
  for (std::uint32_t attempt = 0;; ++attempt) {
    const auto block = stream.block(low, high, static_cast<std::uint32_t>(column / 2), (table << 24) | attempt);
    if (law == "uniform") return std::numbers::sqrt3 * (2.0 * unit(word64(block, column % 2)) - 1.0);
    const double value = normal_pair(block)[static_cast<std::size_t>(column % 2)];
    if (law == "normal" || std::abs(value) <= 2.0) return value;
  }
}

constexpr Index rows_per_task = 4096;

}  // namespace

Table::Table(std::string name, Index total_rows, const ShardLayout& layout, int rank, RowShape shape,
             const optim::OptimizerSettings& optimizer)
    : name_(std::move(name)), partition_{total_rows, layout.shards}, shape_(shape), rule_(optimizer.rule) {
  shape_.blocks = optim::state_blocks(optimizer.rule);
  first_row_ = partition_.begin(layout.first_shard(rank));
  rows_ = partition_.begin(layout.end_shard(rank)) - first_row_;
  record_ = shape_.record();
  records_ = Buffer<float>(static_cast<std::size_t>(rows_ * record_));
  reset_state(optimizer);
}

void Table::initialize(std::uint64_t seed, std::uint32_t table_number, const std::string& law, double deviation) {
  const RandomStream stream(seed, Purpose::initial_rows);
  const auto tasks = static_cast<int>((rows_ + rows_per_task - 1) / rows_per_task);
  parallel_for(tasks, [&](int task) {
    const Index end = std::min(rows_, (task + 1) * rows_per_task);
    for (Index k = task * rows_per_task; k < end; ++k) {
      float* row = record(k);
      for (int c = 0; c < shape_.dim; ++c)
        row[c] = static_cast<float>(deviation * draw(stream, law, first_row_ + k, c, table_number));
      if (shape_.has_bias) row[shape_.bias_offset()] = 0.0F;
    }
  });
}

void Table::reset_state(const optim::OptimizerSettings& optimizer) {
  if (shape_.blocks == 0) return;
  const auto tasks = static_cast<int>((rows_ + rows_per_task - 1) / rows_per_task);
  parallel_for(tasks, [&](int task) {
    const Index end = std::min(rows_, (task + 1) * rows_per_task);
    for (Index k = task * rows_per_task; k < end; ++k) optim::reset_state(optimizer, record(k), shape_.width());
  });
}

store::TableRows Table::stored(bool with_state) {
  store::TableRows rows{name_, partition_.rows, first_row_, rows_, records_.data(), record_, {}};
  const auto add = [&](const std::string& suffix, int offset) {
    rows.fields.push_back({"vector" + suffix, shape_.dim, offset});
    if (shape_.has_bias) rows.fields.push_back({"bias" + suffix, 1, offset + shape_.bias_offset()});
  };
  add("", 0);
  if (!with_state) return rows;
  for (int b = 0; b < shape_.blocks; ++b) {
    const std::string name = optim::state_name(rule_, b);
    if (name == "steps") {
      rows.fields.push_back({"steps", 1, (1 + b) * shape_.width()});
    } else {
      add("." + name, (1 + b) * shape_.width());
    }
  }
  return rows;
}

Index Table::broken_row() const {
  const auto tasks = static_cast<int>((rows_ + rows_per_task - 1) / rows_per_task);
  std::vector<Index> broken(static_cast<std::size_t>(tasks), -1);
  parallel_for(tasks, [&](int task) {
    const Index end = std::min(rows_, (task + 1) * rows_per_task);
    for (Index k = task * rows_per_task; k < end; ++k) {
      // x - x is 0 for finite numbers only.
      Lanes<float> differences{};
      for (Index c = 0; c < record_; c += lanes) differences += load_lanes(record(k) + c) - load_lanes(record(k) + c);
      if (lane_sum<float>(differences) == 0.0F) continue;
      broken[static_cast<std::size_t>(task)] = k;
      return;
    }
  });
  for (const Index k : broken) {
    if (k >= 0) return k;
  }
  return -1;
}

double Table::median_norm(const comm::Communicator& communicator, int shards, Index sample) const {
  std::vector<double> norms;
  const ShardLayout layout{shards, communicator.size()};
  for (int s = layout.first_shard(communicator.rank()); s < layout.end_shard(communicator.rank()); ++s) {
    const Index count = std::min(sample, partition_.size(s));
    for (Index k = 0; k < count; ++k) {
      const float* row = record(partition_.begin(s) + k * partition_.size(s) / count - first_row_);
      norms.push_back(std::sqrt(static_cast<double>(lane_dot(row, row, padded(shape_.dim)))));
    }
  }
  std::vector<double> all;
  for (const auto& part : communicator.allgather(std::as_bytes(std::span(norms)))) {
    const std::size_t begin = all.size();
    all.resize(begin + part.size() / sizeof(double));
    if (!part.empty()) std::memcpy(all.data() + begin, part.data(), part.size());
  }
  if (all.empty()) return 0.0;
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
  std::nth_element(all.begin(), middle, all.end());
  return *middle;
}

}  // namespace spar::table
