#include "spar/systems/teacher.hpp"

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/systems/run_directory.hpp"

namespace spar::systems {

namespace {

void check(const OpenRun& run, const Recipe& recipe, const data::DatasetHeader& header, const std::string& folder) {
  if (run.recipe.system() != recipe.system())
    throw UserError(fmt::format("teacher.run = \"{}\" is a run of {}, but {} takes a teacher of its own kind", folder,
                                run.recipe.system(), recipe.system()));
  if (!run.recipe.text("teacher.run").empty())
    throw UserError(fmt::format("teacher.run = \"{}\" is a student itself: name its teacher, {}", folder,
                                run.recipe.text("teacher.run")));
  if (run.header.content != header.content)
    throw UserError(fmt::format("teacher.run = \"{}\" was trained on other data (content {}, this file's {})", folder,
                                run.header.content, header.content));
  if (run.recipe.integers("network.layers") != recipe.integers("network.layers") ||
      run.recipe.real("profile.power") != recipe.real("profile.power"))
    throw UserError(fmt::format(
        "teacher.run = \"{}\" has another form: network.layers and profile.power must be those of the student",
        folder));
}

}  // namespace

void load_teacher(const comm::Communicator& communicator, const Recipe& recipe, const data::DatasetHeader& header,
                  FactorModel& model) {
  if (!recipe.has("teacher.run") || recipe.text("teacher.run").empty()) return;
  const std::string folder = recipe.text("teacher.run");
  const OpenRun run = open_run(communicator, folder, "best");
  comm::agree(communicator, [&] { check(run, recipe, header, folder); });
  const std::string prefix = "dense.teacher.";
  std::vector<store::TableRows> rows;
  for (table::Table* table : model.tables()) {
    store::TableRows part = table->stored(false);
    const int columns = table->shape().dim / 2;
    part.fields = {{"vector", columns, columns}};
    rows.push_back(std::move(part));
  }
  for (store::TableRows& part : model.dense->stored(false)) {
    if (!part.name.starts_with(prefix)) continue;
    part.name = "dense." + part.name.substr(prefix.size());
    rows.push_back(std::move(part));
  }
  store::load_checkpoint(communicator, run.checkpoint, rows, nullptr);
  model.complete(communicator);
}

}  // namespace spar::systems
