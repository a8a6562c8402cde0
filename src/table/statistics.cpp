#include "spar/table/statistics.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "spar/base/error.hpp"
#include "spar/base/lanes.hpp"
#include "spar/base/threads.hpp"

namespace spar::table {

namespace {

// Rows that are copied side by side, so that all tiles find them in the cache; a matter of speed only.
constexpr Index rows_per_block = 128;
// Rows of a tile of sums, in registers; they divide the lanes. The same.
#ifdef __AVX512F__
constexpr int tile_rows = 8;
#else
constexpr int tile_rows = 4;
#endif

std::size_t sum_numbers(int columns) {
  const auto stride = static_cast<std::size_t>(padded(columns));
  return (stride + 1) * stride;
}

// sum + a b with one rounding, however the compiler is asked to treat products: in double, those of floats are exact.
inline Lanes<float> add_product(Lanes<float> sum, Lanes<float> a, Lanes<float> b) {
  return lane_fma(a, b, sum);
}
inline Lanes<double> add_product(Lanes<double> sum, Lanes<double> a, Lanes<double> b) {
  return sum + a * b;
}

// Sums (row, column ..) += products over `count` rows x, `stride` numbers each.
template <class T>
void add_tile(const T* x, Index count, int stride, int row, int column, T* sum) {
  Lanes<T> total[tile_rows];
  T* const to = sum + static_cast<std::ptrdiff_t>(row) * stride + column;
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r) total[r] = load_lanes(to + r * stride);
  for (Index k = 0; k < count; ++k, x += stride) {
    const Lanes<T> right = load_lanes(x + column);
#pragma GCC unroll 8
    for (int r = 0; r < tile_rows; ++r) total[r] = add_product(total[r], all_lanes(x[row + r]), right);
  }
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r) store_lanes<T>(to + r * stride, total[r]);
}

// The tiles that meet the diagonal or lie above it, and the sums of the columns.
template <class T>
void add_block(const T* x, Index count, int stride, T* sum) {
  for (int row = 0; row < stride; row += tile_rows) {
    for (int column = row / lanes * lanes; column < stride; column += lanes)
      add_tile(x, count, stride, row, column, sum);
  }
  T* const columns = sum + static_cast<std::ptrdiff_t>(stride) * stride;
  for (int column = 0; column < stride; column += lanes) {
    Lanes<T> total = load_lanes(columns + column);
    for (Index k = 0; k < count; ++k) total += load_lanes(x + k * stride + column);
    store_lanes<T>(columns + column, total);
  }
}

template <class Body>
void for_shard_rows(const RowStack& stack, int shard, Body&& body) {
  for (const Table* table : stack.tables) {
    const Partition& partition = table->partition();
    body(*table, partition.begin(shard) - table->first_row(), partition.end(shard) - table->first_row());
  }
}

double norm_of(const float* x, int columns) {
  double square = 0.0;
  for (int c = 0; c < columns; ++c) square += static_cast<double>(x[c]) * static_cast<double>(x[c]);
  return std::sqrt(square);
}

}  // namespace

Index RowStack::rows() const {
  Index rows = 0;
  for (const Table* table : tables) rows += table->total_rows();
  return rows;
}

template <class T>
GramSums<T>::GramSums(const comm::Communicator& communicator, const ShardLayout& layout, const RowStack& stack,
                      const DenseSumsOptions& options)
    : stack_(stack),
      first_shard_(layout.first_shard(communicator.rank())),
      shards_(layout.shard_count(communicator.rank())),
      sums_(communicator, layout, sum_numbers(stack.columns), options) {
  for (const Table* table : stack_.tables)
    SPAR_ASSERT(stack_.columns > 0 && stack_.first + stack_.columns <= table->shape().width());
}

template <class T>
void GramSums<T>::add_shard(int k, T* sum) const {
  const int stride = padded(stack_.columns);
  thread_local Buffer<T> block;
  block.require(static_cast<std::size_t>(rows_per_block * stride));
  for_shard_rows(stack_, first_shard_ + k, [&](const Table& table, Index begin, Index end) {
    for (Index row = begin; row < end; row += rows_per_block) {
      const Index count = std::min(rows_per_block, end - row);
      for (Index j = 0; j < count; ++j) {
        const float* const x = table.record(row + j) + stack_.first;
        T* const to = block.data() + j * stride;
        for (int c = 0; c < stack_.columns; ++c) to[c] = static_cast<T>(x[c]);
        std::fill(to + stack_.columns, to + stride, T{});
      }
      add_block(block.data(), count, stride, sum);
    }
  });
}

template <class T>
void GramSums<T>::add_up() {
  parallel_for(shards_, [&](int k) {
    T* const sum = sums_.room(k);
    std::fill_n(sum, sum_numbers(stack_.columns), T{});
    add_shard(k, sum);
    sums_.finish(k);
  });
}

template <class T>
const T* GramSums<T>::receive(std::int64_t step) {
  sums_.send();
  T* const sum = sums_.receive(step);
  const int n = stride();
  for (int a = 0; a < n; ++a) {
    for (int b = 0; b < a / lanes * lanes; ++b) sum[a * n + b] = sum[b * n + a];
  }
  return sum;
}

template <class T>
std::int64_t GramSums<T>::bytes(int columns, int shards, int threads) {
  constexpr int outside = 4;  // parts and totals between ranks
  const int rooms = threads + static_cast<int>(std::bit_width(static_cast<unsigned>(shards))) + outside;
  return rooms * static_cast<std::int64_t>(sum_numbers(columns) * sizeof(T));
}

template class GramSums<float>;
template class GramSums<double>;

Moments Moments::of(Index count, int columns, const double* sums) {
  const auto d = static_cast<std::size_t>(columns);
  const auto stride = static_cast<std::size_t>(padded(columns));
  Moments moments{count, columns, std::vector<double>(d), std::vector<double>(d * d)};
  for (std::size_t a = 0; a < d; ++a) {
    if (count > 0) moments.mean[a] = sums[stride * stride + a] / static_cast<double>(count);
    std::copy_n(sums + a * stride, d, moments.gram.data() + a * d);
  }
  return moments;
}

double Moments::covariance(int a, int b) const {
  if (count == 0) return 0.0;
  return product(a, b) / static_cast<double>(count) -
         mean[static_cast<std::size_t>(a)] * mean[static_cast<std::size_t>(b)];
}

double Moments::column_norm(int c) const {
  return std::sqrt(product(c, c));
}

double Moments::entry_deviation() const {
  const double entries = static_cast<double>(count) * columns;
  if (entries < 2.0) return 0.0;
  double sum = 0.0;
  double square = 0.0;
  for (int c = 0; c < columns; ++c) {
    sum += mean[static_cast<std::size_t>(c)] * static_cast<double>(count);
    square += product(c, c);
  }
  return std::sqrt(std::max(0.0, square - sum * sum / entries) / (entries - 1.0));
}

Moments row_moments(const comm::Communicator& communicator, const ShardLayout& layout, const RowStack& stack,
                    const DenseSumsOptions& options) {
  GramSums<double> sums(communicator, layout, stack, options);
  sums.add_up();
  return Moments::of(stack.rows(), stack.columns, sums.receive(0));
}

RowNorms row_norms(const comm::Communicator& communicator, const ShardLayout& layout, const RowStack& stack) {
  const int first = layout.first_shard(communicator.rank());
  const auto shards = static_cast<std::size_t>(layout.shard_count(communicator.rank()));
  std::vector<double> sums(shards);
  std::vector<double> largest(shards);
  std::vector<double> smallest(shards, std::numeric_limits<double>::infinity());
  parallel_for(static_cast<int>(shards), [&](int k) {
    const auto at = static_cast<std::size_t>(k);
    for_shard_rows(stack, first + k, [&](const Table& table, Index begin, Index end) {
      for (Index row = begin; row < end; ++row) {
        const double norm = norm_of(table.record(row) + stack.first, stack.columns);
        sums[at] += norm;
        largest[at] = std::max(largest[at], norm);
        smallest[at] = std::min(smallest[at], norm);
      }
    });
  });
  const double sum = comm::tree_sum(communicator, layout.shards, sums, 1).front();
  const double most = communicator.max(*std::ranges::max_element(largest));
  const double least = -communicator.max(-*std::ranges::min_element(smallest));
  const Index rows = stack.rows();
  return rows == 0 ? RowNorms{} : RowNorms{least, sum / static_cast<double>(rows), most};
}

}  // namespace spar::table
