#pragma once
#include <cstddef>
#include <memory>
#include <vector>

#include "spar/base/error.hpp"
#include "spar/base/memory.hpp"
#include "spar/comm/communicator.hpp"

/// Memory that the ranks of one node read in place, so that between them only a notice travels, and no copy is made.
namespace spar::comm {

/// One block of memory of each rank, seen by all ranks of its node. It is anonymous (memfd): no file system's size
/// limits it, pages that nobody touches cost nothing, and it is gone with the last process that maps it.
class NodeMemory {
 public:
  /// `bytes` of this rank's own, zeroed (each rank may say another number). Collective. Where the ranks of a node
  /// cannot see each other's memory (containers with process ids of their own), none of them shares any. `share`:
  /// false for none, the same on every rank.
  NodeMemory(const Communicator& communicator, std::size_t bytes, bool share);
  ~NodeMemory();
  NodeMemory(const NodeMemory&) = delete;
  NodeMemory& operator=(const NodeMemory&) = delete;

  /// Where the block of `rank` lies in this process (this rank's own, too); nullptr where it cannot be read in place.
  /// Two ranks see both of each other or neither.
  std::byte* of(int rank) const {
    std::byte* mapping = blocks_[static_cast<std::size_t>(rank)].mapping;
    return mapping == nullptr ? nullptr : mapping + line_bytes;
  }
  /// This rank's own block, nullptr where nobody shares it.
  std::byte* own() const { return of(rank_); }
  /// Puts what has been touched of this rank's own block on huge pages, for all who see it, whatever the system does
  /// with shared memory by default; where Linux cannot (before 6.1), nothing changes. Beside tables that do not fit
  /// into the caches, the small pages of the rooms cost more than their lines (5 million x 1 million rows, two ranks: a
  /// fifth of the whole time). Any rank may call it alone, while others read and write.
  void use_huge_pages();
  /// Whether `bytes` points into this rank's own block.
  bool holds(const void* bytes) const {
    const auto* at = static_cast<const std::byte*>(bytes);
    const Block& block = blocks_[static_cast<std::size_t>(rank_)];
    return block.mapping != nullptr && at >= block.mapping && at < block.mapping + block.size;
  }

 private:
  struct Block {
    std::byte* mapping = nullptr;  // a line that says whose it is, then what of() gives
    std::size_t size = 0;
  };
  void open_peers(const Communicator& communicator, const std::vector<int>& node, int descriptor, std::size_t bytes);
  void forget();

  int rank_;
  std::vector<Block> blocks_;  // by rank
};

/// A buffer in a rank's node memory where that is shared, in memory of its own elsewhere. Its life: plan() all rooms,
/// make the NodeMemory of the sum, bind() them.
template <class T>
class NodeRoom {
 public:
  /// Room for at most `most` values, from `bytes` on, which is moved past it.
  void plan(std::size_t& bytes, std::size_t most) {
    offset_ = bytes;
    most_ = most;
    bytes += (most * sizeof(T) + line_bytes - 1) / line_bytes * line_bytes;
  }
  void bind(const NodeMemory& memory) {
    shared_ = memory.own() == nullptr ? nullptr : reinterpret_cast<T*>(memory.own() + offset_);
  }
  /// Makes room for `count` values, at most those of the plan; contents may be lost.
  T* require(std::size_t count) {
    SPAR_ASSERT(count <= most_);
    if (shared_ == nullptr) private_.require(count);
    return data();
  }
  T* data() { return shared_ != nullptr ? shared_ : private_.data(); }
  const T* data() const { return shared_ != nullptr ? shared_ : private_.data(); }
  T& operator[](std::size_t k) { return data()[k]; }
  const T& operator[](std::size_t k) const { return data()[k]; }

 private:
  std::size_t offset_ = 0;
  std::size_t most_ = 0;
  T* shared_ = nullptr;
  Buffer<T> private_;
};

}  // namespace spar::comm
