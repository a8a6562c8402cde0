#pragma once
#include <functional>
#include <string>
#include <vector>

#include "spar/cli/option_set.hpp"
#include "spar/comm/communicator.hpp"

/// The verbs of the program, each in its own file src/cli/verb_<name>.cpp, and the table of them (src/cli/verbs.cpp).
namespace spar::cli {

/// What a verb does once its options are parsed; the result is the exit code, the same on every rank. Exactly one is
/// set.
struct Action {
  std::function<int()> alone;                              ///< on one process, without MPI
  std::function<int(const comm::Communicator&)> together;  ///< on every rank
};

struct Verb {
  std::string name;
  std::string sentence;               ///< what it does, one sentence without a final stop
  std::vector<std::string> examples;  ///< command lines
  std::string more;                   ///< further paragraphs for help and the man page; may be empty
  /// Declares the options and returns what runs after options.parse(); the returned action owns the bound variables.
  std::function<Action(OptionSet& options)> declare;
};

/// All verbs, in the order in which help lists them.
const std::vector<Verb>& all_verbs();
/// The verb of that name, or nullptr.
const Verb* find_verb(const std::string& name);

/// The declarations of a verb's options, --help included, for pages.
std::vector<OptionInfo> options_of(const Verb& verb);

}  // namespace spar::cli
