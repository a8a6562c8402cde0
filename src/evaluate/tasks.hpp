#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "spar/base/threads.hpp"
#include "spar/catalogue/scan.hpp"
#include "spar/evaluate/evaluator.hpp"

namespace spar::evaluate {

/// Users whose scores one worker makes in one go: enough that a piece of items pays its way into the cache.
inline constexpr std::size_t most_users_in_task = 256;

/// Cuts `users` users into ranges of at most `most`, one task each, and calls body(first, last, worker).
inline void for_user_ranges(std::size_t users, std::size_t most,
                            const std::function<void(std::size_t, std::size_t, int)>& body) {
  const auto workers = static_cast<std::size_t>(threads());
  const std::size_t even = (users + 4 * workers - 1) / (4 * workers);
  const std::size_t size = workers == 1 ? most : std::clamp<std::size_t>((even + 15) / 16 * 16, 16, most);
  const auto tasks = static_cast<int>((users + size - 1) / size);
  parallel_for_worker(tasks, [&](int task, int worker) {
    const std::size_t first = static_cast<std::size_t>(task) * size;
    body(first, std::min(users, first + size), worker);
  });
}

/// A scanner for each worker.
class WorkerScans {
 public:
  WorkerScans(const Scorer& scorer, const std::vector<const data::UserLists*>& masks) {
    for (int worker = 0; worker < threads(); ++worker) {
      scans_.push_back(std::make_unique<catalogue::BlockScan>(scorer.items.dim, scorer.users.first_row,
                                                              std::span(masks), scorer.pairs));
    }
  }
  catalogue::BlockScan& of(int worker) { return *scans_[static_cast<std::size_t>(worker)]; }

  static std::int64_t bytes(int dim) { return threads() * catalogue::BlockScan::bytes(dim, 2, most_users_in_task); }

 private:
  std::vector<std::unique_ptr<catalogue::BlockScan>> scans_;
};

}  // namespace spar::evaluate
