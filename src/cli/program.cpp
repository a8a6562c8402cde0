#include "spar/cli/program.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <optional>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/settings.hpp"
#include "spar/cli/pages.hpp"

namespace spar::cli {

namespace {

struct Failure {
  ExitCode code = ExitCode::bug;
  std::string sentence;
};

constexpr const char* unwritten = "standard output cannot be written: is its disk full?";

/// The failure behind the exception that is being handled.
Failure current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const Bug& bug) {
    return {ExitCode::bug, bug.what()};
  } catch (const std::bad_alloc&) {
    return {ExitCode::environment, "no memory left: use more ranks, or see spar plan"};
  } catch (const std::system_error& error) {
    // fmt::print says so where the C library would only remember it.
    if (std::ferror(stdout) != 0) return {ExitCode::environment, unwritten};
    return {ExitCode::environment, fmt::format("the system refuses a service: {}", error.what())};
  } catch (const std::exception& exception) {
    return {ExitCode::bug, fmt::format("{}; this is a bug in spar, please report it", exception.what())};
  } catch (...) {
    return {ExitCode::bug, "an unknown failure; this is a bug in spar, please report it"};
  }
}

void print_error(const std::string& sentence) {
  const std::string line = fmt::format("spar: error: {}\n", sentence);
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

/// Results that could not be written are a failure: a full disk behind "> file" must not look like success.
int flushed(int code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  // A failure has been told already, and this is what it was or no more than its consequence.
  if (code != 0) return code;
  print_error(unwritten);
  return static_cast<int>(ExitCode::environment);
}

int fail(const Failure& failure) {
  print_error(failure.sentence);
  return static_cast<int>(failure.code);
}

bool asks_for_help(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--help" || word == "-h") return true;
  }
  return false;
}

int run_alone(const Command& command) {
  if (!command.action.alone) {
    std::fputs(command.page.c_str(), stdout);
    return 0;
  }
  return command.action.alone();
}

/// A failure of this rank that the others may not share. They may be waiting for this rank in an exchange, so they are
/// ended; a moment's delay lets rank 0 speak alone where all ranks failed in the same way.
[[noreturn]] void end_all_ranks(const comm::Communicator& communicator, const Failure& failure) {
  if (!communicator.is_root()) std::this_thread::sleep_for(std::chrono::seconds(1));
  print_error(failure.sentence);
  std::fflush(stdout);
  comm::abort_all(static_cast<int>(failure.code));
}

/// Under a launcher with several processes: the words are judged by all ranks, and only rank 0 runs what needs no MPI.
int run_launched(const std::vector<std::string>& words) {
  const comm::Communicator world = comm::Communicator::world();
  return run_together(world, [&](const comm::Communicator& communicator) {
    Command command;
    comm::agree(communicator, [&] { command = read_command(words); });
    if (command.action.together) return command.action.together(communicator);
    int code = 0;
    comm::agree(communicator, [&] {
      if (communicator.is_root()) code = run_alone(command);
    });
    return code;
  });
}

int run_as_single(int& argc, char**& argv, const std::vector<std::string>& words) {
  const Command command = read_command(words);
  if (!command.action.together) return run_alone(command);
  const comm::Environment environment(argc, argv);
  const comm::Communicator world = comm::Communicator::world();
  return run_together(world, command.action.together);
}

}  // namespace

int announced_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"}) {
    if (const char* value = std::getenv(name)) return std::atoi(value);
  }
  return 0;
}

Command read_command(const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || (words[0] == "help" && words.size() == 1))
    return {{}, help_page()};
  if (words[0] == "--version") return {{}, version_line()};
  const bool about_verb = words[0] == "help";
  const std::string& name = words[about_verb ? 1 : 0];
  const Verb* verb = find_verb(name);
  if (verb == nullptr) {
    std::vector<std::string> names{"help"};
    for (const Verb& known : all_verbs()) names.push_back(known.name);
    const auto proposal = nearest(name, names);
    const char* kind = name.starts_with('-') ? "option" : "verb";
    throw UserError(proposal ? fmt::format("unknown {} {}: did you mean spar {}?", kind, name, *proposal)
                             : fmt::format("unknown {} {}: spar help lists the verbs", kind, name));
  }
  const std::vector<std::string> rest(words.begin() + 1, words.end());
  if (about_verb || asks_for_help(rest)) return {{}, help_page(*verb)};
  OptionSet options("spar " + verb->name);
  Action action = verb->declare(options);
  options.parse(rest);
  return {std::move(action), ""};
}

int run_together(const comm::Communicator& communicator, const std::function<int(const comm::Communicator&)>& action) {
  try {
    int code = action(communicator);
    if (communicator.is_root()) code = flushed(code);
    return static_cast<int>(communicator.max(static_cast<std::int64_t>(code)));
  } catch (const comm::AgreedError& error) {
    std::fflush(stdout);
    if (communicator.is_root()) print_error(error.what());
    communicator.barrier();
    return static_cast<int>(error.code());
  } catch (...) {
    const Failure failure = current_failure();
    std::fflush(stdout);
    if (communicator.size() == 1) return fail(failure);
    end_all_ranks(communicator, failure);
  }
}

int run_program(int& argc, char**& argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    if (comm::announced_processes() == 1) return flushed(run_as_single(argc, argv, words));
    const comm::Environment environment(argc, argv);
    return run_launched(words);
  } catch (...) {
    const Failure failure = current_failure();
    if (announced_rank() == 0) return fail(failure);
    // Rank 0 speaks before a launcher that kills at the first failure ends it.
    std::this_thread::sleep_for(std::chrono::seconds(1));
    return static_cast<int>(failure.code);
  }
}

}  // namespace spar::cli
