#include <cstdio>
#include <string>

#include "bench/machine_limits.hpp"
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/base/error.hpp"

/// The machine's own limits; docs/performance.md, "The machine". Alone, or on two ranks for the exchange as well.
namespace {

using namespace spar;
using namespace spar::bench;

struct Options {
  std::string directory = ".";
  double gibibytes = 2;
  double seconds = 0.5;
  bool json = false;
  bool cores = false;
};

class Printer {
 public:
  explicit Printer(bool json) : json_(json) {}
  void print(const std::string& name, const Spread& value, const char* unit) const {
    if (json_) {
      const nlohmann::json line = {{"name", name}, {"median", value.median}, {"best", value.best}, {"unit", unit}};
      fmt::print("{}\n", line.dump());
    } else {
      fmt::print("{:<52} median {:7.2f}  best {:7.2f} {}\n", name, value.median, value.best, unit);
    }
    std::fflush(stdout);
  }

 private:
  bool json_;
};

void measure_memory(const Options& options, const Printer& out) {
  const auto table = static_cast<std::size_t>(options.gibibytes * 0x1p30);
  const std::size_t array = std::size_t{256} << 20;
  out.print("memory, read", stream_read(array, options.seconds), "GB/s");
  out.print("memory, copy (read + written)", stream_copy(array, options.seconds), "GB/s");
  for (const int ahead : {0, 8, 32}) {
    const std::string early = ahead == 0 ? "" : fmt::format(", asked for {} rows early", ahead);
    out.print("random rows of 256 bytes, gather" + early, gather_rows(table, ahead, options.seconds), "GB/s");
    out.print("random rows of 256 bytes, change in place" + early, scatter_rows(table, ahead, options.seconds), "GB/s");
  }
}

void measure_products(const Options& options, const Printer& out) {
  for (const int users : {64, 256}) {
    for (const int block : {1024, 4096}) {
      out.print(fmt::format("product {} x 24576, d 64, blocks of {}", users, block),
                product(users, 24576, block, 64, options.seconds), "GFLOP/s");
    }
  }
}

void measure_disk(const Options& options, const Printer& out) {
  std::vector<double> rates;
  for (int k = 0; k < 3; ++k) rates.push_back(durable_write(options.directory, std::size_t{1} << 30));
  out.print("durable sequential write of 1 GiB", spread(rates), "GB/s");
}

int measure_cores(const comm::Communicator& world, const Printer& out) {
  if (world.size() == 1) throw UserError("the distance of two cores needs two ranks: mpirun -n 2 --bind-to core");
  const double nanoseconds = round_trip(world);
  if (world.is_root()) out.print("a number to the other rank and back", {nanoseconds, nanoseconds}, "ns");
  return 0;
}

int run(const Options& options) {
  const auto world = comm::Communicator::world();
  const Printer out(options.json);
  if (options.cores) return measure_cores(world, out);
  comm::agree(world, [&] {
    if (!world.is_root()) return;
    measure_memory(options, out);
    measure_products(options, out);
    measure_disk(options, out);
  });
  if (world.size() == 1) return 0;
  measure_cores(world, out);
  for (const std::size_t bytes : {std::size_t{4096}, std::size_t{65536}, std::size_t{1} << 20, std::size_t{16} << 20}) {
    std::vector<double> rates;
    for (int k = 0; k < 5; ++k) rates.push_back(exchange(world, bytes, options.seconds / 5));
    if (world.is_root()) out.print(fmt::format("exchange of {} bytes, each rank", bytes), spread(rates), "GB/s");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  comm::Environment environment(argc, argv);
  CLI::App app("The machine's own limits: memory, random rows, products, disk, and on several ranks their exchange.");
  app.add_option("--directory", options.directory, "where to write the file of the disk's figure");
  app.add_option("--table", options.gibibytes, "GiB of the table of random rows")->check(CLI::PositiveNumber);
  app.add_option("--seconds", options.seconds, "for each figure")->check(CLI::PositiveNumber);
  app.add_flag("--cores", options.cores, "only how far the cores of two ranks are from each other");
  app.add_flag("--json", options.json);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return static_cast<int>(error.code());
  }
}
