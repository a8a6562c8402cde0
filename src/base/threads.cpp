#include "spar/base/threads.hpp"

#include <algorithm>
#include <memory>
#include <sched.h>

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace spar {

namespace {

struct Pool {
  int threads = 1;
  std::unique_ptr<tbb::global_control> control;
  std::unique_ptr<tbb::task_arena> arena;
};

Pool& pool() {
  static Pool instance;
  return instance;
}

}  // namespace

int available_processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

void set_threads(int threads) {
  Pool& p = pool();
  p.threads = std::max(1, threads);
  p.arena.reset();
  p.control.reset();
  if (p.threads == 1) return;
  p.control = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                                    static_cast<std::size_t>(p.threads));
  p.arena = std::make_unique<tbb::task_arena>(p.threads);
}

int threads() {
  return pool().threads;
}

void parallel_for(int count, const std::function<void(int)>& body) {
  parallel_for_worker(count, [&](int k, int) { body(k); });
}

void parallel_for_worker(int count, const std::function<void(int, int worker)>& body) {
  Pool& p = pool();
  if (p.threads == 1 || count < 2) {
    for (int k = 0; k < count; ++k) body(k, 0);
    return;
  }
  p.arena->execute(
      [&] { tbb::parallel_for(0, count, 1, [&](int k) { body(k, tbb::this_task_arena::current_thread_index()); }); });
}

}  // namespace spar
