#include "spar/comm/communicator.hpp"

int main(int argc, char** argv) { spar::comm::Environment environment(argc, argv); }
