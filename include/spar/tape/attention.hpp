#pragma once
#include <cstdint>
#include <span>

#include "spar/tape/noise.hpp"
#include "spar/tape/tape.hpp"

namespace spar::tape {

/// How queries see keys. Sequence b has rows b * query_length to (b + 1) * query_length - 1 of the queries and the like
/// of keys and values. Spans must outlive the tape's use.
struct AttentionShape {
  int query_length = 0;
  int key_length = 0;
  int heads = 1;
  bool causal = false;  ///< query i sees keys 0 to i; lengths equal
  /// One mark a row, 0: padding. Empty: all are valid. Derive them from the ids, never from the numbers of a row.
  std::span<const std::uint8_t> valid_queries = {};
  std::span<const std::uint8_t> valid_keys = {};
};

/// Dropout on the attention weights; keep 1: none.
template <class T>
struct AttentionDropout {
  T keep = T{1};
  NoiseKey key = {};
  std::span<const Index> samples = {};  ///< one a sequence
};

/// Scaled dot-product attention in heads (Vaswani et al., NIPS 2017): head h takes the columns [h d/heads, (h + 1)
/// d/heads) of all three, weights softmax(q k' / sqrt(d / heads)) over the keys that a query sees, and gives the
/// weighted sum of their values. (B Lq) x d, (B Lk) x d, (B Lk) x d -> (B Lq) x d. An invalid query, or one that sees
/// no valid key, gives zeros and no gradient. Blocks of positions that no valid pair meets in are not computed. Keeps
/// B heads Lq Lk numbers for backward.
template <class T>
Var attention(Tape<T>& tape, Var queries, Var keys, Var values, const AttentionShape& shape,
              const AttentionDropout<T>& dropout = {});

/// Weighted sums of the rows of each of B sequences of `length`: (B length) x d, (B length) x 1 -> B x d. With weights
/// from a masked softmax: attention pooling.
template <class T>
Var sequence_sums(Tape<T>& tape, Var x, Var weights, int length);
/// Row positions[b] of each of B sequences of `length`: (B length) x d -> B x d. A negative position (a sequence
/// without a valid row) gives zeros. The span must outlive the tape's use.
template <class T>
Var sequence_rows(Tape<T>& tape, Var x, std::span<const std::int32_t> positions, int length);

}  // namespace spar::tape
