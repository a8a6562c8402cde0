#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "support/sentence.hpp"
#include "support/shared_folder.hpp"
#include "toy_game.hpp"

#include "spar/base/signals.hpp"
#include "spar/store/checkpoint.hpp"

/// Trainings of the small game that stop, resume and are judged by a script.
namespace spar::test {

struct ToyPlan {
  std::vector<game::Stage> stages{{"bpr", 2, std::nullopt}};
  bool start_from_best = true;
  std::int64_t validate_every = 0;
  std::int64_t patience = 0;
  std::int64_t checkpoint_every = 0;
  bool checkpoint_every_step = false;
  int kept = 2;
  /// Ask for a stop after so many checkpoints; 0: never.
  int stop_after_saves = 0;
  /// The value of each validation, by epoch.
  std::function<double(std::int64_t epoch)> score;
};

/// What a training told.
struct Told {
  game::Outcome outcome = game::Outcome::done;
  std::string error;
  int error_code = 0;
  std::vector<std::string> events;
  std::vector<game::EpochReport> epochs;
  std::map<std::string, ToyTables> at_stage;        ///< values as a stage began
  std::map<std::int64_t, ToyTables> at_validation;  ///< and as an epoch was judged
  game::TrainingProgress progress;
  ToyTables tables;
};

inline std::vector<float> values_only(const std::vector<float>& table, const table::RowShape& shape) {
  std::vector<float> values;
  for (std::size_t at = 0; at < table.size(); at += static_cast<std::size_t>(shape.record()))
    values.insert(values.end(), table.begin() + static_cast<std::ptrdiff_t>(at),
                  table.begin() + static_cast<std::ptrdiff_t>(at) + shape.width());
  return values;
}

inline ToyTables values_of(const ToyGame& game) {
  const ToyTables all = game.tables();
  return {values_only(all.users, game.users.shape()), values_only(all.items, game.items.shape())};
}

/// Trains in `folder`, from its newest checkpoint where it has one; collective over `world`.
inline Told train(const comm::Communicator& world, const ToySettings& settings, const ToyPlan& toy,
                  const std::string& folder, bool look_inside = false) {
  forget_stop_request();
  ToyGame game(world, settings);
  game::TrainingPlan plan;
  plan.stages = toy.stages;
  plan.optimizer = settings.optimizer;
  plan.start_from_best = toy.start_from_best;
  plan.validate_every_epochs = toy.validate_every;
  for (game::Stage& stage : plan.stages) stage.patience = std::max(stage.patience, toy.patience);
  plan.checkpoint_every_epochs = toy.checkpoint_every;
  plan.checkpoint_every_minutes = toy.checkpoint_every_step ? 1e-12 : 0;
  plan.checkpoints_kept = toy.kept;
  game::RunPlace place{folder, "0123456789abcdef", [] { return true; }, "system = \"bpr-mf\"\n", "toy\n"};

  Told told;
  int saves = 0;
  game::TrainingHooks hooks;
  hooks.validate = [&](std::int64_t epoch, const std::string&) {
    if (look_inside) told.at_validation[epoch] = values_of(game);
    return toy.score ? toy.score(epoch) : 0.0;
  };
  hooks.validated = [&](std::int64_t epoch, const std::string& stage, double, bool best) {
    told.events.push_back(stage + " " + std::to_string(epoch) + (best ? " best" : " no gain"));
  };
  hooks.epoch_done = [&](const game::EpochReport& report) { told.epochs.push_back(report); };
  hooks.saved = [&](std::int64_t, const store::SaveReport&) {
    if (++saves == toy.stop_after_saves) request_stop();
  };
  hooks.stage_begins = [&](const game::Stage& stage) {
    told.events.push_back("begin " + stage.name);
    if (look_inside) told.at_stage[stage.name] = values_of(game);
  };
  hooks.stopped_early = [&](const game::Stage& stage, std::int64_t best) {
    told.events.push_back("stop " + stage.name + ", best " + std::to_string(best));
  };
  game::Trainer trainer(world, *game.engine, {&game.users, &game.items}, nullptr, game.layout, plan, place, hooks);
  try {
    const auto point = game::find_resume_point(world, folder, nullptr);
    if (point) trainer.resume(*point);
    told.outcome = trainer.run();
  } catch (const comm::AgreedError& error) {
    told.error = error.what();
    told.error_code = static_cast<int>(error.code());
  }
  told.progress = trainer.progress();
  told.tables = game.tables();
  forget_stop_request();
  return told;
}

/// The names of the checkpoints in a folder, oldest first.
inline std::vector<std::string> checkpoints_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

/// Runs `action` on rank 0, alone, while the others wait.
inline void at_root(const comm::Communicator& world,
                    const std::function<void(const comm::Communicator& alone)>& action) {
  const auto alone = comm::Communicator::alone();
  if (world.is_root()) action(alone);
  world.barrier();
}

}  // namespace spar::test
