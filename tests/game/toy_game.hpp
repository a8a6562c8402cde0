#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "spar/base/threads.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/interactions.hpp"
#include "spar/game/pairwise_engine.hpp"
#include "spar/game/trainer.hpp"

/// A small game that every rank can also play alone.
namespace spar::test {

/// Interactions given by a rule, so that any rank can make those of any users.
struct ToyData {
  Index users = 211;
  Index items = 97;
  /// Every user lacks exactly one item: negatives are then no matter of chance.
  bool one_missing = false;

  bool has(Index user, Index item) const {
    if (one_missing) return item != (user * 7 + 3) % items;
    if (user % 50 == 49) return true;  // has every item
    if (user % 17 == 5) return false;  // has none
    // Everybody's popular items, and a cluster of their own.
    return (item < 3 && user % (item + 2) == 0) || (item * 11 + (user % 5) * 19 + user) % items < 5 + user % 6;
  }
  data::UserLists lists(Index first, Index end) const {
    data::UserLists all;
    all.first_user = first;
    for (Index u = first; u < end; ++u) {
      for (Index i = 0; i < items; ++i) {
        if (has(u, i)) all.items.push_back(static_cast<ItemId>(i));
      }
      all.offsets.push_back(static_cast<std::int64_t>(all.items.size()));
    }
    return all;
  }
  std::int64_t positives() const { return lists(0, users).count(); }
};

struct ToySettings {
  ToyData data;
  int shards = 8;
  int dim = 20;
  bool has_bias = false;
  std::int64_t batch_size = 160;
  std::uint64_t seed = 3;
  double init = 0.1;
  double l2 = 0.0;
  bool l2_batch_mean = false;
  bool pipeline = false;
  Schedule rate{};
  optim::OptimizerSettings optimizer{.rule = optim::Rule::adagrad, .learning_rate = 0.05F};
  std::optional<game::Adversary> adversary;
};

/// The numbers of both tables, state included, in global order.
struct ToyTables {
  std::vector<float> users;
  std::vector<float> items;
  bool operator==(const ToyTables&) const = default;
};

/// The two tables and the engine of one launch.
class ToyGame {
 public:
  ToyGame(const comm::Communicator& world, const ToySettings& settings)
      : communicator(world),
        layout{settings.shards, world.size()},
        users("user", settings.data.users, layout, world.rank(), {settings.dim, false, 0}, settings.optimizer),
        items("item", settings.data.items, layout, world.rank(), {settings.dim, settings.has_bias, 0},
              settings.optimizer),
        lists(settings.data.lists(users.first_row(), users.first_row() + users.rows())),
        settings_(settings) {
    users.initialize(settings.seed, 0, "normal", settings.init);
    items.initialize(settings.seed, 1, "normal", settings.init);
    game::PairwiseSetup setup;
    setup.communicator = &communicator;
    setup.layout = layout;
    setup.users = &users;
    setup.items = &items;
    setup.train = &lists;
    setup.total_positives = settings.data.positives();
    setup.batch_size = settings.batch_size;
    setup.seed = settings.seed;
    setup.l2 = settings.l2;
    setup.l2_batch_mean = settings.l2_batch_mean;
    setup.pipeline = settings.pipeline;
    setup.rate = settings.rate;
    setup.deadline_seconds = 60;
    engine = std::make_unique<game::PairwiseEngine>(setup);
    engine->set_adversary(settings.adversary ? &*settings.adversary : nullptr);
    engine->use_optimizer(settings.optimizer, 0);
  }

  /// Trains whole epochs; the losses of each, clean and perturbed, summed over the shards.
  std::vector<double> train(std::int64_t first_epoch, std::int64_t end_epoch) {
    std::vector<double> losses;
    for (std::int64_t epoch = first_epoch; epoch < end_epoch; ++epoch) {
      engine->begin_epoch(epoch, 0);
      while (engine->next_step() < engine->steps()) engine->step(0);
      engine->end_epoch();
      losses.push_back(comm::tree_sum(communicator, layout.shards, engine->losses(), 1).front());
      losses.push_back(comm::tree_sum(communicator, layout.shards, engine->second_losses(), 1).front());
    }
    return losses;
  }

  /// Both tables on every rank; collective.
  ToyTables tables() const { return {whole(users), whole(items)}; }

  const comm::Communicator& communicator;
  ShardLayout layout;
  table::Table users;
  table::Table items;
  data::UserLists lists;
  std::unique_ptr<game::PairwiseEngine> engine;

 private:
  std::vector<float> whole(const table::Table& t) const {
    const std::span<const float> mine(t.rows() == 0 ? nullptr : t.record(0),
                                      static_cast<std::size_t>(t.rows() * t.shape().record()));
    std::vector<float> all;
    for (const auto& part : communicator.allgather(std::as_bytes(mine))) {
      const std::size_t begin = all.size();
      all.resize(begin + part.size() / sizeof(float));
      if (!part.empty()) std::memcpy(all.data() + begin, part.data(), part.size());
    }
    return all;
  }

  ToySettings settings_;
};

struct ToyResult {
  ToyTables tables;
  std::vector<double> losses;
  bool operator==(const ToyResult&) const = default;
};

inline ToyResult play(const comm::Communicator& world, const ToySettings& settings, std::int64_t epochs,
                      int thread_count = 1) {
  set_threads(thread_count);
  ToyGame game(world, settings);
  ToyResult result;
  result.losses = game.train(0, epochs);
  result.tables = game.tables();
  set_threads(1);
  return result;
}

/// The largest difference of two tables, relative to numbers beyond one; huge where a number is not finite.
inline double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double most = a.size() == b.size() ? 0.0 : 1e300;
  for (std::size_t k = 0; k < std::min(a.size(), b.size()); ++k) {
    const double difference = std::abs(static_cast<double>(a[k]) - static_cast<double>(b[k])) /
                              std::max(1.0, std::abs(static_cast<double>(b[k])));
    most = difference <= most ? most : difference;
    if (difference != difference) return 1e300;
  }
  return most;
}

inline game::Adversary adversary_of(adversary::Scope scope, adversary::Method method = adversary::Method::fgm,
                                    adversary::Ball ball = adversary::Ball::row_l2, double epsilon = 0.5,
                                    double weight = 1.0) {
  game::Adversary a;
  a.perturbation = {method, ball, epsilon, 1e-6};
  a.scope = scope;
  a.weight = weight;
  return a;
}

}  // namespace spar::test
