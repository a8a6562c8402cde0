#pragma once
#include <cstddef>
#include <string>

#include "bench/measure.hpp"

#include "spar/comm/communicator.hpp"

/// What the machine itself can do, measured plainly, so that spar's figures can be given as shares of it.
namespace spar::bench {

/// GB/s of one thread on arrays of `bytes` on huge pages: sum of all floats / copy (bytes read plus bytes written).
Spread stream_read(std::size_t bytes, double seconds);
Spread stream_copy(std::size_t bytes, double seconds);

/// GB/s of rows of 64 floats at random places of a table of `bytes`, one thread, rows asked for `ahead` rows early
/// (0: not): copied into a buffer / changed in place (row += g; counts the row once).
Spread gather_rows(std::size_t bytes, int ahead, double seconds);
Spread scatter_rows(std::size_t bytes, int ahead, double seconds);

/// GFLOP/s of Eigen's product of `users` rows with blocks of `block` of `items` rows, d columns, one thread, results in
/// a block that is overwritten: the shape of an evaluation.
Spread product(int users, int items, int block, int dim, double seconds);

/// GB/s of one durable sequential write of `bytes` into a new file of `directory` (pwrite by 8 MiB, fsync, close),
/// which is removed again. Throws EnvironmentError where the file cannot be made.
double durable_write(const std::string& directory, std::size_t bytes);

/// GB/s that each rank sends while it receives as much, in messages of `bytes` around the ring of ranks. Collective.
double exchange(const comm::Communicator& world, std::size_t bytes, double seconds);

/// Nanoseconds from a number that rank 0 writes to the answer of rank 1, through one cache line each way: about 130
/// where two cores share their third-level cache, 600 where they do not. What ranks of a node exchange costs
/// accordingly. Median of many. Collective, on two ranks or more; 0 where the ranks share no memory.
double round_trip(const comm::Communicator& world);

}  // namespace spar::bench
