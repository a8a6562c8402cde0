#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/base/sharding.hpp"
#include "spar/comm/communicator.hpp"

/// Sums and exchanges of blocks of rows that every shard has a contribution to: the users of a batch.
namespace spar::catalogue {

/// Which of the rows of a block belong to whom: the rows of each shard's users, shard after shard.
struct RowsByShard {
  std::vector<int> begin{0};  ///< shards + 1 of them: shard s has rows [begin[s], begin[s + 1])

  int rows() const { return begin.back(); }
  int of_shard(int shard) const {
    return begin[static_cast<std::size_t>(shard) + 1] - begin[static_cast<std::size_t>(shard)];
  }
  int first_of_rank(const ShardLayout& layout, int rank) const {
    return begin[static_cast<std::size_t>(layout.first_shard(rank))];
  }
  int end_of_rank(const ShardLayout& layout, int rank) const {
    return begin[static_cast<std::size_t>(layout.end_shard(rank))];
  }
};

/// Sums of one block a shard along the shard tree. A rank keeps as many blocks as it has threads, levels of the tree
/// and maximal aligned subtrees of its shards, not one a shard.
class ShardSums {
 public:
  ShardSums(const comm::Communicator& communicator, const ShardLayout& layout);

  /// Calls fill(k, worker, room) for each of this rank's shards k = 0, 1, ... (threads() of them at a time), which
  /// writes all of the shard's `count` floats (a multiple of 16), and sums them as far as this rank alone can.
  void add_up(std::size_t count, const std::function<void(int k, int worker, float* room)>& fill);
  /// After add_up over rows.rows() rows of `width` floats: each rank receives the sums of its own users' rows in `to`.
  /// Collective; a rank receives 4 * width bytes for each of its rows and each maximal aligned subtree of the others.
  void to_homes(const RowsByShard& rows, int width, float* to);

  std::int64_t bytes_sent() const { return bytes_sent_; }

 private:
  void push(int shard, Buffer<float> block);

  struct Partial {
    int begin;
    int end;
    Buffer<float> sum;
  };
  const comm::Communicator& communicator_;
  ShardLayout layout_;
  std::size_t count_ = 0;
  std::vector<Partial> partials_;
  std::vector<Buffer<float>> free_;
  std::int64_t bytes_sent_ = 0;
};

/// Gives every rank the rows of all: `rows` holds rows.rows() rows of `width` floats, of which each rank has filled its
/// users'. Collective. Returns the bytes that this rank sent.
std::int64_t share_rows(const comm::Communicator& communicator, const ShardLayout& layout, const RowsByShard& rows,
                        int width, float* values);

/// The running log-sum-exp of numbers met so far: log(sum exp) = largest + log(sum). None: -infinity and 0.
struct LogSum {
  double largest;
  double sum;

  static LogSum none();
  void add(const LogSum& other);
  double log() const;
};

/// Merges one LogSum a row and shard along the shard tree: `by_shard` has `rows` for each of this rank's shards and is
/// overwritten; the result, `rows` long, is on every rank. Collective; moves 16 bytes a row and maximal aligned
/// subtree.
std::vector<LogSum> merge_log_sums(const comm::Communicator& communicator, const ShardLayout& layout, int rows,
                                   std::span<LogSum> by_shard);

}  // namespace spar::catalogue
