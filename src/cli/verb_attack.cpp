#include <memory>

#include "verb_list.hpp"

#include "spar/cli/run.hpp"

namespace spar::cli {

Verb attack_verb() {
  Verb verb;
  verb.name = "attack";
  verb.sentence = "Perturb what runs have learnt or read and print their metrics against the size of the perturbation";
  verb.examples = {"spar attack runs/bpr-mf-ml-100k --method fgm --epsilon 0.5,1,2",
                   "mpirun -n 4 spar attack runs/apr-ml-100k --method pgd --steps 25 --ball row_l2 --json",
                   "spar attack runs/amr-women --taps item_features --epsilon 0.05,0.1,0.2",
                   "spar attack runs/amr-women --method cw --top 20",
                   "spar attack runs/fncf-ml-100k --method cw --goal label --max-changes 20"};
  verb.declare = [](OptionSet& set) {
    auto options = std::make_shared<AttackOptions>();
    declare(set, *options);
    return Action{{}, [options](const comm::Communicator& communicator) { return run_attack(communicator, *options); }};
  };
  return verb;
}

}  // namespace spar::cli
