#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/base/sharding.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/store/checkpoint.hpp"

// How fast all ranks together write and read a checkpoint, against one process that writes as many bytes plainly,
// durably and in order to the same disk. Turns alternate, so that both meet the same neighbours.
//
//   mpirun -n 2 bench_checkpoint [MiB a rank = 1024] [folder = .] [rounds = 5]

using namespace spar;
using namespace spar::store;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Processor seconds of this process so far: what remains of a comparison when neighbours use the disk.
double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double best(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

// What was written or deleted before is on disk, so that nobody pays for another's turn.
void settle(const comm::Communicator& communicator) {
  communicator.barrier();
  if (communicator.is_root()) {
    sync();
    usleep(500'000);
  }
  communicator.barrier();
}

// Adagrad's records at d = 64: the vector and its accumulator, side by side.
constexpr int dim = 64;
constexpr int stride = 2 * dim;
constexpr int shards = 64;
const std::vector<Field> fields = {{"vector", dim, 0}, {"vector.accumulator", dim, dim}};

struct RankTables {
  Buffer<float> users, items;
  std::vector<TableRows> rows;

  RankTables(const comm::Communicator& communicator, Index total_users, Index total_items) {
    add(communicator, "user", total_users, users);
    add(communicator, "item", total_items, items);
  }

  void add(const comm::Communicator& communicator, const char* name, Index total, Buffer<float>& memory) {
    const ShardLayout layout{shards, communicator.size()};
    const Partition partition{total, shards};
    const Index first = partition.begin(layout.first_shard(communicator.rank()));
    const Index count = partition.begin(layout.end_shard(communicator.rank())) - first;
    memory = Buffer<float>(static_cast<std::size_t>(count * stride));
    for (std::size_t k = 0; k < memory.size(); ++k) memory[k] = static_cast<float>(k % 8191) * 1e-3F;
    rows.push_back({name, total, first, count, memory.data(), stride, fields});
  }
};

// One file, blocks of 8 MiB in order, fsync: what the disk gives to a program that does nothing else.
double plain_write(const std::string& path, std::int64_t bytes) {
  Buffer<char> block(std::size_t{8} << 20);
  for (std::size_t k = 0; k < block.size(); ++k) block[k] = static_cast<char>(k * 31);
  const auto start = Clock::now();
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  for (std::int64_t left = bytes; left > 0;) {
    const ssize_t wrote =
        write(file, block.data(),
              static_cast<std::size_t>(std::min<std::int64_t>(left, static_cast<std::int64_t>(block.size()))));
    if (wrote <= 0) std::abort();
    left -= wrote;
  }
  if (fsync(file) != 0) std::abort();
  close(file);
  return seconds_since(start);
}

void drop_cached(const std::string& directory) {
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const int file = open(entry.path().c_str(), O_RDONLY);
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const comm::Environment environment(argc, argv);
  const auto world = comm::Communicator::world();
  const std::int64_t mebibytes = argc > 1 ? std::atoll(argv[1]) : 1024;
  const std::string folder = (argc > 2 ? std::string(argv[2]) : std::string(".")) + "/bench-checkpoint";
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 5;

  const std::int64_t bytes = world.size() * (mebibytes << 20);
  const Index rows = bytes / static_cast<Index>(stride * sizeof(float));
  RankTables tables(world, rows - rows / 6, rows / 6);

  std::vector<double> plain, saved, loaded, plain_processor, saved_processor;
  const auto rate = [&](double seconds) { return static_cast<double>(bytes) * 1e-6 / seconds; };
  const auto turn_plain = [&] {
    settle(world);
    if (world.is_root()) {
      const double before = processor_seconds();
      plain.push_back(plain_write(folder + "/plain", bytes));
      plain_processor.push_back(processor_seconds() - before);
      std::filesystem::remove(folder + "/plain");
    }
  };
  const auto turn_checkpoint = [&](int round) {
    const CheckpointInfo info{"epoch-" + std::to_string(round), "{}", "", "", {}};
    settle(world);
    const double before = processor_seconds();
    const SaveReport report =
        save_checkpoint(world, shards, folder, "bench", info, tables.rows, {}, [] { return true; });
    saved_processor.push_back(processor_seconds() - before);
    saved.push_back(report.seconds);
    if (world.is_root()) drop_cached(report.path);
    settle(world);
    const auto start = Clock::now();
    load_checkpoint(world, read_manifest(report.path), tables.rows, nullptr);
    loaded.push_back(seconds_since(start));
    world.barrier();
    if (world.is_root()) std::filesystem::remove_all(report.path);
  };
  if (world.is_root()) std::filesystem::create_directories(folder);
  for (int round = 0; round < rounds; ++round) {
    if (round % 2 == 0) turn_plain();
    turn_checkpoint(round);
    if (round % 2 == 1) turn_plain();
    if (world.is_root())
      std::printf("plain %5.0f MB/s   save %5.0f MB/s (%.2f of plain)   load %5.0f MB/s\n", rate(plain.back()),
                  rate(saved.back()), plain.back() / saved.back(), rate(loaded.back()));
  }
  if (world.is_root()) {
    std::filesystem::remove_all(folder);
    std::printf(
        "%d ranks, %.2f GB: save %.2f s; of plain %.2f by medians, %.2f by the best of each (floor 0.70); every 10 "
        "minutes that is %.2f%% of the time\n",
        world.size(), static_cast<double>(bytes) * 1e-9, median(saved), median(plain) / median(saved),
        best(plain) / best(saved), median(saved) / 6);
    const double gigabytes = static_cast<double>(bytes) * 1e-9;
    std::printf("processor seconds a GB on rank 0: plain %.2f, save %.2f\n", best(plain_processor) / gigabytes,
                best(saved_processor) / (gigabytes / world.size()));
  }
  return 0;
}
