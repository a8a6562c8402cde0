#pragma once
#include <functional>

/// Threads of one rank (oneTBB). Work is always whole shards, whole users or whole rows: no sum is split between
/// threads, so results do not depend on their number.
namespace spar {

/// The processors this process may run on (its affinity mask), at least 1.
int available_processors();

/// Sets how many threads parallel_for uses from now on, for the whole process; at least 1.
void set_threads(int threads);
int threads();

/// Calls body(k) for k in [0, count), in any order, on up to threads() threads; an exception of a body is thrown here.
/// With one thread it is a plain loop.
void parallel_for(int count, const std::function<void(int)>& body);

/// A body that also learns which worker (0 .. threads()-1) runs it, for scratch memory; no two bodies run on one worker
/// at a time.
void parallel_for_worker(int count, const std::function<void(int, int worker)>& body);

}  // namespace spar
