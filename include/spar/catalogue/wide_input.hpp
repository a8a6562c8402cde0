#pragma once
#include "spar/catalogue/slice_batch.hpp"

/// The input layer as wide as the catalogue: an embedding bag over each user's interactions, whose rows stay with their
/// owners. Each shard sums its own items for all users of the batch; the shard tree closes the sums
/// (ShardSums::to_homes). Its cost follows the interactions of the batch.
namespace spar::catalogue {

/// sums[u] = sum over the user's items in the slice of x~_ui w_i, by ascending item; users x padded(dim), all written.
void input_forward(const SliceRows& rows, const SliceBatch& batch, float* sums);

/// Adds dw_i = sum_u x~_ui delta_u, by ascending u, to the gradients of the touched rows. `delta`: users x padded(dim),
/// the gradient with respect to the whole sum.
void input_backward(const SliceRows& rows, const SliceBatch& batch, const float* delta, TouchedRows& gradients);

}  // namespace spar::catalogue
