#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <mpi.h>

#include "spar/base/error.hpp"
#include "spar/comm/communicator.hpp"

namespace spar::comm {

// What launchers say of the number of processes. Open MPI's own mpirun sets OMPI_COMM_WORLD_SIZE and then agrees with
// MPI; the others speak where MPI was not told: srun without --mpi=pmix, another vendor's mpirun.
int announced_processes() {
  int announced = 1;
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS"}) {
    const char* value = std::getenv(name);
    if (value == nullptr) continue;
    // A batch script's own step has SLURM_STEP_NUM_TASKS only under srun; mpirun inside it starts its daemons with srun
    // and tells the ranks by OMPI_*.
    announced = std::max(announced, std::atoi(value));
    if (std::string(name) == "OMPI_COMM_WORLD_SIZE") return announced;
  }
  return announced;
}

Environment::Environment(int& argc, char**& argv) {
  const int announced = announced_processes();
  int provided = MPI_THREAD_SINGLE;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided);
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (size == 1 && announced > 1) {
    MPI_Finalize();
    throw EnvironmentError(
        fmt::format("started as {} processes, but MPI sees 1: use srun --mpi=pmix, or the mpirun of Open MPI {}.{}.{}, "
                    "with which spar was built",
                    announced, OMPI_MAJOR_VERSION, OMPI_MINOR_VERSION, OMPI_RELEASE_VERSION));
  }
}

Environment::~Environment() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized == 0) MPI_Finalize();
}

void abort_all(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

}  // namespace spar::comm
