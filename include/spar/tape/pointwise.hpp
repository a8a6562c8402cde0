#pragma once
#include <cstdint>
#include <span>

#include "spar/tape/tape.hpp"

namespace spar::tape {

/// Examples of a pointwise loss as slots of distinct rows: user row `user[k]` meets item row `item[k]`; `labels[k]` is
/// 1 or 0. The spans must outlive the tape's use.
struct Points {
  std::span<const std::int32_t> user;
  std::span<const std::int32_t> item;
  std::span<const float> labels;
};

/// The logistic loss of factors with biases, summed over the examples, 1 x 1:
///   sum_k softplus(-(2 y_k - 1) z_k) + l2/2 (|p|^2 + |q|^2 + b_u^2 + b_i^2 + b^2),   z = p . q + b_u + b_i + b
/// (Rendle, Krichene, Zhang and Anderson, RecSys 2020, section 2 and its code's regulariser). `users` is n x (d + 1),
/// `items` m x (d + 1): vectors, then the bias; `bias` is b, 1 x 1. Rows that no example names get gradient 0. Moves,
/// for B examples over r distinct rows: reads 4 B + r rows, writes r rows, all in cache for micro-batches.
template <class T>
Var pointwise_logistic(Tape<T>& tape, Var users, Var items, Var bias, const Points& points, double l2);

}  // namespace spar::tape
