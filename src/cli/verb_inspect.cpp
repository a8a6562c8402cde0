#include <cstdio>
#include <memory>

#include "verb_list.hpp"

#include "data_tools/inspect.hpp"
#include "spar/cli/options.hpp"

namespace spar::cli {

Verb inspect_verb() {
  Verb verb;
  verb.name = "inspect";
  verb.sentence = "Show what a file holds and verify its checksums";
  verb.examples = {"spar inspect ml-100k.h5", "spar inspect ml-100k.h5 --json"};
  verb.declare = [](OptionSet& set) {
    auto options = std::make_shared<InspectOptions>();
    declare(set, *options);
    return Action{[options] {
                    std::string text = data_tools::inspect(options->path, options->json);
                    if (!text.ends_with('\n')) text += '\n';
                    std::fputs(text.c_str(), stdout);
                    return 0;
                  },
                  {}};
  };
  return verb;
}

}  // namespace spar::cli
