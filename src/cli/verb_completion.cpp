#include <cstdio>
#include <memory>

#include "verb_list.hpp"

#include "spar/cli/pages.hpp"

namespace spar::cli {

Verb completion_verb() {
  Verb verb;
  verb.name = "completion";
  verb.sentence = "Print a completion script for a shell";
  verb.examples = {"source <(spar completion bash)", "spar completion fish > ~/.config/fish/completions/spar.fish"};
  verb.declare = [](OptionSet& set) {
    auto shell = std::make_shared<std::string>();
    set.argument_choice("SHELL", completion_shells(), *shell, "The shell");
    return Action{[shell] {
                    std::fputs(completion_script(*shell).c_str(), stdout);
                    return 0;
                  },
                  {}};
  };
  return verb;
}

}  // namespace spar::cli
