#include <memory>

#include "verb_list.hpp"

#include "spar/cli/run.hpp"

namespace spar::cli {

Verb train_verb() {
  Verb verb;
  verb.name = "train";
  verb.sentence = "Train a system on a data set; the same command goes on where a run stopped";
  verb.examples = {"spar train apr --data ml-100k.h5",
                   "mpirun -n 4 spar train recipe.toml --data d.h5 --run runs/a --set train.seed=2",
                   "spar train bpr-mf --data d.h5 --dry-run"};
  verb.declare = [](OptionSet& set) {
    auto options = std::make_shared<TrainOptions>();
    declare(set, *options);
    return Action{{}, [options](const comm::Communicator& communicator) { return run_train(communicator, *options); }};
  };
  return verb;
}

}  // namespace spar::cli
