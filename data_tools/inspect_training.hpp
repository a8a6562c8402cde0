#pragma once
#include <string>
#include <vector>

#include "spar/base/settings.hpp"
#include "spar/game/trainer.hpp"
#include "spar/store/checkpoint.hpp"

/// What the inspections of a run and of a checkpoint say alike.
namespace spar::data_tools {

/// A checkpoint's manifest with its texts read.
struct OpenedCheckpoint {
  store::CheckpointManifest manifest;
  Recipe recipe;
  game::TrainingProgress progress;

  std::vector<std::string> stages() const;  ///< names, in order; empty where the system has none
  std::int64_t bytes() const;
};
/// UserError where the recipe or the progress is of another program.
OpenedCheckpoint open_checkpoint(store::CheckpointManifest manifest);

/// A line of the report: a title of 11 characters, or blanks below it.
std::string titled(const std::string& title, const std::string& text);

/// Settings that differ from the system's own: "train.epochs = 3, model.dim = 16".
std::string settings_phrase(const Recipe& recipe);
/// "epoch 3, step 12 of the next": how far.
std::string progress_phrase(const game::TrainingProgress& progress);
/// "bpr epoch 20 (ndcg@100 0.1042)" for each stage that has a best epoch; empty without one.
std::string best_phrase(const OpenedCheckpoint& checkpoint);
/// Lines of the tables with the shape of every field.
std::string table_lines(const OpenedCheckpoint& checkpoint);

/// Both are JSON objects as text, since headers leave the library of JSON alone.
std::string settings_json(const Recipe& recipe);
/// "epoch", "step", "stage", "finished", "best", "shards", "tables".
std::string training_json(const OpenedCheckpoint& checkpoint);

}  // namespace spar::data_tools
