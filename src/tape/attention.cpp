#include "spar/tape/attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "noise.hpp"
#include "product.hpp"
#include "softmax.hpp"
#include "support.hpp"

#include "spar/tape/functions.hpp"

namespace spar::tape {

namespace {

using namespace detail;

// Queries are taken in blocks of this many positions; with causal attention a block sees the keys up to its end.
constexpr int block_rows = 32;

template <class T>
struct Attention {
  Var queries;
  Var keys;
  Var values;
  AttentionShape shape;
  T scale;
  T keep;
  RandomStream stream;
  std::uint32_t threshold;
  const Index* samples;
  int head_columns;
  T* weights;  // (sequence, head) by query by key, before dropout
  int weight_stride;

  int sequences(const Matrix<T>& q) const { return q.rows / shape.query_length; }
  Matrix<T> weights_of(int sequence, int head) const {
    const auto size = static_cast<std::ptrdiff_t>(shape.query_length) * weight_stride;
    return {weights + (static_cast<std::ptrdiff_t>(sequence) * shape.heads + head) * size, shape.query_length,
            shape.key_length, weight_stride};
  }
  bool valid_query(int row) const {
    return shape.valid_queries.empty() || shape.valid_queries[static_cast<std::size_t>(row)] != 0;
  }
  bool valid_key(int row) const {
    return shape.valid_keys.empty() || shape.valid_keys[static_cast<std::size_t>(row)] != 0;
  }
};

// The positions of one sequence that have work: whole blocks of queries, whole lines of keys.
struct Range {
  int first_query = 0;
  int end_query = 0;
  int first_key = 0;
  int end_key = 0;

  bool empty() const { return first_query >= end_query || first_key >= end_key; }
};

template <class T>
Range range_of(const Attention<T>& m, int sequence) {
  Range range{m.shape.query_length, 0, m.shape.key_length, 0};
  for (int i = 0; i < m.shape.query_length; ++i) {
    if (!m.valid_query(sequence * m.shape.query_length + i)) continue;
    range.first_query = std::min(range.first_query, i / block_rows * block_rows);
    range.end_query = i + 1;
  }
  for (int j = 0; j < m.shape.key_length; ++j) {
    if (!m.valid_key(sequence * m.shape.key_length + j)) continue;
    range.first_key = std::min(range.first_key, j / block_rows * block_rows);
    range.end_key = j + 1;
  }
  return range;
}

template <class T>
int end_of_keys(const Attention<T>& m, const Range& range, int end_row) {
  return m.shape.causal ? std::min(range.end_key, end_row) : range.end_key;
}

// Rows [first, first + rows) of one head. Heads that are not whole lines are copied, so that no line reaches into the
// next head.
template <class T>
Matrix<T> head_of(Arena& arena, const Matrix<T>& m, int first, int rows, int head, int columns) {
  if (m.places == nullptr && (m.columns == columns || columns % lanes == 0))
    return {m.row(first) + head * columns, rows, columns, m.stride};
  const int stride = padded(columns);
  const Matrix<T> copy{arena.take<T>(static_cast<std::size_t>(rows) * static_cast<std::size_t>(stride)), rows, columns,
                       stride};
  for (int r = 0; r < rows; ++r) std::copy_n(m.row(first + r) + head * columns, columns, copy.row(r));
  return copy;
}

template <class T>
Matrix<T> scratch(Arena& arena, int rows, int columns) {
  const int stride = padded(columns);
  return {arena.take<T>(static_cast<std::size_t>(rows) * static_cast<std::size_t>(stride)), rows, columns, stride};
}

// A block of rows and columns of m, from whole lines on.
template <class T>
Matrix<T> part(const Matrix<T>& m, int row, int rows, int column, int columns) {
  return {m.row(row) + column, rows, columns, m.stride};
}

// 0 for valid keys, -infinity for others and beyond the last.
template <class T>
const T* key_bias(Arena& arena, const Attention<T>& m, int sequence) {
  const int stride = padded(m.shape.key_length);
  T* bias = arena.take<T>(static_cast<std::size_t>(stride));
  for (int j = 0; j < stride; ++j) {
    const bool valid = j < m.shape.key_length && m.valid_key(sequence * m.shape.key_length + j);
    bias[j] = valid ? T{} : -std::numeric_limits<T>::infinity();
  }
  return bias;
}

// Turns scores [first, end) of a row into weights in place; keys from `seen` on get 0.
template <class T>
void weigh_row(T* row, const T* bias, T scale, int first, int end, int seen) {
  constexpr T none = -std::numeric_limits<T>::infinity();
  const auto score = [&](int c) {
    return first_lanes<T>(lane_fma(load_lanes(row + c), all_lanes(scale), load_lanes(bias + c)), seen - c, none);
  };
  Lanes<T> best = all_lanes(none);
  Lanes<T> broken{};
  for (int c = first; c < end; c += lanes) {
    const Lanes<T> s = score(c);
    store_lanes<T>(row + c, s);
    best = s > best ? s : best;
    broken = s <= std::numeric_limits<T>::infinity() ? broken : s;
  }
  const T largest = largest_lane<T>(best) + lane_sum<T>(broken);
  if (largest == none) {
    for (int c = first; c < end; c += lanes) store_lanes<T>(row + c, Lanes<T>{});
    return;
  }
  Lanes<T> total{};
  for (int c = first; c < end; c += lanes) {
    const Lanes<T> e = lane_exp(load_lanes(row + c) - largest);
    total += e;
    store_lanes<T>(row + c, e);
  }
  const T inverse = T{1} / lane_sum<T>(total);
  for (int c = first; c < end; c += lanes) store_lanes<T>(row + c, inverse * load_lanes(row + c));
}

// to = from with dropout, in the columns [first, end) of query `i`.
template <class T>
void drop_row(const Attention<T>& m, int sequence, int head, int i, const T* from, T* to, int first, int end) {
  const int position = head * m.shape.query_length + i;
  const T scale = T{1} / m.keep;
  for_noise_lines(m.stream, m.samples[sequence], position, end, [&](WordLanes words, int c) {
    if (c < first) return;
    store_lanes<T>(to + c, kept<T>(words, m.threshold) != T{} ? scale * load_lanes(from + c) : Lanes<T>{});
  });
}

template <class T>
void forward_head(Tape<T>& tape, const Attention<T>& m, const Range& range, const T* bias, int sequence, int head,
                  const Matrix<T>& out) {
  Arena& arena = tape.arena();
  const int key_row = sequence * m.shape.key_length;
  const int query_row = sequence * m.shape.query_length;
  const auto q = head_of(arena, tape.value(m.queries), query_row, m.shape.query_length, head, m.head_columns);
  const auto k = head_of(arena, tape.value(m.keys), key_row, m.shape.key_length, head, m.head_columns);
  const auto v = head_of(arena, tape.value(m.values), key_row, m.shape.key_length, head, m.head_columns);
  const Matrix<T> k_transposed = transposed_copy(arena, k);
  const Matrix<T> weights = m.weights_of(sequence, head);
  const Matrix<T> dropped = m.keep < T{1} ? scratch<T>(arena, block_rows, m.shape.key_length) : Matrix<T>{};
  for (int row = range.first_query; row < range.end_query; row += block_rows) {
    const int rows = std::min(block_rows, range.end_query - row);
    const int end = end_of_keys(m, range, row + rows);
    const int columns = end - range.first_key;
    const Matrix<T> y = part(out, row, rows, 0, m.head_columns);
    if (columns <= 0) {
      for (int r = 0; r < rows; ++r) std::fill_n(y.row(r), m.head_columns, T{});
      continue;
    }
    const Matrix<T> scores = part(weights, row, rows, range.first_key, columns);
    product<T>(arena, scores, {part(q, row, rows, 0, q.columns)},
               {part(k_transposed, 0, k_transposed.rows, range.first_key, columns)}, false);
    for (int r = 0; r < rows; ++r) {
      const int i = row + r;
      const int seen = !m.valid_query(query_row + i) ? 0 : (m.shape.causal ? std::min(end, i + 1) : end);
      weigh_row(weights.row(i), bias, m.scale, range.first_key, end, seen);
      if (m.keep < T{1}) drop_row(m, sequence, head, i, weights.row(i), dropped.row(r), range.first_key, end);
    }
    const Matrix<T> left = m.keep < T{1} ? part(dropped, 0, rows, range.first_key, columns) : scores;
    product<T>(arena, y, {left}, {part(v, range.first_key, columns, 0, v.columns)}, false);
  }
}

template <class T>
struct HeadGradients {
  Matrix<T> queries;
  Matrix<T> keys;
  Matrix<T> values;
};

// With dP = dO V': dS = P (dP - <dP, P>) scale, over the weights that dropout kept.
template <class T>
void score_gradients(Tape<T>& tape, const Attention<T>& m, const Range& range, int sequence, int head,
                     const Matrix<T>& upstream, const Matrix<T>& values, const Matrix<T>& to,
                     const Matrix<T>& dropped) {
  const Matrix<T> v_transposed = transposed_copy(tape.arena(), values);
  const Matrix<T> weights = m.weights_of(sequence, head);
  for (int row = range.first_query; row < range.end_query; row += block_rows) {
    const int rows = std::min(block_rows, range.end_query - row);
    const int end = end_of_keys(m, range, row + rows);
    const int columns = end - range.first_key;
    if (columns <= 0) continue;
    product<T>(tape.arena(), part(to, row, rows, range.first_key, columns),
               {part(upstream, row, rows, 0, upstream.columns)},
               {part(v_transposed, 0, v_transposed.rows, range.first_key, columns)}, false);
    for (int i = row; i < row + rows; ++i) {
      T* s = to.row(i);
      const T* p = weights.row(i);
      if (m.keep < T{1}) {
        drop_row(m, sequence, head, i, p, dropped.row(i), range.first_key, end);
        drop_row<T>(m, sequence, head, i, s, s, range.first_key, end);
      }
      Lanes<T> products{};
      for (int c = range.first_key; c < end; c += lanes) products += load_lanes(s + c) * load_lanes(p + c);
      const T mean = lane_sum<T>(products);
      for (int c = range.first_key; c < end; c += lanes)
        store_lanes<T>(s + c, m.scale * load_lanes(p + c) * (load_lanes(s + c) - mean));
    }
  }
}

template <class T>
void backward_head(Tape<T>& tape, const Attention<T>& m, const Range& range, int sequence, int head,
                   const Matrix<T>& upstream, const HeadGradients<T>& to) {
  Arena& arena = tape.arena();
  const int key_row = sequence * m.shape.key_length;
  const int query_row = sequence * m.shape.query_length;
  const auto q = head_of(arena, tape.value(m.queries), query_row, m.shape.query_length, head, m.head_columns);
  const auto k = head_of(arena, tape.value(m.keys), key_row, m.shape.key_length, head, m.head_columns);
  const auto v = head_of(arena, tape.value(m.values), key_row, m.shape.key_length, head, m.head_columns);
  const Matrix<T> scores = scratch<T>(arena, m.shape.query_length, m.shape.key_length);
  const bool drops = m.keep < T{1};
  const Matrix<T> dropped = drops ? scratch<T>(arena, m.shape.query_length, m.shape.key_length) : Matrix<T>{};
  score_gradients(tape, m, range, sequence, head, upstream, v, scores, dropped);
  for (int row = range.first_query; row < range.end_query; row += block_rows) {
    const int rows = std::min(block_rows, range.end_query - row);
    const int columns = end_of_keys(m, range, row + rows) - range.first_key;
    product<T>(arena, part(to.queries, row, rows, 0, q.columns),
               {part(scores, row, rows, range.first_key, std::max(columns, 0))},
               {part(k, range.first_key, std::max(columns, 0), 0, k.columns)}, false);
  }
  const Matrix<T> kept_weights = drops ? dropped : m.weights_of(sequence, head);
  for (int key = range.first_key; key < range.end_key; key += block_rows) {
    const int count = std::min(block_rows, range.end_key - key);
    const int first = m.shape.causal ? std::max(range.first_query, key) : range.first_query;
    const int rows = std::max(range.end_query - first, 0);
    product<T>(arena, part(to.keys, key, count, 0, k.columns), {part(scores, first, rows, key, count), true},
               {part(q, first, rows, 0, q.columns)}, false);
    product<T>(arena, part(to.values, key, count, 0, v.columns), {part(kept_weights, first, rows, key, count), true},
               {part(upstream, first, rows, 0, upstream.columns)}, false);
  }
}

// Adds rows [begin, end) of a head's gradient to where the head lies.
template <class T>
void add_head(Tape<T>& tape, Var v, const Matrix<T>& from, int first, int begin, int end, int head) {
  if (!tape.needs_gradient(v)) return;
  const Matrix<T> to = tape.gradient_to_add(v);
  for (int r = begin; r < end; ++r) {
    T* g = to.row(first + r) + head * from.columns;
    const T* x = from.row(r);
    for (int c = 0; c < from.columns; ++c) g[c] += x[c];
  }
}

template <class T>
void attention_backward(Tape<T>& tape, Var result, const void* memory) {
  const auto& m = *static_cast<const Attention<T>*>(memory);
  const Matrix<T> upstream = tape.gradient(result);
  const HeadGradients<T> to{scratch<T>(tape.arena(), m.shape.query_length, m.head_columns),
                            scratch<T>(tape.arena(), m.shape.key_length, m.head_columns),
                            scratch<T>(tape.arena(), m.shape.key_length, m.head_columns)};
  for (int b = 0; b < m.sequences(upstream); ++b) {
    const Range range = range_of(m, b);
    if (range.empty()) continue;
    for (int head = 0; head < m.shape.heads; ++head) {
      const Arena::Mark mark = tape.arena().mark();
      const auto g =
          head_of(tape.arena(), upstream, b * m.shape.query_length, m.shape.query_length, head, m.head_columns);
      backward_head(tape, m, range, b, head, g, to);
      add_head(tape, m.queries, to.queries, b * m.shape.query_length, range.first_query, range.end_query, head);
      add_head(tape, m.keys, to.keys, b * m.shape.key_length, range.first_key, range.end_key, head);
      add_head(tape, m.values, to.values, b * m.shape.key_length, range.first_key, range.end_key, head);
      tape.arena().release(mark);
    }
  }
}

template <class T>
void check_shape(const Matrix<T>& q, const Matrix<T>& k, const Matrix<T>& v, const AttentionShape& shape) {
  require(q.columns == k.columns && k.columns == v.columns && k.rows == v.rows, "attention", q, k);
  const bool fits = shape.query_length > 0 && shape.key_length > 0 && shape.heads > 0 &&
                    q.rows % shape.query_length == 0 && k.rows % shape.key_length == 0 &&
                    q.rows / shape.query_length == k.rows / shape.key_length && q.columns % shape.heads == 0 &&
                    (!shape.causal || shape.query_length == shape.key_length);
  require_with(fits, "attention", q, "lengths {} and {}, {} heads", shape.query_length, shape.key_length, shape.heads);
  const auto marks = [](std::span<const std::uint8_t> valid, int rows) {
    return valid.empty() || valid.size() == static_cast<std::size_t>(rows);
  };
  require_with(marks(shape.valid_queries, q.rows) && marks(shape.valid_keys, k.rows), "attention", q, "{} and {} marks",
               shape.valid_queries.size(), shape.valid_keys.size());
}

// Zeros where no block is computed.
template <class T>
void clear_outside(const Matrix<T>& y, int first, int length, const Range& range) {
  for (int i = 0; i < length; ++i) {
    if (range.empty() || i < range.first_query || i >= range.end_query) std::fill_n(y.row(first + i), y.columns, T{});
  }
}

}  // namespace

template <class T>
Var attention(Tape<T>& tape, Var queries, Var keys, Var values, const AttentionShape& shape,
              const AttentionDropout<T>& dropout) {
  const Matrix<T> q = tape.value(queries);
  check_shape(q, tape.value(keys), tape.value(values), shape);
  const int sequences = q.rows / shape.query_length;
  const bool drops = dropout.keep < T{1};
  require_with(!drops || dropout.samples.size() == static_cast<std::size_t>(sequences), "attention", q, "{} samples",
               dropout.samples.size());
  const int stride = padded(shape.key_length);
  const auto size = static_cast<std::size_t>(sequences * shape.heads) * static_cast<std::size_t>(shape.query_length) *
                    static_cast<std::size_t>(stride);
  const int columns = q.columns / shape.heads;
  const auto* m = detail::keep(
      tape, Attention<T>{queries, keys, values, shape, T{1} / std::sqrt(static_cast<T>(columns)), dropout.keep,
                         dropout.key.stream(), keep_threshold(static_cast<double>(dropout.keep)),
                         dropout.samples.data(), columns, tape.arena().template take<T>(size), stride});
  const Var out = tape.result(q.rows, q.columns, any_wanted(tape, queries, keys, values), &attention_backward<T>, m);
  const Matrix<T> y = tape.value(out);
  for (int b = 0; b < sequences; ++b) {
    const Range range = range_of(*m, b);
    clear_outside(y, b * shape.query_length, shape.query_length, range);
    if (range.empty()) continue;
    const Arena::Mark mark = tape.arena().mark();
    const T* bias = key_bias(tape.arena(), *m, b);
    for (int head = 0; head < shape.heads; ++head) {
      const Matrix<T> to = head_of(tape.arena(), y, b * shape.query_length, shape.query_length, head, columns);
      forward_head(tape, *m, range, bias, b, head, to);
      if (to.data == y.row(b * shape.query_length) + head * columns) continue;
      for (int i = range.first_query; i < range.end_query; ++i)
        std::copy_n(to.row(i), columns, y.row(b * shape.query_length + i) + head * columns);
    }
    tape.arena().release(mark);
  }
  return out;
}

template Var attention(Tape<float>&, Var, Var, Var, const AttentionShape&, const AttentionDropout<float>&);
template Var attention(Tape<double>&, Var, Var, Var, const AttentionShape&, const AttentionDropout<double>&);

}  // namespace spar::tape
