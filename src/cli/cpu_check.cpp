#include <stdlib.h>
#include <unistd.h>

#include "cpu_message.hpp"
#include "spar_build.hpp"

namespace {

constexpr int exit_environment = 3;

/// Whether this process speaks for its node: one sentence a node, not one a rank.
bool speaks() {
  const char* names[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"};
  for (const char* name : names) {
    const char* value = getenv(name);
    if (value != nullptr) return strcmp(value, "0") == 0;
  }
  return true;
}

// The first constructor of the program: a clear sentence in place of "illegal instruction".
__attribute__((constructor(101))) void check_processor() {
  __builtin_cpu_init();
  const char* missing[32];
  int count = 0;
#define SPAR_CPU_FEATURE(name) \
  if (!__builtin_cpu_supports(name)) missing[count++] = name;
#include "spar_cpu_features.inc"
#undef SPAR_CPU_FEATURE
  if (count == 0) return;
  if (speaks()) {
    char host[128] = "this machine";
    if (gethostname(host, sizeof host - 1) != 0) strcpy(host, "this machine");
    spar::cli::CpuText message;
    spar::cli::cpu_message(&message, host, SPAR_BUILD_CPU, missing, count);
    if (write(STDERR_FILENO, message.text, message.size) < 0) _exit(exit_environment);
  }
  _exit(exit_environment);
}

}  // namespace
