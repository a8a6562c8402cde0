#include <memory>

#include "verb_list.hpp"

#include "spar/cli/run.hpp"

namespace spar::cli {

Verb probe_verb() {
  Verb verb;
  verb.name = "probe";
  verb.sentence = "Learn private attributes of users from the vectors of runs, and print how often that succeeds";
  verb.more =
      "Fresh classifiers learn from the vectors of some users and are judged on others; what a blind guess reaches "
      "stands beside (majority, 1 / values, 0.5).";
  verb.examples = {"spar probe runs/pat-ml-100k",
                   "mpirun -n 4 spar probe runs/bpr-mf-ml-100k runs/pat-ml-100k --attributes gender,age --json"};
  verb.declare = [](OptionSet& set) {
    auto options = std::make_shared<ProbeOptions>();
    declare(set, *options);
    return Action{{}, [options](const comm::Communicator& communicator) { return run_probe(communicator, *options); }};
  };
  return verb;
}

}  // namespace spar::cli
