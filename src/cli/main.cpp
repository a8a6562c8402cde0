#include "spar/cli/program.hpp"

int main(int argc, char** argv) {
  return spar::cli::run_program(argc, argv);
}
