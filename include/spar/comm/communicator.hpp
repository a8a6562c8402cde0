#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "spar/base/error.hpp"
#include "spar/base/types.hpp"

/// The only door to MPI. A Communicator is passed explicitly; all its calls are made from the main thread.
namespace spar::comm {

/// MPI for the life of the program. Create one in main(), before any other thread. A program started outside mpirun is
/// one rank. Throws EnvironmentError where the launcher says N processes and MPI sees one.
class Environment {
 public:
  Environment(int& argc, char**& argv);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
};

/// How many processes the launcher says it started (1 without a launcher), from the environment; known before MPI runs.
int announced_processes();

/// Ends all ranks at once, for a rank that can no longer reach a barrier. Does not return.
[[noreturn]] void abort_all(int exit_code);

class Communicator {
 public:
  /// All ranks of the launch.
  static Communicator world();
  /// This rank by itself: for work that one rank does alone with code that takes a communicator. Not collective.
  static Communicator alone();

  Communicator(Communicator&&) noexcept;
  Communicator& operator=(Communicator&&) noexcept;
  ~Communicator();

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_root() const { return rank_ == 0; }

  /// Collectives: every rank calls them in the same order.
  void barrier() const;
  /// The bytes of `root` on every rank; sizes must agree.
  void broadcast(std::span<std::byte> bytes, int root) const;
  /// The text of `root` on every rank.
  std::string broadcast(const std::string& text, int root) const;
  /// Every rank's value, by rank.
  std::vector<std::int64_t> allgather(std::int64_t value) const;
  std::vector<double> allgather(double value) const;
  /// Every rank's text, by rank.
  std::vector<std::string> allgather(const std::string& text) const;
  /// Every rank's bytes, by rank, on every rank / on `root` only (empty elsewhere).
  std::vector<std::vector<std::byte>> allgather(std::span<const std::byte> bytes) const;
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> bytes, int root) const;
  /// Integer sums and maxima are exact, so they need no tree.
  std::int64_t sum(std::int64_t value) const;
  void sum(std::span<std::int64_t> values) const;
  std::int64_t max(std::int64_t value) const;
  double max(double value) const;
  bool any(bool flag) const { return max(static_cast<std::int64_t>(flag)) != 0; }

  /// Sends `outgoing[r]` to rank r and returns what each rank sent here. For set-up and cold paths; any sizes.
  std::vector<std::vector<std::byte>> exchange(const std::vector<std::vector<std::byte>>& outgoing) const;

  /// Ring step: sends bytes to `to` and receives into `received` (resized to the incoming size) from `from`. Any size.
  void shift(std::span<const std::byte> bytes, int to, std::vector<std::byte>& received, int from) const;

  /// Point to point, blocking, any size; for cold paths.
  void send(std::span<const std::byte> bytes, int to) const;
  std::vector<std::byte> receive(int from) const;

 private:
  friend class MessageRound;
  friend class NodeMemory;
  struct Handle;
  explicit Communicator(std::unique_ptr<Handle> handle);
  std::unique_ptr<Handle> handle_;
  int rank_ = 0;
  int size_ = 1;
};

/// What agree() throws: every rank throws the same one, so all can leave together.
class AgreedError : public Error {
 public:
  using Error::Error;
};

/// Runs `action` on every rank and agrees on the outcome: when it throws a spar::Error anywhere, every rank throws an
/// AgreedError of the same code with the sentence of the lowest failing rank. Collective. This is how a mistake that
/// one rank sees makes all ranks leave together.
void agree(const Communicator& communicator, const std::function<void()>& action);

/// The sum over the tree of shards of one vector a shard, the same bits on any launch, on every rank. `values` has
/// `width` numbers for each of this rank's shards, in shard order; the result has `width` numbers. Collective. Costs:
/// one gather of 8*width*shards bytes to every rank; for epoch-level sums, not for gradients.
std::vector<double> tree_sum(const Communicator& communicator, int shards, std::span<const double> values, int width);

}  // namespace spar::comm
