#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "bench/bare_pairwise.hpp"
#include "bench/measure.hpp"
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/base/error.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/dataset_file.hpp"
#include "spar/data/interactions.hpp"
#include "spar/game/pairwise_engine.hpp"
#include "spar/optim/update.hpp"
#include "spar/table/table.hpp"

/// spar's training loop, epoch by epoch in turn with the bare kernel in the same process; docs/performance.md, "The
/// training loop". On several ranks the bare kernel runs on rank 0 while the others wait.
namespace {

using namespace spar;
using namespace spar::bench;

struct Options {
  std::string data;
  std::string system = "both";
  std::vector<int> batches{512, 4096, 32768};
  int rounds = 7;
  bool pipeline = false;
  bool json = false;
};

/// What `parallel.shards = "auto"` means.
int shards_of(int batch) {
  int shards = 8;
  while (shards < 1024 && 2 * shards <= batch / 64) shards *= 2;
  return shards;
}

struct Model {
  table::Table users;
  table::Table items;
};

Model make_model(const data::DatasetHeader& header, const ShardLayout& layout, int rank,
                 const optim::OptimizerSettings& rule) {
  const table::RowShape shape{bare_dim, false, optim::state_blocks(rule.rule)};
  Model model{table::Table("user", header.users, layout, rank, shape, rule),
              table::Table("item", header.items, layout, rank, shape, rule)};
  model.users.initialize(1, 0, "truncated_normal", 0.01);
  model.items.initialize(1, 1, "truncated_normal", 0.01);
  return model;
}

/// Millions of triples a second of one epoch, all ranks together, by the wall clock; and of rank 0's thread.
struct EpochRate {
  double wall = 0;
  double thread = 0;
  game::LoopSeconds parts;  // of rank 0
};

EpochRate run_epoch(const comm::Communicator& world, game::PairwiseEngine& engine, std::int64_t epoch) {
  world.barrier();
  const double wall = wall_seconds();
  const double thread = thread_seconds();
  engine.begin_epoch(epoch, 0);
  for (std::int64_t step = 0; step < engine.steps(); ++step) engine.step(0);
  engine.end_epoch();
  const double seconds = thread_seconds() - thread;
  const double wall_total = world.max(wall_seconds() - wall);
  const auto examples = static_cast<double>(world.sum(engine.examples())) * 1e-6;
  return {examples / wall_total, examples / seconds, engine.seconds()};
}

void report(const Options& options, const comm::Communicator& world, const std::string& system, int batch,
            const std::vector<EpochRate>& loop, const std::vector<EpochRate>& bare) {
  const bool alone = world.size() == 1;
  std::vector<double> ratios, rates, bare_rates;
  for (std::size_t k = 0; k < loop.size(); ++k) {
    rates.push_back(alone ? loop[k].thread : loop[k].wall);
    bare_rates.push_back(alone ? bare[k].thread : bare[k].wall);
    ratios.push_back(rates.back() / bare_rates.back());
  }
  const Spread rate = spread(rates), kernel = spread(bare_rates), ratio = spread(ratios);
  if (options.json) {
    const nlohmann::json line = {{"system", system},         {"batch", batch},         {"ranks", world.size()},
                                 {"loop", rate.median},      {"loop_best", rate.best}, {"bare", kernel.median},
                                 {"bare_best", kernel.best}, {"ratio", ratio.median},  {"unit", "million triples/s"}};
    fmt::print("{}\n", line.dump());
  } else {
    fmt::print(
        "{:<6} batch {:>6}  ranks {}  loop {:6.2f} (best {:6.2f})  bare kernel {:6.2f} (best {:6.2f}) million "
        "triples/s  ratio {:.2f} (best to best {:.2f})\n",
        system, batch, world.size(), rate.median, rate.best, kernel.median, kernel.best, ratio.median,
        rate.best / kernel.best);
    const auto& parts = loop.back().parts;
    const double all = parts.compute + parts.communication + parts.input;
    fmt::print("       of the last epoch: compute {:.0f} %, communication {:.0f} %, input {:.0f} %\n",
               100 * parts.compute / all, 100 * parts.communication / all, 100 * parts.input / all);
  }
  std::fflush(stdout);
}

void measure(const Options& options, const comm::Communicator& world, const store::ArrayFile& file, int batch,
             bool adversarial) {
  const auto header = data::read_header(file);
  const ShardLayout layout{shards_of(batch), world.size()};
  optim::OptimizerSettings rule;
  Model model = make_model(header, layout, world.rank(), rule);
  const auto lists =
      data::read_lists(file, data::Part::train, model.users.first_row(), model.users.first_row() + model.users.rows());
  game::PairwiseSetup setup;
  setup.communicator = &world;
  setup.layout = layout;
  setup.users = &model.users;
  setup.items = &model.items;
  setup.train = &lists;
  setup.total_positives = header.counts[0];
  setup.batch_size = batch;
  setup.pipeline = options.pipeline;
  game::PairwiseEngine engine(setup);
  game::Adversary adversary;
  adversary.perturbation.epsilon = 0.5;
  engine.set_adversary(adversarial ? &adversary : nullptr);
  engine.use_optimizer(rule, 0);

  std::optional<BarePairwise> kernel;
  BareShape shape{.users = header.users,
                  .items = header.items,
                  .batch = batch,
                  .shards = layout.shards,
                  .adversarial = adversarial};
  if (world.is_root()) kernel.emplace(shape, 1);
  std::vector<EpochRate> loop, bare;
  const auto steps = std::max<std::int64_t>(1, std::min<std::int64_t>(engine.steps(), 1000000 / batch));
  for (int round = -1; round < options.rounds; ++round) {
    const EpochRate rate = run_epoch(world, engine, round + 1);
    EpochRate plain{1, 1, {}};
    if (kernel) {
      const double wall = wall_seconds(), thread = thread_seconds();
      for (std::int64_t k = 0; k < steps; ++k) kernel->step();
      const double triples = static_cast<double>(steps) * batch * 1e-6;
      plain = {triples / (wall_seconds() - wall), triples / (thread_seconds() - thread), {}};
    }
    if (round < 0) continue;
    loop.push_back(rate);
    bare.push_back(plain);
  }
  if (world.is_root()) report(options, world, adversarial ? "apr" : "bpr-mf", batch, loop, bare);
}

int run(const Options& options) {
  const auto world = comm::Communicator::world();
  const auto file = data::open_dataset(options.data);
  for (const int batch : options.batches) {
    if (options.system != "apr") measure(options, world, file, batch, false);
    if (options.system != "bpr-mf") measure(options, world, file, batch, true);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  comm::Environment environment(argc, argv);
  CLI::App app("spar's training loop in turn with the bare kernel: d = 64, Adagrad, pull, one thread a rank.");
  app.add_option("--data", options.data, "a data set")->required();
  app.add_option("--system", options.system)->check(CLI::IsMember({"bpr-mf", "apr", "both"}));
  app.add_option("--batch", options.batches, "multiples of 128 that the shards divide");
  app.add_option("--rounds", options.rounds, "epochs that count")->check(CLI::PositiveNumber);
  app.add_flag("--pipeline", options.pipeline);
  app.add_flag("--json", options.json);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return static_cast<int>(error.code());
  }
}
