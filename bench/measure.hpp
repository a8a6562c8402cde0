#pragma once
#include <functional>
#include <vector>

/// How the plain benchmarks measure: many short chunks, so that a few meet a quiet machine, and the time of the thread
/// rather than of the wall, so that a neighbour on the same core costs cache and not seconds.
namespace spar::bench {

/// Seconds of processor that this thread has used.
double thread_seconds();
/// Seconds of the wall clock.
double wall_seconds();

struct Spread {
  double median = 0;
  double best = 0;
};

/// Calls `chunk` again and again for about `seconds` (at least `fewest` times, after one call that does not count) and
/// gives the median and the highest of work / seconds_of_a_call. `clock` is one of the two above.
Spread rate(double work, double seconds, int fewest, double (*clock)(), const std::function<void()>& chunk);

/// The same from given rates.
Spread spread(std::vector<double> rates);

}  // namespace spar::bench
