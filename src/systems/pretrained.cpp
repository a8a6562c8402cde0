#include "spar/systems/pretrained.hpp"

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/systems/run_directory.hpp"

namespace spar::systems {

namespace {

// Which part of neumf a run of its own system is.
struct Part {
  const char* key;
  const char* system;
  std::vector<const char*> form;  // settings that must agree
};

const Part product{"pretrained.gmf", "gmf", {"model.dim"}};
const Part perceptron{"pretrained.mlp", "mlp", {"network.layers", "network.batch_norm"}};

void check(const OpenRun& run, const Part& part, const Recipe& recipe, const data::DatasetHeader& header) {
  const std::string named = fmt::format("{} = \"{}\"", part.key, run.paths.directory);
  if (run.recipe.system() != part.system)
    throw UserError(
        fmt::format("{} is a run of {}: a run of {} belongs there", named, run.recipe.system(), part.system));
  if (run.header.content != header.content)
    throw UserError(fmt::format("{} was trained on other data (content {}, this file's {})", named, run.header.content,
                                header.content));
  for (const char* key : part.form) {
    if (run.recipe.value(key) != recipe.value(key))
      throw UserError(fmt::format("{} has {} = {}, this recipe {}: they must agree", named, key,
                                  setting_text(run.recipe.value(key)), setting_text(recipe.value(key))));
  }
}

OpenRun open_part(const comm::Communicator& communicator, const Part& part, const Recipe& recipe,
                  const data::DatasetHeader& header) {
  OpenRun run = open_run(communicator, recipe.text(part.key), "best");
  comm::agree(communicator, [&] { check(run, part, recipe, header); });
  return run;
}

// The part's vectors, which are the columns from `offset` on, and what `dense` names of its dense parameters.
void load_part(const comm::Communicator& communicator, const OpenRun& run, int offset, const std::string& dense,
               FactorModel& model) {
  const int columns = run.model.users->shape().dim;
  std::vector<store::TableRows> rows;
  for (table::Table* table : model.tables()) {
    store::TableRows part = table->stored(false);
    part.fields = {{"vector", columns, offset}};
    rows.push_back(std::move(part));
  }
  for (store::TableRows& part : model.dense->stored(false)) {
    if (!dense.empty() && part.name.starts_with("dense." + dense)) rows.push_back(std::move(part));
  }
  store::load_checkpoint(communicator, run.checkpoint, rows, nullptr);
}

// Every rank holds all dense parameters, so each of them joins the outputs by itself.
void join_outputs(const OpenRun& run, int first_row, float share, table::DenseParameters& dense) {
  const table::DenseParameters& from = *run.model.dense;
  const table::Table& weights = from.table(from.find("output.weights"));
  for (Index row = 0; row < weights.rows(); ++row)
    dense.table(dense.find("output.weights")).record(first_row + row)[0] = share * weights.record(row)[0];
  dense.table(dense.find("output.bias")).record(0)[0] += share * from.table(from.find("output.bias")).record(0)[0];
}

}  // namespace

void load_pretrained(const comm::Communicator& communicator, const Recipe& recipe, const data::DatasetHeader& header,
                     FactorModel& model) {
  if (!recipe.has(product.key)) return;
  if (recipe.text(product.key).empty() && recipe.text(perceptron.key).empty()) return;
  comm::agree(communicator, [&] {
    for (const Part* part : {&product, &perceptron}) {
      if (recipe.text(part->key).empty())
        throw UserError(fmt::format("pretrained.gmf and pretrained.mlp belong together: name a run of {} with {}",
                                    part->system, part->key));
    }
  });
  const OpenRun gmf = open_part(communicator, product, recipe, header);
  const OpenRun mlp = open_part(communicator, perceptron, recipe, header);
  const int factors = gmf.model.users->shape().dim;
  load_part(communicator, gmf, 0, "", model);
  load_part(communicator, mlp, factors, "mlp.", model);
  model.complete(communicator);
  const auto share = static_cast<float>(recipe.real("pretrained.share"));
  model.dense->table(model.dense->find("output.bias")).record(0)[0] = 0.0F;
  join_outputs(gmf, 0, share, *model.dense);
  join_outputs(mlp, factors, 1.0F - share, *model.dense);
}

}  // namespace spar::systems
