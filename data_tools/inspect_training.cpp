#include "data_tools/inspect_training.hpp"

#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "spar/base/progress.hpp"
#include "spar/systems/factor_model.hpp"
#include "spar/systems/system.hpp"

namespace spar::data_tools {

namespace {

Recipe recipe_of(const store::CheckpointManifest& manifest) {
  const auto settings = [](const std::string& name) {
    const systems::SystemInfo* system = systems::find_system(name);
    return system == nullptr ? nullptr : &system->settings;
  };
  return parse_recipe(manifest.info.recipe, manifest.path + "/manifest.json", {}, settings, systems::system_names());
}

nlohmann::ordered_json tables_json(const store::CheckpointManifest& manifest) {
  nlohmann::ordered_json tables = nlohmann::ordered_json::array();
  for (const auto& table : manifest.tables) {
    nlohmann::ordered_json fields = nlohmann::ordered_json::array();
    for (const store::Field& field : table.fields)
      fields.push_back({{"name", field.name}, {"shape", {table.rows, field.columns}}});
    tables.push_back({{"name", table.name}, {"rows", table.rows}, {"fields", fields}});
  }
  return tables;
}

std::string dumped(const nlohmann::ordered_json& object) {
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

std::vector<std::string> OpenedCheckpoint::stages() const {
  std::vector<std::string> names;
  if (recipe.has("train.epochs"))
    for (const game::Stage& stage : systems::plan_of(recipe).stages) names.push_back(stage.name);
  return names;
}

std::int64_t OpenedCheckpoint::bytes() const {
  std::int64_t sum = 0;
  for (const auto& file : manifest.files) sum += file.bytes;
  return sum;
}

OpenedCheckpoint open_checkpoint(store::CheckpointManifest manifest) {
  Recipe recipe = recipe_of(manifest);
  auto progress = game::TrainingProgress::parse(manifest.info.progress);
  return {std::move(manifest), std::move(recipe), std::move(progress)};
}

std::string titled(const std::string& title, const std::string& text) {
  return fmt::format("{:<11} {}\n", title, text);
}

std::string settings_phrase(const Recipe& recipe) {
  const Recipe usual = systems::load_recipe(recipe.system(), {});
  std::vector<std::string> changed;
  for (const Setting& setting : all_settings()) {
    if (!recipe.has(setting.key) || !recipe.is_effective(setting)) continue;
    const std::string text = setting_text(recipe.value(setting.key));
    // What the defaults leave open was resolved; the layout tells it.
    if (usual.has(setting.key) && (usual.is_auto(setting.key) || setting_text(usual.value(setting.key)) == text))
      continue;
    changed.push_back(fmt::format("{} = {}", setting.key, text));
  }
  return changed.empty() ? "the defaults" : fmt::format("{}; else the defaults", fmt::join(changed, ", "));
}

std::string progress_phrase(const game::TrainingProgress& progress) {
  return progress.step == 0 ? fmt::format("epoch {}", progress.epoch)
                            : fmt::format("epoch {} and {} steps", progress.epoch, with_commas(progress.step));
}

std::string best_phrase(const OpenedCheckpoint& checkpoint) {
  const std::vector<std::string> stages = checkpoint.stages();
  std::vector<std::string> found;
  for (std::size_t k = 0; k < checkpoint.progress.best.size() && k < stages.size(); ++k) {
    const auto& best = checkpoint.progress.best[k];
    if (best.epoch >= 0)
      found.push_back(fmt::format("{} epoch {} ({} {:.4f})", stages[k], best.epoch,
                                  checkpoint.recipe.text("evaluate.select_by"), best.value));
  }
  return fmt::format("{}", fmt::join(found, ", "));
}

std::string table_lines(const OpenedCheckpoint& checkpoint) {
  std::string lines;
  for (const auto& table : checkpoint.manifest.tables) {
    std::vector<std::string> fields;
    for (const store::Field& field : table.fields) fields.push_back(fmt::format("{} {}", field.name, field.columns));
    lines += titled(lines.empty() ? "tables" : "",
                    fmt::format("{}: {} rows of {}", table.name, with_commas(table.rows), fmt::join(fields, ", ")));
  }
  for (const auto& pending : checkpoint.manifest.pending)
    lines += titled("", fmt::format("{}: gradients of {} columns that wait", pending.table, pending.columns));
  return lines;
}

std::string settings_json(const Recipe& recipe) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const Setting& setting : all_settings()) {
    if (!recipe.has(setting.key) || !recipe.is_effective(setting)) continue;
    std::visit([&](const auto& value) { object[setting.key] = value; }, recipe.value(setting.key));
  }
  return dumped(object);
}

std::string training_json(const OpenedCheckpoint& checkpoint) {
  nlohmann::ordered_json object;
  const game::TrainingProgress& progress = checkpoint.progress;
  const std::vector<std::string> stages = checkpoint.stages();
  const auto stage_name = [&](std::size_t k) { return k < stages.size() ? stages[k] : std::string(); };
  object["epoch"] = progress.epoch;
  object["step"] = progress.step;
  object["stage"] = stage_name(static_cast<std::size_t>(progress.stage));
  object["finished"] = progress.finished;
  object["best"] = nlohmann::ordered_json::array();
  for (std::size_t k = 0; k < progress.best.size(); ++k) {
    const auto& best = progress.best[k];
    if (best.epoch < 0) continue;
    object["best"].push_back(
        {{"stage", stage_name(k)}, {"epoch", best.epoch}, {"value", best.value}, {"checkpoint", best.checkpoint}});
  }
  object["shards"] = checkpoint.manifest.shards;
  object["tables"] = tables_json(checkpoint.manifest);
  return dumped(object);
}

}  // namespace spar::data_tools
