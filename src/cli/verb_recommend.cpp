#include <memory>

#include "verb_list.hpp"

#include "spar/cli/run.hpp"

namespace spar::cli {

Verb recommend_verb() {
  Verb verb;
  verb.name = "recommend";
  verb.sentence = "Print the best items for users, or tags for posts, by original ids";
  verb.examples = {"spar recommend runs/apr-ml-100k --users 196,186 --top 10",
                   "spar recommend runs/apr-ml-100k --users-from users.txt --format jsonl",
                   "spar recommend runs/atf-lastfm --users 2,4 --items 52"};
  verb.declare = [](OptionSet& set) {
    auto options = std::make_shared<RecommendOptions>();
    declare(set, *options);
    return Action{{},
                  [options](const comm::Communicator& communicator) { return run_recommend(communicator, *options); }};
  };
  return verb;
}

}  // namespace spar::cli
