#pragma once
#include <string>
#include <vector>

#include "spar/cli/verb.hpp"

/// The program: finds the verb, parses its options, starts MPI where the verb needs it, and lets all ranks leave
/// together.
namespace spar::cli {

/// main(): the exit code (base/error.hpp). Errors are printed once as "spar: error: <sentence>" on stderr.
int run_program(int& argc, char**& argv);

/// What a command line asks for: an action, or a page to print.
struct Command {
  Action action;
  std::string page;  ///< printed to stdout when there is no action
};

/// Reads the words after the program's name. UserError: no such verb (nearest name), wrong options.
Command read_command(const std::vector<std::string>& words);

/// Runs `action` on every rank and brings all of them to the same exit code: errors that all ranks share are printed
/// once; one that a single rank has ends all ranks.
int run_together(const comm::Communicator& communicator, const std::function<int(const comm::Communicator&)>& action);

/// The rank that the launcher's environment announces, 0 without a launcher; for what must be said before MPI runs.
int announced_rank();

}  // namespace spar::cli
