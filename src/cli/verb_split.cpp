#include <cstdio>
#include <memory>

#include "split_options.hpp"
#include "verb_list.hpp"

#include "data_tools/import.hpp"

namespace spar::cli {

namespace {

struct Options {
  data_tools::SplitOptions split;
  SplitWords words;
  bool json = false;
};

int run(Options options) {
  options.words.apply(options.split.rules);
  const data_tools::ImportReport report = data_tools::split_dataset(options.split);
  std::fputs((options.json ? report.json() + "\n" : report.text()).c_str(), stdout);
  return 0;
}

}  // namespace

Verb split_verb() {
  Verb verb;
  verb.name = "split";
  verb.sentence = "Make another split of the interactions of a data set";
  verb.examples = {"spar split d.h5 --validation leave-one-out --to d2.h5",
                   "spar split d.h5 --split ratio --test-ratio 0.1 --to d3.h5",
                   "spar split d.h5 --split leave-one-out --candidates 100 --to sampled.h5",
                   "spar split d.h5 --held-out-users 10000,10000 --fold-in 0.8 --to d4.h5"};
  verb.declare = [](OptionSet& set) {
    auto options = std::make_shared<Options>();
    set.argument("FILE", options->split.from, "A data set");
    set.text("--to", "FILE", options->split.to, "The data set to write", Need::required);
    declare_split(set, options->words, options->split.rules);
    set.text("--name", "NAME", options->split.name, "Name of the new data set; default: that of the file");
    set.integer("--threads", "N", options->split.threads, {0, 4096}, "Threads; 0: all processors that it may use");
    set.flag("--json", options->json, "Print the report as one JSON object");
    return Action{[options] { return run(*options); }, {}};
  };
  return verb;
}

}  // namespace spar::cli
