#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "verb_list.hpp"

#include "data_tools/inspect.hpp"
#include "spar/base/error.hpp"
#include "spar/cli/options.hpp"

namespace spar::cli {

Verb inspect_verb() {
  Verb verb;
  verb.name = "inspect";
  verb.sentence = "Show what a data set, a run or a checkpoint holds, and verify its checksums";
  verb.examples = {"spar inspect ml-100k.h5 --json", "spar inspect runs/apr-ml-100k",
                   "spar inspect runs/apr-ml-100k/checkpoints/epoch-000020-step-000000"};
  verb.declare = [](OptionSet& set) {
    auto options = std::make_shared<InspectOptions>();
    declare(set, *options);
    return Action{[options] {
                    std::vector<std::string> damage;
                    const std::string text = data_tools::inspect(options->path, options->json, &damage);
                    std::fputs(text.c_str(), stdout);
                    std::fflush(stdout);
                    // After all that can be shown, scripts learn of the damage by the exit code.
                    if (!damage.empty()) throw UserError(damage.front());
                    return 0;
                  },
                  {}};
  };
  return verb;
}

}  // namespace spar::cli
