#include <memory>

#include "verb_list.hpp"

#include "spar/cli/run.hpp"

namespace spar::cli {

Verb export_verb() {
  Verb verb;
  verb.name = "export";
  verb.sentence = "Write the vectors, ids and score formula of a run for other programs";
  verb.examples = {"spar export runs/apr-ml-100k --to vectors", "spar export runs/apr-ml-100k --to vectors --fold-bias",
                   "spar export runs/mult-vae-ml-100k --to vectors"};
  verb.declare = [](OptionSet& set) {
    auto options = std::make_shared<ExportOptions>();
    declare(set, *options);
    return Action{{}, [options](const comm::Communicator& communicator) { return run_export(communicator, *options); }};
  };
  return verb;
}

}  // namespace spar::cli
