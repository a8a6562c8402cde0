#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "bench/bare_pairwise.hpp"

using namespace spar;
using namespace spar::bench;

namespace {

#include <time.h>
double cpu_seconds() { timespec t; clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec); }

struct Case {
  const char* name;
  Index users, items;
  int batch, shards;
};
constexpr Case cases[] = {{"in cache", 37501, 9836, 512, 8},         {"in cache", 37501, 9836, 4096, 64},        {"in cache", 37501, 9836, 32768, 512},
                          {"out of cache", 5000000, 1000000, 4096, 64}, {"out of cache", 5000000, 1000000, 32768, 512}};

/// The same step, plainly, in double.
double largest_difference(bool adversarial) {
  BareShape shape;
  shape.users = 331; shape.items = 97; shape.batch = 256; shape.shards = 4; shape.adversarial = adversarial; shape.epsilon = 0.02F;
  BarePairwise kernel(shape, 7);
  const auto d = bare_dim;
  std::vector<double> u(331 * d), v(97 * d), ua(331 * d, static_cast<double>(0.1F)), va(97 * d, static_cast<double>(0.1F));
  for (int r = 0; r < 331; ++r) for (int k = 0; k < d; ++k) { kernel.users().values(r)[k] *= 30; u[r * d + k] = kernel.users().values(r)[k]; }
  for (int r = 0; r < 97; ++r) for (int k = 0; k < d; ++k) { kernel.items().values(r)[k] *= 30; v[r * d + k] = kernel.items().values(r)[k]; }
  std::uint64_t state = 12345;
  for (int step = 0; step < 3; ++step) {
    std::vector<std::uint32_t> us(256), ps(256), ns(256), global(256);
    for (int k = 0; k < 256; ++k) {
      const auto next = [&](std::uint64_t n) { state = state * 6364136223846793005U + 1442695040888963407U; return static_cast<std::uint32_t>((state >> 33) % n); };
      const int s = k / 64;
      us[k] = next(static_cast<std::uint64_t>(kernel.user_parts().size(s)));
      global[k] = static_cast<std::uint32_t>(kernel.user_parts().begin(s)) + us[k];
      ps[k] = next(97); ns[k] = next(97);
    }
    kernel.step_with(us, ps, ns);
    std::vector<double> gu(331 * d), gv(97 * d);
    auto pass = [&](const std::vector<double>& pu, const std::vector<double>& pv, double weight) {
      for (int k = 0; k < 256; ++k) {
        double x = 0;
        for (int c = 0; c < d; ++c) x += pu[global[k] * d + c] * (pv[ps[k] * d + c] - pv[ns[k] * d + c]);
        const double z = -weight / (1 + std::exp(x));
        for (int c = 0; c < d; ++c) {
          gu[global[k] * d + c] += z * (pv[ps[k] * d + c] - pv[ns[k] * d + c]);
          gv[ps[k] * d + c] += z * pu[global[k] * d + c];
          gv[ns[k] * d + c] -= z * pu[global[k] * d + c];
        }
      }
    };
    pass(u, v, 1);
    if (adversarial) {
      auto pu = u; auto pv = v;
      auto perturb = [&](std::vector<double>& p, const std::vector<double>& g) {
        for (std::size_t r = 0; r < p.size() / d; ++r) {
          double norm = 0;
          for (int c = 0; c < d; ++c) norm += g[r * d + c] * g[r * d + c];
          for (int c = 0; c < d; ++c) p[r * d + c] += 0.02 * g[r * d + c] / std::max(std::sqrt(norm), 1e-6);
        }
      };
      perturb(pu, gu); perturb(pv, gv);
      pass(pu, pv, 1);
    }
    auto update = [&](std::vector<double>& p, std::vector<double>& a, const std::vector<double>& g) {
      for (std::size_t k = 0; k < p.size(); ++k) { a[k] += g[k] * g[k]; p[k] -= 0.05 * g[k] / std::sqrt(a[k]); }
    };
    update(u, ua, gu); update(v, va, gv);
  }
  double worst = 0;
  for (int r = 0; r < 331; ++r) for (int k = 0; k < d; ++k) worst = std::max(worst, std::abs(u[r * d + k] - static_cast<double>(kernel.users().values(r)[k])));
  for (int r = 0; r < 97; ++r) for (int k = 0; k < d; ++k) worst = std::max(worst, std::abs(v[r * d + k] - static_cast<double>(kernel.items().values(r)[k])));
  return worst;
}

}  // namespace

int main(int argc, char** argv) {
  for (const bool adversarial : {false, true}) std::printf("%s: largest difference to plain double %.2e\n", adversarial ? "APR" : "BPR", largest_difference(adversarial));
  const char* layout_name = argc > 1 ? argv[1] : "side";
  const int ahead = argc > 2 ? std::atoi(argv[2]) : 1;
  const int from = argc > 3 ? std::atoi(argv[3]) : 0;
  const int to = argc > 4 ? std::atoi(argv[4]) : 5;
  for (int c = from; c < to; ++c) {
    const Case& shape_case = cases[c];
    for (const bool adversarial : {false, true}) {
      BareShape shape;
      shape.users = shape_case.users; shape.items = shape_case.items; shape.batch = shape_case.batch; shape.shards = shape_case.shards;
      shape.adversarial = adversarial;
      shape.layout = std::strcmp(layout_name, "side") == 0 ? BareLayout::side_by_side : BareLayout::apart;
      shape.prefetch = ahead > 0;
      BarePairwise kernel(shape, 1);
      const int steps = std::max(1, 60000 / shape.batch);
      std::vector<double> rates;
      BareSeconds best;
      for (int repeat = 0; repeat < 60; ++repeat) {
        kernel.forget_seconds();
        const double before = cpu_seconds();
        for (int s = 0; s < steps; ++s) kernel.step();
        const double seconds = cpu_seconds() - before;
        rates.push_back(steps * double(shape.batch) / seconds * 1e-6);
        if (rates.back() == *std::max_element(rates.begin(), rates.end())) best = kernel.seconds();
      }
      std::sort(rates.begin(), rates.end());
      const double ns = 1e9 / (steps * double(shape.batch));
      std::printf("%-12s %7lld x %7lld batch %5d %s: median %5.2f best %5.2f M/s | ns a triple: draw %.1f list %.1f first %.1f perturb %.1f second %.1f update %.1f\n",
                  shape_case.name, (long long)shape.users, (long long)shape.items, shape.batch, adversarial ? "APR" : "BPR", rates[rates.size() / 2], rates.back(),
                  best.draw * ns, best.list * ns, best.first * ns, best.perturb * ns, best.second * ns, best.update * ns);
      std::fflush(stdout);
    }
  }
  return 0;
}
