#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "spar/base/threads.hpp"
#include "spar/optim/update.hpp"
#include "spar/table/table.hpp"

namespace spar::game {

/// Moves every row that the step has not touched: dense Adam by its moments, with a gradient of zero; a penalty of
/// whole tables with a gradient of `decay` times the row. `touched` marks the rank's rows and is cleared for the next
/// step.
inline void move_untouched_rows(table::Table& table, const optim::Updater& updater, std::vector<std::uint8_t>& touched,
                                float decay = 0.0F) {
  constexpr Index rows_per_task = 4096;
  const int width = table.shape().width();
  parallel_for(static_cast<int>((table.rows() + rows_per_task - 1) / rows_per_task), [&](int task) {
    std::vector<float> gradient(static_cast<std::size_t>(width));
    for (Index k = task * rows_per_task; k < std::min(table.rows(), (task + 1) * rows_per_task); ++k) {
      const bool rests = touched[static_cast<std::size_t>(k)] == 0;
      touched[static_cast<std::size_t>(k)] = 0;
      if (!rests) continue;
      for (int c = 0; decay != 0.0F && c < width; ++c)
        gradient[static_cast<std::size_t>(c)] = decay * table.record(k)[c];
      updater.update(table.record(k), gradient.data(), width, width);
    }
  });
}

}  // namespace spar::game
