#include <algorithm>
#include <cstdio>
#include <memory>
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
/// it the time of its matrix products alone, in the same shapes, by the same kernel; or, with --samples, an epoch whose
/// softmax is over drawn items, in turns with one over all, both by lazy Adam.
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
  std::int64_t samples = 0;
  double sample_power = 0.0;
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
  const std::int64_t steps = (o.users + o.batch_users - 1) / o.batch_users;
  return static_cast<double>(steps) / rate(1.0, 2.0, 5, wall_seconds, step).best;
}

/// The tables that engines train, one after the other where there are two.
struct Parameters {
  Parameters(const comm::Communicator& world, const Options& o, const optim::OptimizerSettings& optimizer)
      : layout{o.shards, world.size()},
        encoder("encoder", o.items, layout, world.rank(), {width, false, 0}, optimizer),
        decoder("decoder", o.items, layout, world.rank(), {width, true, 0}, optimizer),
        dense(game::dense_shapes(model()), layout, world.rank(), optimizer) {
    encoder.initialize(1, 0, "uniform", game::item_deviation(o.items, width));
    decoder.initialize(1, 1, "uniform", game::item_deviation(o.items, width));
    dense.initialize(1, 2);
    const Partition users{o.users, o.shards};
    lists = lists_of(o, users.begin(layout.first_shard(world.rank())), users.begin(layout.end_shard(world.rank())));
  }

  ShardLayout layout;
  table::Table encoder;
  table::Table decoder;
  table::DenseParameters dense;
  data::UserLists lists;
};

std::unique_ptr<game::CatalogueEngine> engine_of(const comm::Communicator& world, const Options& o, Parameters& p,
                                                 const game::Autoencoder& m,
                                                 const optim::OptimizerSettings& optimizer) {
  game::CatalogueSetup setup;
  setup.communicator = &world;
  setup.layout = p.layout;
  setup.model = m;
  setup.tables = {&p.encoder, &p.decoder, nullptr, &p.dense};
  setup.train = &p.lists;
  setup.users = o.users;
  setup.batch_users = o.batch_users;
  auto engine = std::make_unique<game::CatalogueEngine>(setup);
  engine->use_optimizer(optimizer, 0);
  engine->begin_stage({"train", o.epochs, std::nullopt});
  return engine;
}

double epoch_seconds(const comm::Communicator& world, game::CatalogueEngine& engine, int epoch) {
  const double begin = wall_seconds();
  engine.begin_epoch(epoch, 0);
  while (engine.next_step() < engine.steps()) engine.step(0);
  engine.end_epoch();
  return world.max(wall_seconds() - begin);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void print_head(const comm::Communicator& world, const Options& o, std::int64_t interactions) {
  fmt::print("{} users x {} items, {} interactions; {} ranks x {} threads, {} shards, {} users a batch\n", o.users,
             o.items, interactions, world.size(), o.threads, o.shards, o.batch_users);
}

void compare(const comm::Communicator& world, const Options& o) {
  const optim::OptimizerSettings lazy{.rule = optim::Rule::lazy_adam, .learning_rate = 1e-3F, .epsilon = 1e-8F};
  Parameters parameters(world, o, lazy);
  game::Autoencoder drawn = model();
  drawn.cells = game::LossCells::sampled;
  drawn.samples = o.samples;
  drawn.sample_power = o.sample_power;
  const auto all = engine_of(world, o, parameters, model(), lazy);
  const auto sampled = engine_of(world, o, parameters, drawn, lazy);
  std::vector<double> of_all, of_sampled, ratios;
  for (int epoch = 0; epoch <= o.epochs; ++epoch) {
    const double a = epoch_seconds(world, *all, epoch);
    const double b = epoch_seconds(world, *sampled, epoch);
    if (epoch == 0) continue;
    of_all.push_back(a);
    of_sampled.push_back(b);
    ratios.push_back(a / b);
  }
  const std::int64_t interactions = world.sum(parameters.lists.count());
  if (!world.is_root()) return;
  if (o.json) {
    const nlohmann::json out{{"all", median(of_all)},        {"sampled", median(of_sampled)},
                             {"ratio", median(ratios)},      {"samples", o.samples},
                             {"interactions", interactions}, {"ranks", world.size()},
                             {"threads", o.threads},         {"shards", o.shards}};
    fmt::print("{}\n", out.dump());
    return;
  }
  print_head(world, o, interactions);
  fmt::print("seconds an epoch: all items {:.3f}, {} samples {:.3f}; ratio in turns {:.1f}\n", median(of_all),
             o.samples, median(of_sampled), median(ratios));
}

void run(const comm::Communicator& world, const Options& o) {
  const optim::OptimizerSettings adam{.rule = optim::Rule::adam, .learning_rate = 1e-3F, .epsilon = 1e-8F};
  Parameters parameters(world, o, adam);
  const auto engine = engine_of(world, o, parameters, model(), adam);
  std::vector<double> seconds;
  for (int epoch = 0; epoch <= o.epochs; ++epoch) {
    const double taken = epoch_seconds(world, *engine, epoch);
    if (epoch > 0) seconds.push_back(taken);
  }
  const game::LoopSeconds kinds = engine->seconds();
  const std::int64_t interactions = world.sum(parameters.lists.count());
  if (!world.is_root()) return;
  const double best = *std::min_element(seconds.begin(), seconds.end());
  const double products = product_seconds(o);
  if (o.json) {
    const nlohmann::json out{{"seconds", median(seconds)}, {"best", best},
                             {"products", products},       {"interactions", interactions},
                             {"compute", kinds.compute},   {"communication", kinds.communication},
                             {"input", kinds.input},       {"ranks", world.size()},
                             {"threads", o.threads},       {"shards", o.shards}};
    fmt::print("{}\n", out.dump());
    return;
  }
  print_head(world, o, interactions);
  fmt::print("seconds an epoch: {:.3f} (best {:.3f}); compute {:.3f}, communication {:.3f}, input {:.3f}\n",
             median(seconds), best, kinds.compute, kinds.communication, kinds.input);
  fmt::print("its products alone on one thread: {:.3f} ({:.0f}% of the best)\n", products,
             100.0 * products / best / (world.size() * o.threads));
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
  app.add_option("--samples", o.samples, "Compare with a softmax over this many drawn items");
  app.add_option("--sample-power", o.sample_power, "Their law: a power of the items' interactions, 0 uniform");
  app.add_flag("--json", o.json, "Machine-readable results");
  CLI11_PARSE(app, argc, argv);
  set_threads(o.threads);
  const auto world = comm::Communicator::world();
  o.samples > 0 ? compare(world, o) : run(world, o);
  return 0;
}
