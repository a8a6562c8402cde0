#pragma once
#include <cstdint>
#include <span>

#include "spar/tape/tape.hpp"

namespace spar::tape {

/// Sets of rows of a table, one after the other: bag b is slots[offsets[b]] to slots[offsets[b + 1] - 1]. With weights
/// it is a sparse matrix in rows (CSR), bags x rows of the table. The spans must outlive the tape's use.
struct Bags {
  std::span<const std::int64_t> offsets;  ///< bags + 1 of them, ascending from 0
  std::span<const std::int32_t> slots;
};

/// Embedding bag, the sparse product X E: y[b] = sum_j weights[j] table[slots[j]] over the bag, in the bag's order; an
/// empty bag gives a row of zeros. rows x d -> bags x d. `weights` has one number a slot and no gradient; without any,
/// all are 1.
template <class T>
Var embedding_bag(Tape<T>& tape, Var table, const Bags& bags, std::span<const T> weights = {});
/// The same with weights that have a gradient, <table[slots[j]], dy[b]>: weights is slots x 1.
template <class T>
Var weighted_bag(Tape<T>& tape, Var table, Var weights, const Bags& bags);

}  // namespace spar::tape
