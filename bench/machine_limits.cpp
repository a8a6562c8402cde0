#include "bench/machine_limits.hpp"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <vector>

#include "bench/bare_lists.hpp"
#include "bench/vector16.hpp"
#include <Eigen/Core>
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/memory.hpp"
#include "spar/base/random.hpp"
#include "spar/comm/message_round.hpp"
#include "spar/comm/node_memory.hpp"

namespace spar::bench {

namespace {

constexpr int row_floats = 64;
constexpr std::size_t row_bytes = row_floats * sizeof(float);

/// Keeps the compiler from leaving out what computes `value`.
template <class T>
void keep(const T& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

Buffer<float> touched(std::size_t bytes) {
  Buffer<float> buffer(bytes / sizeof(float));
  std::fill(buffer.begin(), buffer.end(), 1.0F);
  return buffer;
}

std::vector<std::uint32_t> random_rows(std::size_t rows, std::size_t count) {
  const RandomStream stream(1, Purpose::synthetic);
  std::vector<std::uint32_t> chosen(count);
  for (std::size_t k = 0; k < count; ++k) {
    chosen[k] = static_cast<std::uint32_t>(bounded(word64(stream.block(static_cast<std::uint32_t>(k)), 0), rows));
  }
  return chosen;
}

/// Calls row(address, k) for random rows of a table, new ones in every chunk.
template <class Row>
Spread random_access(std::size_t bytes, int ahead, double seconds, Row&& row) {
  constexpr std::size_t chunk = 32768;
  auto table = touched(bytes);
  const auto chosen = random_rows(bytes / row_bytes, 32 * chunk);
  std::size_t begin = 0;
  return rate(chunk * row_bytes * 1e-9, seconds, 5, thread_seconds, [&] {
    const auto distance = static_cast<std::size_t>(ahead);
    for (std::size_t k = begin; k < begin + chunk; ++k) {
      if (ahead > 0 && k + distance < chosen.size())
        prefetch_row(&table[chosen[k + distance] * std::size_t{row_floats}]);
      row(&table[chosen[k] * std::size_t{row_floats}], k - begin);
    }
    begin = (begin + chunk) % chosen.size();
  });
}

}  // namespace

Spread stream_read(std::size_t bytes, double seconds) {
  const auto array = touched(bytes);
  return rate(static_cast<double>(bytes) * 1e-9, seconds, 5, thread_seconds, [&] {
    Row64 sum{};
    for (std::size_t k = 0; k < array.size(); k += row_floats) {
      for (std::size_t part = 0; part < 4; ++part) sum.part[part] += load16(&array[k + 16 * part]);
    }
    keep(sum);
  });
}

Spread stream_copy(std::size_t bytes, double seconds) {
  const auto from = touched(bytes);
  auto to = touched(bytes);
  return rate(2e-9 * static_cast<double>(bytes), seconds, 5, thread_seconds, [&] {
    std::memcpy(to.data(), from.data(), bytes);
    keep(to);
  });
}

Spread gather_rows(std::size_t bytes, int ahead, double seconds) {
  auto buffer = touched(1024 * row_bytes);
  return random_access(bytes, ahead, seconds, [&](const float* row, std::size_t k) {
    store_row(&buffer[k % 1024 * row_floats], load_row(row));
  });
}

Spread scatter_rows(std::size_t bytes, int ahead, double seconds) {
  const Row64 step{{all16(1e-3F), all16(2e-3F), all16(3e-3F), all16(4e-3F)}};
  return random_access(bytes, ahead, seconds, [&](float* row, std::size_t) {
    for (int k = 0; k < 4; ++k) store16(row + 16 * k, load16(row + 16 * k) + step.part[k]);
  });
}

Spread product(int users, int items, int block, int dim, double seconds) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Matrix left = Matrix::Random(users, dim);
  const Matrix right = Matrix::Random(items, dim);
  Matrix scores(users, block);
  const double work = 2e-9 * users * static_cast<double>(items / block * block) * dim;
  return rate(work, seconds, 5, thread_seconds, [&] {
    for (int first = 0; first + block <= items; first += block) {
      scores.noalias() = left * right.middleRows(first, block).transpose();
      keep(scores);
    }
  });
}

double durable_write(const std::string& directory, std::size_t bytes) {
  const std::string path = fmt::format("{}/spar-bench-{}.tmp", directory, getpid());
  constexpr std::size_t piece = std::size_t{8} << 20;
  Buffer<char> values(piece);
  for (std::size_t k = 0; k < piece; ++k) values[k] = static_cast<char>(k * 2654435761U >> 13);
  const double before = wall_seconds();
  const int file = open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (file < 0) throw EnvironmentError(fmt::format("{} cannot be made: {}", path, std::strerror(errno)));
  bool fine = true;
  for (std::size_t written = 0; fine && written < bytes; written += piece) {
    fine = pwrite(file, values.data(), piece, static_cast<off_t>(written)) == static_cast<ssize_t>(piece);
  }
  fine = fsync(file) == 0 && fine;
  close(file);
  const double seconds = wall_seconds() - before;
  unlink(path.c_str());
  if (!fine) throw EnvironmentError(fmt::format("{} cannot be written in full: {}", path, std::strerror(errno)));
  return static_cast<double>(bytes) * 1e-9 / seconds;
}

double exchange(const comm::Communicator& world, std::size_t bytes, double seconds) {
  const std::size_t lines = bytes / comm::line;
  Buffer<char> out(bytes);
  Buffer<char> in(bytes);
  comm::MessageRound round(world, 900, "benchmark exchange", 60);
  const int to = (world.rank() + 1) % world.size();
  const int from = (world.rank() + world.size() - 1) % world.size();
  const auto run = [&](int rounds) {
    world.barrier();
    const double before = wall_seconds();
    for (int k = 0; k < rounds; ++k) {
      round.receive(from, in.data(), lines);
      round.send(to, out.data(), lines);
      round.wait(k);
    }
    return world.max(wall_seconds() - before);
  };
  const double once = run(4) / 4;
  const int rounds = static_cast<int>(world.max(std::int64_t{1} + static_cast<std::int64_t>(seconds / once / 5)));
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat)
    best = std::max(best, static_cast<double>(bytes) * rounds * 1e-9 / run(rounds));
  return best;
}

double round_trip(const comm::Communicator& world) {
  constexpr int chunks = 41;
  constexpr std::uint64_t trips = 2000;
  const comm::NodeMemory memory(world, comm::line, true);
  std::vector<double> nanoseconds;
  if (world.rank() > 1 || memory.of(0) == nullptr || memory.of(1) == nullptr) return 0;
  std::atomic_ref<std::uint64_t> call(*reinterpret_cast<std::uint64_t*>(memory.of(0)));
  std::atomic_ref<std::uint64_t> answer(*reinterpret_cast<std::uint64_t*>(memory.of(1)));
  for (std::uint64_t k = 1; k <= chunks * trips;) {
    const double before = wall_seconds();
    for (const std::uint64_t end = k + trips; k < end; ++k) {
      if (world.rank() == 0) call.store(k, std::memory_order_release);
      while ((world.rank() == 0 ? answer : call).load(std::memory_order_acquire) < k) {
      }
      if (world.rank() == 1) answer.store(k, std::memory_order_release);
    }
    nanoseconds.push_back((wall_seconds() - before) * 1e9 / trips);
  }
  return spread(nanoseconds).median;
}

}  // namespace spar::bench
