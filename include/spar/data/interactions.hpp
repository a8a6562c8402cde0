#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/base/sharding.hpp"
#include "spar/base/types.hpp"
#include "spar/comm/communicator.hpp"
#include "spar/data/dataset_file.hpp"

namespace spar::data {

/// Interactions of consecutive users [first_user, first_user + users()), by user; item rows ascend within a user and
/// are distinct.
struct UserLists {
  Index first_user = 0;
  LargeVector<std::int64_t> offsets{0};  ///< users() + 1, starting at 0
  LargeVector<ItemId> items;
  LargeVector<ItemId> by_time{};  ///< the same, oldest first within a user; empty unless read (data/histories.hpp)
  LargeVector<float> ratings{};   ///< beside items; empty unless read (read_values)

  Index users() const { return static_cast<Index>(offsets.size()) - 1; }
  std::int64_t count() const { return offsets.back(); }
  /// Items of local user k (global user first_user + k).
  std::span<const ItemId> of(Index k) const {
    const auto begin = static_cast<std::size_t>(offsets[static_cast<std::size_t>(k)]);
    const auto end = static_cast<std::size_t>(offsets[static_cast<std::size_t>(k) + 1]);
    return {items.data() + begin, end - begin};
  }
  /// The same items, oldest first; only where by_time was read.
  std::span<const ItemId> history(Index k) const {
    const auto list = of(k);
    return {by_time.data() + (list.data() - items.data()), list.size()};
  }
  /// The ratings of the same items; only where they were read.
  std::span<const float> ratings_of(Index k) const {
    const auto list = of(k);
    return {ratings.data() + (list.data() - items.data()), list.size()};
  }
  bool contains(Index k, ItemId item) const;  ///< binary search
};

/// Reads the lists of users [first_user, end_user) of one part and verifies their checksums; both bounds are group
/// boundaries of the data set's users (any shard's bounds are). Any rank may call it alone. UserError with one sentence
/// for damaged files (checksum, offsets that do not rise, item out of range).
UserLists read_lists(const store::ArrayFile& file, Part part, Index first_user, Index end_user);
/// The same for the fixed candidates of a sampled protocol (/test/negatives); in file order, not ascending.
UserLists read_negatives(const store::ArrayFile& file, Index first_user, Index end_user);
/// Ratings / times of the same users, in the order of read_lists' items; empty where the file has none.
std::vector<float> read_ratings(const store::ArrayFile& file, Part part, Index first_user, Index end_user);
std::vector<std::int64_t> read_times(const store::ArrayFile& file, Part part, Index first_user, Index end_user);

/// Fills the ratings of lists that read_lists() read of the same part; fails likewise.
void read_values(const store::ArrayFile& file, Part part, UserLists& lists);

/// Original ids of rows [first, first + count) of "/users/ids" or "/items/ids"; any range.
std::vector<std::string> read_ids(const store::ArrayFile& file, const std::string& array, Index first, Index count);

}  // namespace spar::data
