#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/bare_pairwise.hpp"
#include "bench/bare_reference.hpp"
#include "bench/measure.hpp"
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/base/error.hpp"
#include "spar/data/dataset_file.hpp"

/// Millions of triples a second of the bare kernel; docs/performance.md, "The bare kernel".
namespace {

using namespace spar;
using namespace spar::bench;

struct Options {
  std::string system = "both";
  std::string layout = "side";
  std::string popularity;  // a data set
  std::vector<int> batches{512, 4096, 32768};
  Index users = 37501;
  Index items = 9836;
  double seconds = 1;
  std::string clock = "thread";
  bool no_prefetch = false;
  bool parts = false;
  bool json = false;
};

/// What `parallel.shards = "auto"` means: the largest power of two up to batch / 64, within 8 .. 1024.
int shards_of(int batch) {
  int shards = 8;
  while (shards < 1024 && 2 * shards <= batch / 64) shards *= 2;
  return shards;
}

std::vector<ItemId> positives_of(Options& options) {
  if (options.popularity.empty()) return {};
  const auto file = data::open_dataset(options.popularity);
  const auto header = data::read_header(file);
  options.users = header.users;
  options.items = header.items;
  std::vector<ItemId> items(static_cast<std::size_t>(header.counts[0]));
  file.read("/train/items", 0, header.counts[0], items.data());
  return items;
}

std::string parts_text(const BareSeconds& s, double triples) {
  const double ns = 1e9 / triples;
  return fmt::format(
      "  ns a triple: draw {:.1f}, lists {:.1f}, pass 1 {:.1f}, perturb {:.1f}, pass 2 {:.1f}, item update {:.1f}",
      s.draw * ns, s.list * ns, s.first * ns, s.perturb * ns, s.second * ns, s.update * ns);
}

void measure(const Options& options, const std::vector<ItemId>& popularity, int batch, bool adversarial) {
  BareShape shape;
  shape.users = options.users;
  shape.items = options.items;
  shape.batch = batch;
  shape.shards = shards_of(batch);
  shape.adversarial = adversarial;
  shape.layout = options.layout == "side" ? BareLayout::side_by_side : BareLayout::apart;
  shape.prefetch = !options.no_prefetch;
  BarePairwise kernel(shape, 1, popularity);
  if (options.parts) kernel.time_parts();
  const int steps = std::max(1, 65536 / batch);
  const double triples = static_cast<double>(steps) * batch;
  int chunks = 0;
  const Spread rates =
      rate(triples * 1e-6, options.seconds, 5, options.clock == "wall" ? wall_seconds : thread_seconds, [&] {
        for (int k = 0; k < steps; ++k) kernel.step();
        ++chunks;
      });
  const char* system = adversarial ? "apr" : "bpr-mf";
  if (options.json) {
    const nlohmann::json line = {{"system", system},   {"users", shape.users},       {"items", shape.items},
                                 {"batch", batch},     {"shards", shape.shards},     {"median", rates.median},
                                 {"best", rates.best}, {"unit", "million triples/s"}};
    fmt::print("{}\n", line.dump());
  } else {
    fmt::print("{:>8} users {:>8} items  batch {:>6}  {:<6}  median {:6.2f}  best {:6.2f} million triples/s{}\n",
               shape.users, shape.items, batch, system, rates.median, rates.best,
               options.parts ? parts_text(kernel.seconds(), triples * chunks) : "");
  }
  std::fflush(stdout);
}

int run(Options& options) {
  for (const bool adversarial : {false, true}) {
    const double difference = bare_difference(adversarial);
    if (!(difference < 1e-6)) {
      throw Bug(fmt::format("the bare kernel differs from the plain loop by {}", difference));
    }
  }
  const auto popularity = positives_of(options);
  for (const int batch : options.batches) {
    if (options.system != "apr") measure(options, popularity, batch, false);
    if (options.system != "bpr-mf") measure(options, popularity, batch, true);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("The bare pairwise kernel: random triples, lists of distinct rows, gather, one pass or two, Adagrad.");
  app.add_option("--system", options.system)->check(CLI::IsMember({"bpr-mf", "apr", "both"}));
  app.add_option("--users", options.users)->check(CLI::PositiveNumber);
  app.add_option("--items", options.items)->check(CLI::PositiveNumber);
  app.add_option("--batch", options.batches, "multiples of 128 that the shards divide");
  app.add_option("--popularity", options.popularity,
                 "a data set: its sizes, and positives as popular as in its training");
  app.add_option("--layout", options.layout)->check(CLI::IsMember({"side", "apart"}));
  app.add_option("--seconds", options.seconds, "for each figure");
  app.add_option("--clock", options.clock, "thread: processor time; wall: as a training logs it")
      ->check(CLI::IsMember({"thread", "wall"}));
  app.add_flag("--no-prefetch", options.no_prefetch, "ask for no row early");
  app.add_flag("--parts", options.parts, "also the time of each part of a step");
  app.add_flag("--json", options.json);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return static_cast<int>(error.code());
  }
}
