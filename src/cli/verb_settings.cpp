#include <cstdio>
#include <memory>

#include "verb_list.hpp"

#include "spar/cli/pages.hpp"

namespace spar::cli {

Verb settings_verb() {
  struct Options {
    std::vector<std::string> keys;
    bool markdown = false;
  };
  Verb verb;
  verb.name = "settings";
  verb.sentence = "Explain the settings of recipes: all, one table, or one key";
  verb.examples = {"spar settings", "spar settings adversary", "spar settings parallel.shards"};
  verb.declare = [](OptionSet& set) {
    auto options = std::make_shared<Options>();
    set.arguments("KEY", options->keys, "Settings or tables", Need::optional);
    set.flag("--markdown", options->markdown, "Print the reference page docs/settings.md");
    return Action{[options] {
                    std::fputs((options->markdown ? settings_page() : settings_list(options->keys)).c_str(), stdout);
                    return 0;
                  },
                  {}};
  };
  return verb;
}

}  // namespace spar::cli
