#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "spar/base/sharding.hpp"
#include "spar/base/types.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/alias_table.hpp"
#include "spar/tape/noise.hpp"

/// Items drawn for a step, the same for all users of its batch: what a softmax over the whole catalogue is estimated
/// from.
namespace spar::catalogue {

/// A step's draws from one shard's items.
struct DrawnItems {
  std::vector<std::int32_t> rows;  ///< of the slice, ascending, each once
  std::vector<float> log_weights;  ///< log(times drawn / expected times), by place in `rows`
  std::vector<bool> taken;         ///< by row of the slice: whether it is in `rows`

  int count() const { return static_cast<int>(rows.size()); }
  /// The place of a row in `rows`, -1 where it was not drawn.
  int place(std::int32_t row) const;
};

/// How items are drawn. Item i has an integer weight w_i, W is the sum over the catalogue, and in a step of n draws its
/// expected number of draws is n w_i / W exactly.
///
/// Each shard draws its own share without asking: the shards' weights are intervals [a, b) that fill [0, W), a random t
/// in 0 .. W - 1 is the same for all, and a shard makes floor((t + n b) / W) - floor((t + n a) / W) draws, n (b - a) /
/// W in the mean and n over all shards (systematic sampling: Madow and Madow, Ann. Math. Statist. 1944). Within a shard
/// the uniform law draws distinct items, every set of them as likely as any other (Floyd; Bentley and Floyd, CACM
/// 1987), and the law of popularity draws with replacement. Draws are a function of the key and of the number of
/// shards.
class OutputLaw {
 public:
  /// w_i = 1. `draws`: 1 to `items`.
  OutputLaw(const ShardLayout& layout, Index items, std::int64_t draws);
  /// w_i = 0.9 c_i^power / mean of c^power + 0.1, in units of 1 / 4096, so that no item is ten times as rare as under
  /// the uniform law. `counts`: c_i of this rank's items, some of them on some rank above 0. Keeps 12 bytes for each
  /// of them. Collective.
  OutputLaw(const comm::Communicator& communicator, const ShardLayout& layout, Index items, std::int64_t draws,
            std::span<const std::uint32_t> counts, double power);

  std::int64_t draws() const { return draws_; }
  /// Draws of a shard for an offset t of 0 to total_weight() - 1.
  std::int64_t share(int shard, std::int64_t offset) const;
  std::int64_t total_weight() const { return begins_.back(); }
  /// Any shard under the uniform law, else one of the rank's. Costs the shard's draws.
  void draw(int shard, const tape::NoiseKey& key, DrawnItems& drawn) const;

 private:
  void draw_distinct(int shard, std::int64_t count, const RandomStream& stream, DrawnItems& drawn) const;
  void draw_by_weight(int shard, std::int64_t count, const RandomStream& stream, DrawnItems& drawn) const;

  Partition items_;
  std::int64_t draws_;
  std::vector<std::int64_t> begins_;  // of all shards' intervals, and W
  // By popularity, of own items; empty: uniform.
  int first_shard_ = 0;
  std::vector<std::uint32_t> weights_;
  std::vector<data::AliasTable> laws_;  // by own shard
};

}  // namespace spar::catalogue
