#include <cmath>
#include <vector>

#include "slow_tree.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/base/threads.hpp"
#include "spar/table/statistics.hpp"

namespace {

using namespace spar;
using table::Moments;
using table::RowStack;
using table::Table;

constexpr int shards = 8;
const table::DenseSumsOptions options{.tag = 16, .deadline_seconds = 60};

// Of any row of a table, so that every rank can say it of all.
float number(Index row, int c, int salt) {
  return static_cast<float>(std::sin(0.7 * static_cast<double>(row) + 1.3 * c + salt) + 0.1 * c);
}

Table made(const comm::Communicator& communicator, Index rows, int dim, int salt, bool bias = false) {
  Table table("t", rows, {shards, communicator.size()}, communicator.rank(), {dim, bias, 1},
              {.rule = optim::Rule::adagrad});
  for (Index k = 0; k < table.rows(); ++k) {
    for (int c = 0; c < dim; ++c) table.record(k)[c] = number(table.first_row() + k, c, salt);
    if (bias) table.record(k)[table.shape().bias_offset()] = 1000.0F;
  }
  return table;
}

Moments moments_of(const comm::Communicator& communicator, const RowStack& stack) {
  return table::row_moments(communicator, {shards, communicator.size()}, stack, options);
}

void check_hand_computed(const comm::Communicator& world) {
  const ShardLayout layout{shards, world.size()};
  Table table("t", 3, layout, world.rank(), {2, false, 0}, {.rule = optim::Rule::sgd});
  const float rows[3][2] = {{1, 0}, {0, 2}, {1, 1}};
  for (Index k = 0; k < table.rows(); ++k) std::copy_n(rows[table.first_row() + k], 2, table.record(k));
  const RowStack stack{{&table}, 0, 2};
  const Moments m = table::row_moments(world, layout, stack, options);
  BOOST_TEST(m.count == 3);
  BOOST_TEST((m.gram == std::vector<double>{2, 1, 1, 5}));
  BOOST_TEST(m.mean[0] == 2.0 / 3.0);
  BOOST_TEST(m.mean[1] == 1.0);
  BOOST_TEST(m.covariance(0, 0) == 2.0 / 9.0, boost::test_tools::tolerance(1e-15));
  BOOST_TEST(m.covariance(0, 1) == -1.0 / 3.0, boost::test_tools::tolerance(1e-15));
  BOOST_TEST(m.covariance(1, 1) == 2.0 / 3.0, boost::test_tools::tolerance(1e-15));
  BOOST_TEST(m.column_norm(1) == std::sqrt(5.0));
  // Of 1, 0, 0, 2, 1, 1: mean 5/6, squares 7.
  BOOST_TEST(m.entry_deviation() == std::sqrt((7.0 - 25.0 / 6.0) / 5.0), boost::test_tools::tolerance(1e-15));
  const table::RowNorms norms = table::row_norms(world, layout, stack);
  BOOST_TEST(norms.smallest == 1.0);
  BOOST_TEST(norms.largest == 2.0);
  BOOST_TEST(norms.mean == (3.0 + std::sqrt(2.0)) / 3.0, boost::test_tools::tolerance(1e-15));
}

// The shards' chains of fused multiply-adds, written out, and the tree.
std::vector<float> slow_gram(Index rows, int dim, int salt) {
  const Partition partition{rows, shards};
  std::map<int, test::FloatRow> present;
  for (int s = 0; s < shards; ++s) {
    test::FloatRow& sum = present[s];
    sum.resize(static_cast<std::size_t>(dim * dim));
    for (Index row = partition.begin(s); row < partition.end(s); ++row) {
      for (int a = 0; a < dim; ++a) {
        for (int b = 0; b < dim; ++b) {
          float& entry = sum[static_cast<std::size_t>(a * dim + b)];
          entry = std::fma(number(row, a, salt), number(row, b, salt), entry);
        }
      }
    }
  }
  return test::slow_tree_sum(present, 0, shards);
}

template <class T>
std::vector<T> sums_of(const comm::Communicator& communicator, const RowStack& stack, int thread_count) {
  set_threads(thread_count);
  table::GramSums<T> sums(communicator, {shards, communicator.size()}, stack, options);
  std::vector<T> numbers;
  for (int step = 0; step < 2; ++step) {
    sums.add_up();
    const T* all = sums.receive(step);
    numbers.assign(all, all + (sums.stride() + 1) * sums.stride());
  }
  set_threads(1);
  return numbers;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(statistics)

BOOST_AUTO_TEST_CASE(statistics_of_fewer_rows_than_shards_are_those_computed_by_hand) {
  check_hand_computed(comm::Communicator::world());
}

BOOST_AUTO_TEST_CASE(the_gram_matrix_is_a_chain_of_fused_products_a_shard_then_the_tree) {
  const auto world = comm::Communicator::world();
  for (const int dim : {1, 8, 19, 40}) {
    const Table table = made(world, 1511, dim, dim);
    table::GramSums<float> sums(world, {shards, world.size()}, {{&table}, 0, dim}, options);
    sums.add_up();
    const float* const all = sums.receive(0);
    std::vector<float> got;
    for (int a = 0; a < dim; ++a) got.insert(got.end(), all + a * sums.stride(), all + a * sums.stride() + dim);
    BOOST_TEST((got == slow_gram(1511, dim, dim)));
    BOOST_TEST(std::all_of(all + dim, all + sums.stride(), [](float x) { return x == 0.0F; }));
  }
}

BOOST_AUTO_TEST_CASE(moments_of_one_table_or_several_are_those_of_a_plain_loop) {
  const auto world = comm::Communicator::world();
  constexpr int dim = 37;
  const Table first = made(world, 401, dim, 1, true);
  const Table second = made(world, 3, dim, 2);
  for (const auto& [from, columns] : {std::pair{0, 37}, std::pair{5, 12}, std::pair{36, 1}}) {
    for (const std::vector<const Table*>& tables :
         {std::vector<const Table*>{&first}, std::vector<const Table*>{&first, &second}}) {
      const Moments m = moments_of(world, {tables, from, columns});
      std::vector<double> mean(static_cast<std::size_t>(columns));
      std::vector<double> gram(static_cast<std::size_t>(columns * columns));
      Index count = 0;
      double entries = 0.0;
      std::vector<std::pair<Index, int>> of{{401, 1}};
      if (tables.size() > 1) of.emplace_back(3, 2);
      for (const auto& [rows, salt] : of) {
        count += rows;
        for (Index row = 0; row < rows; ++row) {
          for (int a = 0; a < columns; ++a) {
            const auto x = static_cast<double>(number(row, from + a, salt));
            mean[static_cast<std::size_t>(a)] += x;
            entries += x;
            for (int b = 0; b < columns; ++b)
              gram[static_cast<std::size_t>(a * columns + b)] += x * static_cast<double>(number(row, from + b, salt));
          }
        }
      }
      BOOST_TEST(m.count == count);
      double wrong = 0.0;
      double squares = 0.0;
      const double grand = entries / static_cast<double>(count * columns);
      for (int a = 0; a < columns; ++a) {
        const auto n = static_cast<double>(count);
        wrong = std::max(wrong, std::abs(m.mean[static_cast<std::size_t>(a)] - mean[static_cast<std::size_t>(a)] / n));
        squares += gram[static_cast<std::size_t>(a * columns + a)];
        for (int b = 0; b < columns; ++b) {
          const double product = gram[static_cast<std::size_t>(a * columns + b)];
          wrong = std::max(wrong, std::abs(m.product(a, b) - product) / n);
          wrong =
              std::max(wrong, std::abs(m.covariance(a, b) - (product / n - mean[static_cast<std::size_t>(a)] / n *
                                                                               mean[static_cast<std::size_t>(b)] / n)));
        }
      }
      BOOST_TEST(wrong < 1e-12);
      const auto entries_count = static_cast<double>(count * columns);
      const double deviation = std::sqrt((squares - entries_count * grand * grand) / (entries_count - 1.0));
      BOOST_TEST(m.entry_deviation() == deviation, boost::test_tools::tolerance(1e-10));
    }
  }
}

BOOST_AUTO_TEST_CASE(they_are_the_same_bits_on_any_launch_and_any_number_of_threads) {
  const auto world = comm::Communicator::world();
  const auto alone = comm::Communicator::alone();
  for (const Index rows : {Index{5}, Index{997}}) {
    const Table shared = made(world, rows, 23, 3);
    const Table whole = made(alone, rows, 23, 3);
    const RowStack ours{{&shared}, 2, 20};
    const RowStack all{{&whole}, 2, 20};
    BOOST_TEST((sums_of<float>(world, ours, 2) == sums_of<float>(alone, all, 1)));
    BOOST_TEST((sums_of<double>(world, ours, 1) == sums_of<double>(alone, all, 1)));
    BOOST_TEST((sums_of<double>(world, ours, 2) == sums_of<double>(alone, all, 1)));
    const auto a = table::row_norms(world, {shards, world.size()}, ours);
    const auto b = table::row_norms(alone, {shards, 1}, all);
    BOOST_TEST((a.smallest == b.smallest && a.mean == b.mean && a.largest == b.largest));
  }
}

BOOST_AUTO_TEST_CASE(a_table_without_rows_has_no_moments_and_no_norms) {
  const auto world = comm::Communicator::world();
  const Table table = made(world, 0, 5, 1);
  const RowStack stack{{&table}, 0, 5};
  const Moments m = moments_of(world, stack);
  BOOST_TEST(m.count == 0);
  BOOST_TEST((m.mean == std::vector<double>(5)));
  BOOST_TEST(m.covariance(1, 2) == 0.0);
  BOOST_TEST(m.entry_deviation() == 0.0);
  BOOST_TEST(table::row_norms(world, {shards, world.size()}, stack).smallest == 0.0);
}

// With doubles a part that a rank sums is a multiple of sixteen numbers, not of one line of memory.
BOOST_AUTO_TEST_CASE(a_rank_sends_d_squared_doubles_twice_at_most_where_ranks_are_a_power_of_two) {
  const auto world = comm::Communicator::world();
  const Table table = made(world, 211, 20, 1);
  table::GramSums<double> sums(world, {shards, world.size()}, {{&table}, 0, 20}, options);
  sums.add_up();
  sums.receive(0);
  const auto numbers = static_cast<std::int64_t>((sums.stride() + 1) * sums.stride());
  const std::int64_t most = 2 * numbers * static_cast<std::int64_t>(sizeof(double)) * (world.size() - 1);
  const std::int64_t sent = world.sum(sums.bytes_sent());
  if (world.size() == 3) {
    BOOST_TEST(sent > most);
  } else {
    BOOST_TEST(sent == most);
  }
}

BOOST_AUTO_TEST_SUITE_END()
