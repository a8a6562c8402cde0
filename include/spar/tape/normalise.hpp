#pragma once
#include "spar/tape/tape.hpp"

namespace spar::tape {

/// Layer normalisation over the columns (Ba, Kiros and Hinton 2016): (x - mean) / sqrt(var + epsilon) * gain + offset
/// with the biased variance. n x m, 1 x m, 1 x m -> n x m.
template <class T>
Var layer_norm(Tape<T>& tape, Var x, Var gain, Var offset, T epsilon);

/// Weight normalisation by column, the weights of one unit (Salimans and Kingma, NIPS 2016): W = gain V / |V|. in x
/// out, 1 x out -> in x out. Columns of norm 0 give 0 and get no gradient.
template <class T>
Var weight_norm(Tape<T>& tape, Var directions, Var gains);

/// Batch normalisation (Ioffe and Szegedy, ICML 2015) by column, over the rows of all shards. A model applies it in
/// three steps:
///   sums = batch_sums(x, running)             this shard's share, 3 x m: sums, sums of squares, rows
///   sums = tape.cut(sums)                     the segment ends; the engine closes the cut
///   y = batch_normalise(x, sums, running, gain, offset, epsilon)
/// and its gradient flows through the statistics of the whole batch, since backward() stops at the same cut. For images
/// a row is a pixel, so the statistics are those of a channel.
template <class T>
struct RunningMoments {
  Matrix<T> mean;      ///< 1 x m
  Matrix<T> variance;  ///< 1 x m, of the population estimated from the sample (n / (n - 1))
};

/// Sums are taken of x - running.mean, which the statistics undo: a mean far from 0 would otherwise cost the digits of
/// the variance. 3 x m.
template <class T>
Var batch_sums(Tape<T>& tape, Var x, const RunningMoments<T>& running);
/// `sums` is 3 x m over the whole batch. No rows at all: mean and variance of 0.
template <class T>
Var batch_normalise(Tape<T>& tape, Var x, Var sums, const RunningMoments<T>& running, Var gain, Var offset, T epsilon);
/// For evaluation: the running moments in place of the batch's.
template <class T>
Var running_normalise(Tape<T>& tape, Var x, const RunningMoments<T>& running, Var gain, Var offset, T epsilon);
/// running = momentum running + (1 - momentum) batch, from the closed cut's value. Only the clean pass of a training
/// step calls it, once on each rank, after batch_normalise of all its shards.
template <class T>
void update_running(const Matrix<T>& sums, T momentum, const RunningMoments<T>& running);

}  // namespace spar::tape
