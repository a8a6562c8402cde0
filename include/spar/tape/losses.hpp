#pragma once
#include <cstdint>
#include <span>

#include "spar/tape/tape.hpp"

/// Losses, by cell (n x m) or by row (n x 1): the caller sums or divides, since learning rates carry over only with the
/// published reduction. Targets and weights have no gradient and must outlive the tape's use. logistic_loss, on margins
/// with a floor, stands in operations.hpp.
namespace spar::tape {

/// Cross entropy of logits x with labels y in [0, 1]: max(x, 0) - x y + log(1 + exp(-|x|)), gradient sigmoid(x) - y.
/// Cells count times `weights`, if given. Shapes equal.
template <class T>
Var bce_with_logits(Tape<T>& tape, Var logits, Matrix<T> labels, Matrix<T> weights = {});
/// The same with one label for all cells (1: real, 0: made).
template <class T>
Var bce_with_logits(Tape<T>& tape, Var logits, T label);
/// (x - y)^2 by cell, times `weights`, if given (0 where nothing was observed).
template <class T>
Var squared_error(Tape<T>& tape, Var x, Matrix<T> targets, Matrix<T> weights = {});
/// max(0, margin + x) by cell; no gradient at 0.
template <class T>
Var hinge(Tape<T>& tape, Var x, T margin);
/// n x 1, n x 1 -> n x 1: -log sigmoid(preferred - other) = softplus(other - preferred).
template <class T>
Var pairwise_log_sigmoid(Tape<T>& tape, Var preferred, Var other);
/// -sum_i x_i log softmax(z)_i by row, gradient (sum x) p - x: n x m -> n x 1 (Liang et al., WWW 2018).
template <class T>
Var multinomial_loss(Tape<T>& tape, Var logits, Matrix<T> counts);
/// -log softmax(z)_class by row, gradient p - onehot: n x m, n classes -> n x 1. A row of class -1 counts 0.
template <class T>
Var cross_entropy(Tape<T>& tape, Var logits, std::span<const std::int32_t> classes);
/// The choice of one of m or of nothing (utility 0): -z_class + log(1 + sum exp z), class -1 being nothing; n x m -> n
/// x 1 (Chen et al., ICML 2019).
template <class T>
Var choice_loss(Tape<T>& tape, Var utilities, std::span<const std::int32_t> classes);
/// KL( N(mean, exp(log_variance)) || N(0, 1) ) by row: 1/2 sum (mean^2 + exp(lv) - lv - 1); n x m, n x m -> n x 1.
template <class T>
Var gaussian_kl(Tape<T>& tape, Var mean, Var log_variance);

}  // namespace spar::tape
