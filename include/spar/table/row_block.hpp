#pragma once
#include "spar/base/types.hpp"

namespace spar::table {

/// A read-only view of consecutive rows of a table: row k is global row first_row + k, its values are data[k * stride
/// .. k * stride + dim). stride may exceed dim (padding, optimiser state beside the values).
struct RowBlock {
  const float* data = nullptr;
  Index first_row = 0;
  Index rows = 0;
  int dim = 0;
  Index stride = 0;

  const float* row(Index k) const { return data + k * stride; }
};

}  // namespace spar::table
