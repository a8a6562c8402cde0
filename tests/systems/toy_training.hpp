#pragma once
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "game/toy_game.hpp"

#include "spar/base/threads.hpp"
#include "spar/systems/factor_model.hpp"
#include "spar/systems/system.hpp"

/// Trains factor models and networks over users and items on toy interactions, on any communicator.
namespace spar::test {

/// All numbers of a table, padding and state included, on every rank.
inline std::vector<float> whole_table(const comm::Communicator& communicator, const table::Table& table) {
  const std::span<const float> mine(table.rows() == 0 ? nullptr : table.record(0),
                                    static_cast<std::size_t>(table.rows() * table.shape().record()));
  std::vector<float> all;
  for (const auto& part : communicator.allgather(std::as_bytes(mine))) {
    const std::size_t begin = all.size();
    all.resize(begin + part.size() / sizeof(float));
    if (!part.empty()) std::memcpy(all.data() + begin, part.data(), part.size());
  }
  return all;
}

struct TrainedToy {
  std::vector<float> users;
  std::vector<float> items;
  std::vector<double> losses;
  std::int64_t skipped = 0;
  int user_record = 0;  ///< numbers from row to row
  int item_record = 0;
  bool operator==(const TrainedToy&) const = default;

  const float* user(Index k) const { return users.data() + k * user_record; }
  const float* item(Index k) const { return items.data() + k * item_record; }
};

/// What stands in the tables before the first step, where it is not the random start.
using Start = std::function<void(systems::FactorModel&)>;

/// `words`: the system, then overrides. Trains the last stage for `epochs`.
inline TrainedToy train_toy(const comm::Communicator& communicator, std::vector<std::string> words, std::int64_t epochs,
                            const ToyData& toy = {}, const Start& start = {}, int thread_count = 1) {
  set_threads(thread_count);
  const std::string system = words.front();
  words.erase(words.begin());
  Recipe recipe = systems::load_recipe(system, words);
  const ShardLayout layout{systems::resolve_shards(recipe), communicator.size()};
  data::DatasetHeader header;
  header.users = toy.users;
  header.items = toy.items;
  header.counts[0] = toy.positives();
  auto model = systems::make_model(communicator, layout, header, recipe, true);
  if (start) start(model);
  const auto lists = toy.lists(model.users->first_row(), model.users->first_row() + model.users->rows());
  const auto plan = systems::plan_of(recipe);
  TrainedToy trained;
  {
    const auto engine = systems::make_engine(communicator, layout, header, recipe, model, lists);
    engine->use_optimizer(plan.optimizer, 0);
    engine->begin_stage(plan.stages.back());
    for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
      engine->begin_epoch(epoch, 0, {});
      while (engine->next_step() < engine->steps()) engine->step(0);
      engine->end_epoch();
      for (auto* losses : {&engine->losses(), &engine->second_losses()})
        trained.losses.push_back(comm::tree_sum(communicator, layout.shards, *losses, 1).front());
      trained.skipped += communicator.sum(engine->skipped());
    }
  }
  trained.users = whole_table(communicator, *model.users);
  trained.items = whole_table(communicator, *model.items);
  trained.user_record = static_cast<int>(model.users->shape().record());
  trained.item_record = static_cast<int>(model.items->shape().record());
  set_threads(1);
  return trained;
}

inline std::vector<std::string> joined(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace spar::test
