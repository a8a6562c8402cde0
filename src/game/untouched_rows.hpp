#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "spar/base/threads.hpp"
#include "spar/optim/update.hpp"
#include "spar/table/table.hpp"

namespace spar::game {

/// Moves every row that the step has not touched by the gradient that fill(row, gradient) writes of it, `width` floats.
/// `touched` marks the rank's rows and is cleared for the next step.
template <class Fill>
void move_untouched_rows(table::Table& table, const optim::Updater& updater, std::vector<std::uint8_t>& touched,
                         Fill&& fill) {
  constexpr Index rows_per_task = 4096;
  const int width = table.shape().width();
  parallel_for(static_cast<int>((table.rows() + rows_per_task - 1) / rows_per_task), [&](int task) {
    std::vector<float> gradient(static_cast<std::size_t>(width));
    for (Index k = task * rows_per_task; k < std::min(table.rows(), (task + 1) * rows_per_task); ++k) {
      const bool rests = touched[static_cast<std::size_t>(k)] == 0;
      touched[static_cast<std::size_t>(k)] = 0;
      if (!rests) continue;
      fill(table.record(k), gradient.data());
      updater.update(table.record(k), gradient.data(), width, width);
    }
  });
}

/// The same by gradients of zero: dense Adam, whose moments go on.
inline void move_untouched_rows(table::Table& table, const optim::Updater& updater,
                                std::vector<std::uint8_t>& touched) {
  move_untouched_rows(table, updater, touched, [](const float*, float*) {});
}

}  // namespace spar::game
