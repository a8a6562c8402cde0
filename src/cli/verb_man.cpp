#include <cstdio>

#include "verb_list.hpp"

#include "spar/cli/pages.hpp"

namespace spar::cli {

Verb man_verb() {
  Verb verb;
  verb.name = "man";
  verb.sentence = "Print the manual page spar(1)";
  verb.examples = {"spar man | man -l -", "spar man > /usr/local/share/man/man1/spar.1"};
  verb.declare = [](OptionSet&) {
    return Action{[] {
                    std::fputs(man_page().c_str(), stdout);
                    return 0;
                  },
                  {}};
  };
  return verb;
}

}  // namespace spar::cli
