#define BOOST_TEST_DYN_LINK
#define BOOST_TEST_NO_MAIN
#include <boost/test/unit_test.hpp>

#include "spar/comm/communicator.hpp"

namespace {
bool register_nothing() {
  return true;
}
}  // namespace

// A failed check on one rank must fail the run, and MPI must be finalised on all ranks whatever the outcome.
int main(int argc, char** argv) {
  spar::comm::Environment environment(argc, argv);
  return boost::unit_test::unit_test_main(&register_nothing, argc, argv);
}
