#pragma once
#include <cstdint>
#include <span>

#include "spar/tape/tape.hpp"

/// Draws: reparameterised, relaxed, or without gradient. Noise is the caller's (noise.hpp), so that two passes can meet
/// the same. A policy gradient needs no operation of its own: -(reward - baseline) * log p(action), with cross_entropy
/// for -log p and the reward as a constant.
namespace spar::tape {

/// mean + exp(log_variance / 2) * noise (Kingma and Welling, ICLR 2014); all n x m, noise without gradient.
template <class T>
Var gaussian_sample(Tape<T>& tape, Var mean, Var log_variance, Matrix<T> noise);

/// One-hot of the largest of each row, the first of equals; gradients pass through to x unchanged (Bengio, Leonard and
/// Courville 2013).
template <class T>
Var straight_through(Tape<T>& tape, Var x);

/// softmax((logits + gumbel) / temperature) by row (Jang, Gu and Poole, ICLR 2017); with `hard`, its one-hot forward
/// and its gradient backward.
template <class T>
Var gumbel_softmax(Tape<T>& tape, Var logits, Matrix<T> gumbel, T temperature, bool hard);

/// The columns of the k largest of each row by falling value, the smaller column among equals; NaN counts as the
/// smallest. k numbers a row, -1 where a row has fewer. No gradient.
template <class T>
void top_k(const Matrix<T>& x, int k, std::span<std::int32_t> columns);
/// A draw from softmax(logits) of each row: the largest of logits + gumbel. One column a row. No gradient.
template <class T>
void sample_rows(const Matrix<T>& logits, const Matrix<T>& gumbel, std::span<std::int32_t> columns);

}  // namespace spar::tape
