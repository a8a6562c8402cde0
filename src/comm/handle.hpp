#pragma once
#include <mpi.h>

#include "spar/comm/communicator.hpp"

namespace spar::comm {

/// The MPI communicator behind a Communicator; a duplicate of its own, freed with it.
struct Communicator::Handle {
  MPI_Comm comm = MPI_COMM_NULL;
  ~Handle();
};

/// Throws EnvironmentError that names the call where `code` is not success.
void check(int code, const char* call);

}  // namespace spar::comm
