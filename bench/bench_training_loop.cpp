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

/// Rates of one engine and one batch size, an entry a round: the loop, the bare kernel, and the bare kernel that asks
/// for no row early.
struct Rounds {
  std::vector<EpochRate> loop, kernel, plain;
};

std::vector<double> rates(const std::vector<EpochRate>& of, bool by_thread) {
  std::vector<double> out;
  for (const EpochRate& rate : of) out.push_back(by_thread ? rate.thread : rate.wall);
  return out;
}

std::vector<double> ratios(const std::vector<double>& over, const std::vector<double>& under) {
  std::vector<double> out;
  for (std::size_t k = 0; k < over.size(); ++k) out.push_back(over[k] / under[k]);
  return out;
}

void report(const Options& options, const comm::Communicator& world, const std::string& system, int batch,
            const Rounds& rounds) {
  const bool alone = world.size() == 1;
  const auto loop = rates(rounds.loop, alone), kernel = rates(rounds.kernel, alone), plain = rates(rounds.plain, alone);
  const Spread rate = spread(loop), bare = spread(kernel), unhelped = spread(plain);
  const Spread ratio = spread(ratios(loop, kernel)), plain_ratio = spread(ratios(loop, plain));
  const auto& parts = rounds.loop.back().parts;
  const double all = parts.compute + parts.communication + parts.input;
  if (options.json) {
    const nlohmann::json line = {{"system", system},
                                 {"batch", batch},
                                 {"ranks", world.size()},
                                 {"loop", rate.median},
                                 {"loop_best", rate.best},
                                 {"bare", bare.median},
                                 {"bare_best", bare.best},
                                 {"ratio", ratio.median},
                                 {"bare_without_prefetch", unhelped.median},
                                 {"ratio_without_prefetch", plain_ratio.median},
                                 {"compute", parts.compute / all},
                                 {"communication", parts.communication / all},
                                 {"input", parts.input / all},
                                 {"unit", "million triples/s"}};
    fmt::print("{}\n", line.dump());
  } else {
    fmt::print(
        "{:<6} batch {:>6}  ranks {}  loop {:6.2f} (best {:6.2f})  bare kernel {:6.2f} (best {:6.2f})  ratio {:.2f}  "
        "without prefetch {:6.2f} (best {:6.2f})  ratio {:.2f}  million triples/s; time: compute {:.0f} %, "
        "communication "
        "{:.0f} %, input {:.0f} %\n",
        system, batch, world.size(), rate.median, rate.best, bare.median, bare.best, ratio.median, unhelped.median,
        unhelped.best, plain_ratio.median, 100 * parts.compute / all, 100 * parts.communication / all,
        100 * parts.input / all);
  }
  std::fflush(stdout);
}

EpochRate run_kernel(BarePairwise& kernel, std::int64_t steps, int batch) {
  const double wall = wall_seconds(), thread = thread_seconds();
  for (std::int64_t k = 0; k < steps; ++k) kernel.step();
  const double triples = static_cast<double>(steps) * batch * 1e-6;
  return {triples / (wall_seconds() - wall), triples / (thread_seconds() - thread), {}};
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

  std::optional<BarePairwise> kernel, plain;
  BareShape shape{.users = header.users,
                  .items = header.items,
                  .batch = batch,
                  .shards = layout.shards,
                  .adversarial = adversarial};
  if (world.is_root()) {
    kernel.emplace(shape, 1);
    shape.prefetch = false;
    plain.emplace(shape, 1);
  }
  Rounds rounds;
  const auto steps = std::max<std::int64_t>(1, std::min<std::int64_t>(engine.steps(), 1000000 / batch));
  for (int round = -1; round < options.rounds; ++round) {
    const EpochRate rate = run_epoch(world, engine, round + 1);
    const EpochRate bare = kernel ? run_kernel(*kernel, steps, batch) : EpochRate{1, 1, {}};
    const EpochRate unhelped = plain ? run_kernel(*plain, steps, batch) : EpochRate{1, 1, {}};
    if (round < 0) continue;
    rounds.loop.push_back(rate);
    rounds.kernel.push_back(bare);
    rounds.plain.push_back(unhelped);
  }
  if (world.is_root()) report(options, world, adversarial ? "apr" : "bpr-mf", batch, rounds);
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
