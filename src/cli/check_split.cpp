#include "check_split.hpp"

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/systems/posts.hpp"

namespace spar::cli {

void check_split(const systems::OpenRun& run, const std::string& split) {
  const data::Part part = split == "test" ? data::Part::test : data::Part::validation;
  if (systems::targets_of(run.recipe, run.header, part) > 0) return;
  if (run.model.learns_from_posts())
    throw UserError(fmt::format("{}: {} has no {} posts to judge by; spar import --tags-split leave-one-out makes some",
                                run.paths.directory, run.header.path, split));
  throw UserError(
      fmt::format("{0}: {1} has no {2} interactions to judge by; --split {3} may have, or spar split {1} makes some",
                  run.paths.directory, run.header.path, split, split == "test" ? "validation" : "test"));
}

}  // namespace spar::cli
