#include "retrieval.hpp"

#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::cli {

namespace {

void require_items_for_users(const systems::OpenRun& run) {
  if (!run.model.learns_from_posts()) return;
  throw UserError(fmt::format("--retrieve finds items for users; {} ranks tags for posts ({})", run.recipe.system(),
                              run.paths.directory));
}

}  // namespace

Retrieval::Retrieval(const comm::Communicator& communicator, const std::string& directory,
                     const std::string& checkpoint, const systems::OpenRun& ranked)
    : communicator_(&communicator), run_(systems::open_run(communicator, directory, checkpoint, ranked.layout.shards)) {
  if (run_.header.content != ranked.header.content) {
    throw UserError(
        fmt::format("--retrieve {}: it was trained on {} (content {}), {} on {} (content {}); both need the same data "
                    "set",
                    directory, run_.header.name, run_.header.content, ranked.paths.directory, ranked.header.name,
                    ranked.header.content));
  }
  require_items_for_users(ranked);
  require_items_for_users(run_);
  if (run_.model.network && run_.model.network->pair_function(*run_.model.dense) != nullptr) {
    throw UserError(
        fmt::format("--retrieve {}: the scores of {} are no inner products of vectors, which the first stage needs; "
                    "take a run of a system such as bpr-mf or gmf",
                    directory, run_.recipe.system()));
  }
  lists_ = systems::read_run_lists(communicator, *run_.file, run_.header, run_.model, false, false);
}

systems::Scoring Retrieval::scoring(const std::string& split, const std::vector<std::uint8_t>* chosen) const {
  evaluate::EvaluationLists lists = lists_.evaluation(split, false);
  lists.chosen_users = chosen;
  return run_.model.scoring(*communicator_, run_.layout.shards, lists);
}

}  // namespace spar::cli
