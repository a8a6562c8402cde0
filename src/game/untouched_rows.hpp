#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "spar/base/threads.hpp"
#include "spar/optim/update.hpp"
#include "spar/table/table.hpp"

namespace spar::game {

/// Dense Adam: every row that the step has not touched moves by its moments, with a gradient of zero. `touched` marks
/// the rank's rows and is cleared for the next step.
inline void move_untouched_rows(table::Table& table, const optim::Updater& updater,
                                std::vector<std::uint8_t>& touched) {
  constexpr Index rows_per_task = 4096;
  const int width = table.shape().width();
  const std::vector<float> zero(static_cast<std::size_t>(width));
  parallel_for(static_cast<int>((table.rows() + rows_per_task - 1) / rows_per_task), [&](int task) {
    for (Index k = task * rows_per_task; k < std::min(table.rows(), (task + 1) * rows_per_task); ++k) {
      if (touched[static_cast<std::size_t>(k)] == 0) updater.update(table.record(k), zero.data(), width, width);
      touched[static_cast<std::size_t>(k)] = 0;
    }
  });
}

}  // namespace spar::game
