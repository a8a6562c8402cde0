#pragma once
#include <stdexcept>
#include <string>

/// The failures that spar tells apart (docs/architecture.md, "Failures"): what the user did wrong, what the environment
/// denied, a training that diverged, and bugs. The first three are exceptions whose text is one sentence for the user;
/// a bug is an assertion.
namespace spar {

/// Exit codes of the program; part of its interface.
enum class ExitCode : int { done = 0, bug = 1, usage = 2, environment = 3, diverged = 4, stopped = 75 };

/// Any failure with a sentence for the user. what() is the whole sentence: what is wrong, where, and what would be
/// right.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& sentence) : std::runtime_error(sentence), code_(code) {}
  ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// Wrong usage, recipe or data: exit code 2.
class UserError : public Error {
 public:
  explicit UserError(const std::string& sentence) : Error(ExitCode::usage, sentence) {}
};

/// Disk, memory or MPI fail: exit code 3.
class EnvironmentError : public Error {
 public:
  explicit EnvironmentError(const std::string& sentence) : Error(ExitCode::environment, sentence) {}
};

/// A non-finite value in training: exit code 4.
class DivergenceError : public Error {
 public:
  explicit DivergenceError(const std::string& sentence) : Error(ExitCode::diverged, sentence) {}
};

/// A broken invariant: exit code 1. Never for input.
class Bug : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void broken_invariant(const char* condition, const char* file, int line);

}  // namespace spar

/// Stays on in release builds: use it where a check costs nothing against the work it guards.
#define SPAR_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::spar::broken_invariant(#condition, __FILE__, __LINE__))
