#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "verb_list.hpp"
#include <fmt/format.h>

#include "data_tools/synth.hpp"
#include "spar/base/progress.hpp"
#include "spar/base/threads.hpp"
#include "spar/data/dataset_file.hpp"

namespace spar::cli {

namespace {

struct Options {
  data_tools::SynthOptions synth;
  std::vector<std::string> attributes;
  int threads = 0;
};

int run(const comm::Communicator& communicator, Options options) {
  for (const std::string& text : options.attributes)
    options.synth.attributes.push_back(data_tools::parse_planted_attribute(text));
  set_threads(options.threads > 0 ? options.threads : available_processors());
  const std::vector<std::string> notes = data_tools::synth(communicator, options.synth);
  if (!communicator.is_root()) return 0;
  for (const std::string& note : notes) fmt::print("note: {}\n", note);
  const data::DatasetHeader header = data::read_header(data::open_dataset(options.synth.to));
  fmt::print("{}: {} users, {} items, {} train / {} validation / {} test\n", options.synth.to,
             with_commas(header.users), with_commas(header.items), with_commas(header.counts[0]),
             with_commas(header.counts[1]), with_commas(header.counts[2]));
  return 0;
}

}  // namespace

Verb synth_verb() {
  Verb verb;
  verb.name = "synth";
  verb.sentence = "Make a synthetic catalogue of any size, with planted taste and power-law popularity";
  verb.more = "The bytes of the file depend on the options only, not on ranks or threads.";
  verb.examples = {"spar synth --to try.h5",
                   "spar synth --item-features 64 --cold-items 0.1 --user-attribute gender:2:0.8 --to try.h5",
                   "mpirun -n 8 spar synth --users 10000000 --items 1000000 --interactions 100000000 --to big.h5"};
  verb.declare = [](OptionSet& set) {
    auto options = std::make_shared<Options>();
    data_tools::SynthOptions& synth = options->synth;
    set.text("--to", "FILE", synth.to, "The data set to write", Need::required);
    set.integer("--users", "N", synth.users, at_least(1), "Users");
    set.integer("--items", "M", synth.items, at_least(1), "Items");
    set.integer("--interactions", "K", synth.interactions, at_least(1), "Interactions, of all parts together");
    set.integer("--factors", "N", synth.factors, {1, 64},
                "Hidden factors of the planted taste; fewer are easier to learn");
    set.real("--affinity", "X", synth.affinity, {0, 1e6}, "Weight of taste beside popularity; 0: popularity alone");
    set.real("--popularity-exponent", "X", synth.popularity_exponent, {0, 1e6},
             "How fast the popularity of items falls");
    set.real("--activity-exponent", "X", synth.activity_exponent, {0, 1e6}, "How fast the activity of users falls");
    set.choice("--split", {"leave-one-out", "ratio", "none"}, synth.split,
               "How the test and validation parts are made");
    set.real("--test-share", "X", synth.test_share, {0, 1}, "ratio: share of a user's interactions in the test part");
    set.real("--validation-share", "X", synth.validation_share, {0, 1},
             "ratio: share of a user's interactions in the validation part");
    set.integer("--item-features", "WIDTH", synth.feature_width, {0, 65536},
                "Dense features of items that tell of taste: so many numbers; 0: none");
    set.real("--cold-items", "SHARE", synth.cold_items, {0, 0.9}, "Share of items that occur in the test part only");
    set.repeated("--user-attribute", "NAME:CATEGORIES:STRENGTH", options->attributes,
                 "An attribute of users; strength: from 0, independent of taste, to 1, determined by it");
    set.integer("--tags", "N", synth.tags, at_least(0), "Tags that users give to items; 0: none");
    set.real("--friends", "MEAN", synth.friends, {0, 10000}, "Friends of a user, of like taste; 0: none");
    set.seed("--seed", synth.seed, "Fixes the catalogue");
    set.text("--name", "NAME", synth.name, "Name of the data set; default: that of the file");
    set.integer("--threads", "N", options->threads, {0, 4096},
                "Threads of each rank; 0: all processors that it may use");
    return Action{{}, [options](const comm::Communicator& communicator) { return run(communicator, *options); }};
  };
  return verb;
}

}  // namespace spar::cli
