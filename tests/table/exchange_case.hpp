#pragma once
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "slow_tree.hpp"

#include "spar/base/random.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/table/row_exchange.hpp"

/// Steps of pulling and pushing whose every row and sum each rank can work out alone.
namespace spar::test {

struct ExchangeCase {
  Index rows = 97;
  int shards = 8;
  int dim = 5;
  bool has_bias = false;
  int most = 12;  ///< rows a shard asks for at most
  std::uint64_t seed = 1;

  table::RowShape shape() const { return {dim, has_bias, 0}; }

  /// The distinct rows of one shard in one step, in no order; now and then none.
  std::vector<Index> wanted(std::int64_t step, int shard) const {
    const RandomStream stream(seed, Purpose::synthetic);
    const auto block = stream.block(static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(shard));
    const auto tries = block[0] % 5 == 0 ? 0U : block[1] % static_cast<std::uint32_t>(most + 1);
    std::vector<Index> list;
    for (std::uint32_t k = 0; k < tries; ++k) {
      const auto draw = stream.block(static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(shard), k, 1);
      // Half of the draws go to a few rows that many shards share.
      const auto among = static_cast<std::uint64_t>(k % 2 == 0 ? rows : std::max<Index>(1, rows / 20));
      const auto row = static_cast<Index>(bounded(word64(draw, 0), among));
      if (std::find(list.begin(), list.end(), row) == list.end()) list.push_back(row);
    }
    return list;
  }

  /// The gradient of one shard for one row: sizes over six decades, so that any other order of summation shows.
  FloatRow gradient(std::int64_t step, int channel, int shard, Index row) const {
    FloatRow values(static_cast<std::size_t>(shape().width()));
    const RandomStream stream(seed + 77, Purpose::synthetic);
    for (std::size_t c = 0; c < values.size(); ++c) {
      const auto block = stream.block(static_cast<std::uint32_t>(step * 2 + channel), static_cast<std::uint32_t>(shard),
                                      static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(c));
      values[c] = static_cast<float>(std::pow(10.0, static_cast<double>(block[0] % 7) - 3.0) *
                                     (2.0 * unit(word64(block, 1)) - 1.0));
    }
    return values;
  }

  /// The sums of a step over all shards, by row: the slow tree.
  std::map<Index, FloatRow> sums(std::int64_t step, int channel) const {
    std::map<Index, std::map<int, FloatRow>> present;
    for (int shard = 0; shard < shards; ++shard) {
      for (const Index row : wanted(step, shard)) present[row][shard] = gradient(step, channel, shard, row);
    }
    std::map<Index, FloatRow> all;
    for (const auto& [row, by_shard] : present) all[row] = slow_tree_sum(by_shard, 0, shards);
    return all;
  }
};

/// The whole table as one process would have it, kept beside on every rank.
class WholeTable {
 public:
  explicit WholeTable(const ExchangeCase& c) : width_(static_cast<std::size_t>(c.shape().width())) {
    for (Index row = 0; row < c.rows; ++row) {
      FloatRow values(width_);
      for (std::size_t k = 0; k < width_; ++k)
        values[k] = static_cast<float>(std::sin(0.7 * static_cast<double>(row) + 0.3 * static_cast<double>(k)));
      rows_.push_back(values);
    }
  }
  const FloatRow& row(Index r) const { return rows_[static_cast<std::size_t>(r)]; }
  void fill(table::Table& table) const {
    for (Index k = 0; k < table.rows(); ++k)
      std::copy(row(table.first_row() + k).begin(), row(table.first_row() + k).end(), table.record(k));
  }
  /// row -= sum / 8, exactly what the rank does with its own.
  void apply(const std::map<Index, FloatRow>& sums) {
    for (const auto& [r, sum] : sums) {
      for (std::size_t c = 0; c < width_; ++c) rows_[static_cast<std::size_t>(r)][c] -= 0.125F * sum[c];
    }
  }
  std::int64_t differences(const table::Table& table) const {
    std::int64_t different = 0;
    for (Index k = 0; k < table.rows(); ++k)
      different +=
          std::equal(row(table.first_row() + k).begin(), row(table.first_row() + k).end(), table.record(k)) ? 0 : 1;
    return different;
  }

 private:
  std::size_t width_;
  std::vector<FloatRow> rows_;
};

/// One rank's side of the case.
class ExchangeRank {
 public:
  ExchangeRank(const comm::Communicator& communicator, const ExchangeCase& c, bool copy_own_rows, bool node_memory)
      : case_(c),
        layout_{c.shards, communicator.size()},
        first_shard_(layout_.first_shard(communicator.rank())),
        local_shards_(layout_.shard_count(communicator.rank())),
        table("item", c.rows, layout_, communicator.rank(), c.shape(), {.rule = optim::Rule::sgd}),
        whole(c),
        exchange(communicator, layout_, table,
                 {.most_rows_per_shard = static_cast<std::size_t>(c.most),
                  .tag = 16,
                  .deadline_seconds = 60.0,
                  .keep_own_rows = copy_own_rows,
                  .node_memory = node_memory}) {
    whole.fill(table);
  }

  int local_shards() const { return local_shards_; }
  int first_shard() const { return first_shard_; }
  static int set(std::int64_t step) { return static_cast<int>(step % table::RowExchange::sets); }

  void request(std::int64_t step, table::RowExchange::Flags flags) {
    // The lists may go as soon as request() returns.
    std::vector<std::vector<Index>> lists;
    for (int k = 0; k < local_shards(); ++k) lists.push_back(case_.wanted(step, first_shard_ + k));
    const std::vector<std::span<const Index>> wanted(lists.begin(), lists.end());
    exchange.request(set(step), wanted, flags, step);
  }

  /// Rows that are not those of `expected`.
  std::int64_t wrong_rows(std::int64_t step, const WholeTable& expected) const {
    std::int64_t wrong = 0;
    for (int k = 0; k < local_shards(); ++k) {
      const auto list = case_.wanted(step, first_shard_ + k);
      for (std::size_t j = 0; j < list.size(); ++j) {
        const FloatRow& row = expected.row(list[j]);
        wrong += std::equal(row.begin(), row.end(), exchange.row(set(step), k, static_cast<int>(j))) ? 0 : 1;
      }
    }
    return wrong;
  }

  void push(std::int64_t step, int channel) {
    float* out = exchange.gradient_room(set(step), channel);
    for (int k = 0; k < local_shards(); ++k) {
      for (const Index row : case_.wanted(step, first_shard_ + k)) {
        const FloatRow one = case_.gradient(step, channel, first_shard_ + k, row);
        out = std::copy(one.begin(), one.end(), out);
      }
    }
    exchange.push(set(step), channel, step);
  }

  /// Totals that are not the slow tree's, rows too many and rows too few.
  std::int64_t wrong_totals(std::int64_t step, int channel) const {
    const auto expected = case_.sums(step, channel);
    std::int64_t wrong = 0;
    std::set<Index> seen;
    for (int t = 0; t < exchange.touched(set(step)); ++t) {
      const Index row = table.first_row() + exchange.row_of(set(step), t);
      const auto sum = expected.find(row);
      const bool fresh = seen.insert(row).second;
      wrong += fresh && sum != expected.end() &&
                       std::equal(sum->second.begin(), sum->second.end(), exchange.total(set(step), channel, t))
                   ? 0
                   : 1;
    }
    for (const auto& [row, sum] : expected) {
      const bool mine = row >= table.first_row() && row < table.first_row() + table.rows();
      wrong += mine && !seen.contains(row) ? 1 : 0;
    }
    return wrong;
  }

  void apply(std::int64_t step, int channel) {
    for (int t = 0; t < exchange.touched(set(step)); ++t) {
      float* row = table.record(exchange.row_of(set(step), t));
      const float* sum = exchange.total(set(step), channel, t);
      for (int c = 0; c < case_.shape().width(); ++c) row[c] -= 0.125F * sum[c];
    }
  }

 private:
  ExchangeCase case_;
  ShardLayout layout_;
  int first_shard_;
  int local_shards_;

 public:
  table::Table table;
  WholeTable whole;
  table::RowExchange exchange;
};

}  // namespace spar::test
