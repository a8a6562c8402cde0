#include "bench/measure.hpp"

#include <algorithm>
#include <time.h>

namespace spar::bench {

namespace {

double seconds_of(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

}  // namespace

double thread_seconds() {
  return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}
double wall_seconds() {
  return seconds_of(CLOCK_MONOTONIC);
}

Spread spread(std::vector<double> rates) {
  if (rates.empty()) return {};
  std::sort(rates.begin(), rates.end());
  return {rates[rates.size() / 2], rates.back()};
}

Spread rate(double work, double seconds, int fewest, double (*clock)(), const std::function<void()>& chunk) {
  chunk();
  std::vector<double> rates;
  const double end = wall_seconds() + seconds;
  while (static_cast<int>(rates.size()) < fewest || wall_seconds() < end) {
    const double before = clock();
    chunk();
    rates.push_back(work / (clock() - before));
  }
  return spread(std::move(rates));
}

}  // namespace spar::bench
