#include <memory>

#include "verb_list.hpp"

#include "spar/cli/run.hpp"

namespace spar::cli {

Verb plan_verb() {
  Verb verb;
  verb.name = "plan";
  verb.sentence = "Say what a training would need: memory of each rank, traffic, disk, time, and the lines for Slurm";
  verb.examples = {"spar plan apr --data big.h5 --ranks 32",
                   "spar plan apr --data big.h5 --ranks 32 --threads 4 --json"};
  verb.declare = [](OptionSet& set) {
    auto options = std::make_shared<PlanOptions>();
    declare(set, *options);
    return Action{{}, [options](const comm::Communicator& communicator) { return run_plan(communicator, *options); }};
  };
  return verb;
}

}  // namespace spar::cli
