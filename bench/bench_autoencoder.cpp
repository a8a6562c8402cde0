#include <algorithm>
#include <cstdio>
#include <vector>

#include "bench/measure.hpp"
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "spar/base/threads.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/game/catalogue_engine.hpp"
#include "spar/tape/multiply.hpp"

/// An epoch of mult-vae over a catalogue in the shape of MovieLens-1M: 600-200-600, batches of 500 users, Adam. Beside
/// it the time of its matrix products alone, in the same shapes, by the same kernel.
namespace {

using namespace spar;
using namespace spar::bench;

struct Options {
  Index users = 6040;
  Index items = 3706;
  double mean_profile = 165;
  int shards = 8;
  std::int64_t batch_users = 500;
  int epochs = 5;
  int threads = 1;
  bool json = false;
};

constexpr int width = 600;
constexpr int code = 200;

/// Profiles of a length that falls off geometrically from user to user, of items that fall off in popularity.
data::UserLists lists_of(const Options& o, Index first, Index end) {
  data::UserLists lists;
  lists.first_user = first;
  const RandomStream stream(7, Purpose::synthetic);
  for (Index u = first; u < end; ++u) {
    std::vector<ItemId> items;
    const double length = -std::log(open_unit(word64(stream.block(static_cast<std::uint32_t>(u)), 0))) * o.mean_profile;
    const auto draws = static_cast<std::uint32_t>(std::clamp(length, 5.0, 1500.0));
    for (std::uint32_t k = 1; k <= draws; ++k) {
      const double x = unit(word64(stream.block(static_cast<std::uint32_t>(u), k), 0));
      items.push_back(static_cast<ItemId>(x * x * static_cast<double>(o.items)));
    }
    std::sort(items.begin(), items.end());
    items.erase(std::unique(items.begin(), items.end()), items.end());
    lists.items.insert(lists.items.end(), items.begin(), items.end());
    lists.offsets.push_back(static_cast<std::int64_t>(lists.items.size()));
  }
  return lists;
}

game::Autoencoder model() {
  game::Autoencoder m;
  m.encoder = {width};
  m.code = code;
  m.gaussian = true;
  m.decoder = {width};
  m.normalise = true;
  m.keep = 0.5;
  return m;
}

/// Seconds of the products of an epoch: three of the wide output layer for each slice, three of each inner layer for
/// each shard of users.
double product_seconds(const Options& o) {
  const auto floats = [](int rows, int columns) {
    return static_cast<std::size_t>(rows) * static_cast<std::size_t>(padded(columns));
  };
  const int users = static_cast<int>(o.batch_users);
  const int slice = static_cast<int>(o.items) / o.shards;
  const int largest = std::max({users, slice, width});
  std::vector<Buffer<float>> buffers;
  for (int k = 0; k < 3; ++k) {
    buffers.emplace_back(floats(largest, largest));
    std::fill(buffers.back().begin(), buffers.back().end(), 0.01F);
  }
  tape::Arena arena;
  using tape::Side;
  const auto matrix = [&](int k, int rows, int columns) {
    return tape::Matrix<float>{buffers[static_cast<std::size_t>(k)].data(), rows, columns, padded(columns)};
  };
  const auto layer = [&](int rows, int in, int out) {
    tape::multiply(arena, matrix(0, rows, out), matrix(1, rows, in), Side::plain, matrix(2, in, out), Side::plain);
    tape::multiply(arena, matrix(0, rows, in), matrix(1, rows, out), Side::plain, matrix(2, in, out), Side::transposed);
    tape::multiply(arena, matrix(0, in, out), matrix(1, rows, in), Side::transposed, matrix(2, rows, out), Side::plain);
  };
  const auto step = [&] {
    for (int s = 0; s < o.shards; ++s) {
      tape::multiply(arena, matrix(0, users, slice), matrix(1, users, width), Side::plain, matrix(2, slice, width),
                     Side::transposed);
      tape::multiply(arena, matrix(0, users, width), matrix(1, users, slice), Side::plain, matrix(2, slice, width),
                     Side::plain);
      tape::multiply(arena, matrix(0, slice, width), matrix(1, users, slice), Side::transposed, matrix(2, users, width),
                     Side::plain);
      layer(users / o.shards, width, 2 * code);
      layer(users / o.shards, code, width);
    }
  };
  const double steps = static_cast<double>((o.users + o.batch_users - 1) / o.batch_users);
  return steps / rate(1.0, 2.0, 5, wall_seconds, step).best;
}

void run(const comm::Communicator& world, const Options& o) {
  set_threads(o.threads);
  const ShardLayout layout{o.shards, world.size()};
  const optim::OptimizerSettings adam{.rule = optim::Rule::adam, .learning_rate = 1e-3F, .epsilon = 1e-8F};
  const game::Autoencoder m = model();
  table::Table encoder("encoder", o.items, layout, world.rank(), {width, false, 0}, adam);
  table::Table decoder("decoder", o.items, layout, world.rank(), {width, true, 0}, adam);
  table::DenseParameters dense(game::dense_shapes(m), layout, world.rank(), adam);
  encoder.initialize(1, 0, "uniform", game::item_deviation(o.items, width));
  decoder.initialize(1, 1, "uniform", game::item_deviation(o.items, width));
  dense.initialize(1, 2);
  const Partition users{o.users, o.shards};
  const auto lists =
      lists_of(o, users.begin(layout.first_shard(world.rank())), users.begin(layout.end_shard(world.rank())));
  game::CatalogueSetup setup;
  setup.communicator = &world;
  setup.layout = layout;
  setup.model = m;
  setup.tables = {&encoder, &decoder, nullptr, &dense};
  setup.train = &lists;
  setup.users = o.users;
  setup.batch_users = o.batch_users;
  game::CatalogueEngine engine(setup);
  engine.use_optimizer(adam, 0);
  engine.begin_stage({"train", o.epochs, std::nullopt});
  std::vector<double> seconds;
  game::LoopSeconds kinds;
  for (int epoch = 0; epoch <= o.epochs; ++epoch) {
    const double begin = wall_seconds();
    engine.begin_epoch(epoch, 0);
    while (engine.next_step() < engine.steps()) engine.step(0);
    engine.end_epoch();
    if (epoch > 0) seconds.push_back(world.max(wall_seconds() - begin));
    kinds = engine.seconds();
  }
  const std::int64_t interactions = world.sum(lists.count());
  if (!world.is_root()) return;
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2];
  const double products = product_seconds(o);
  if (o.json) {
    const nlohmann::json out{{"seconds", median},        {"best", seconds.front()},
                             {"products", products},     {"interactions", interactions},
                             {"compute", kinds.compute}, {"communication", kinds.communication},
                             {"input", kinds.input},     {"ranks", world.size()},
                             {"threads", o.threads},     {"shards", o.shards}};
    fmt::print("{}\n", out.dump());
    return;
  }
  fmt::print("{} users x {} items, {} interactions; {} ranks x {} threads, {} shards, {} users a batch\n", o.users,
             o.items, interactions, world.size(), o.threads, o.shards, o.batch_users);
  fmt::print("seconds an epoch: {:.3f} (best {:.3f}); compute {:.3f}, communication {:.3f}, input {:.3f}\n", median,
             seconds.front(), kinds.compute, kinds.communication, kinds.input);
  fmt::print("its products alone on one thread: {:.3f} ({:.0f}% of the best)\n", products,
             100.0 * products / seconds.front() / (world.size() * o.threads));
}

}  // namespace

int main(int argc, char** argv) {
  comm::Environment environment(argc, argv);
  Options o;
  CLI::App app("An epoch of mult-vae in the shape of MovieLens-1M", "bench_autoencoder");
  app.add_option("--users", o.users, "Users of the synthetic data");
  app.add_option("--items", o.items, "Items of the synthetic data");
  app.add_option("--profile", o.mean_profile, "Mean of the exponential law of profile lengths");
  app.add_option("--shards", o.shards, "Shards, a power of two");
  app.add_option("--batch-users", o.batch_users, "Users a step");
  app.add_option("--epochs", o.epochs, "Epochs measured, after one that does not count");
  app.add_option("--threads", o.threads, "Threads a rank");
  app.add_flag("--json", o.json, "Machine-readable results");
  CLI11_PARSE(app, argc, argv);
  run(comm::Communicator::world(), o);
  return 0;
}
