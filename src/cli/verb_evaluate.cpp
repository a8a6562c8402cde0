#include <memory>

#include "verb_list.hpp"

#include "spar/cli/run.hpp"

namespace spar::cli {

Verb evaluate_verb() {
  Verb verb;
  verb.name = "evaluate";
  verb.sentence = "Rank all items for every user and print the metrics of one run, or compare several";
  verb.examples = {"spar evaluate runs/apr-ml-100k",
                   "mpirun -n 4 spar evaluate runs/bpr-mf-ml-100k runs/apr-ml-100k --cutoffs 10,50",
                   "spar evaluate runs/neumf-ml-1m --retrieve runs/bpr-mf-ml-1m --candidates 200",
                   "spar evaluate runs/apr-seed-* --group seed --json"};
  verb.declare = [](OptionSet& set) {
    auto options = std::make_shared<EvaluateOptions>();
    declare(set, *options);
    return Action{{},
                  [options](const comm::Communicator& communicator) { return run_evaluate(communicator, *options); }};
  };
  return verb;
}

}  // namespace spar::cli
