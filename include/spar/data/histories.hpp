#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/base/types.hpp"
#include "spar/data/dataset_file.hpp"
#include "spar/data/interactions.hpp"
#include "spar/store/array_file.hpp"

/// The interactions of users in the order of time, for models of sequences (Kang and McAuley, ICDM 2018, and after).
namespace spar::data {

/// Sequences of consecutive users [first_user, first_user + users()), oldest first.
struct Histories {
  Index first_user = 0;
  LargeVector<std::int64_t> offsets{0};  ///< users() + 1, starting at 0
  LargeVector<ItemId> items;
  std::vector<std::int64_t> times;  ///< as items, not falling within a user

  Index users() const { return static_cast<Index>(offsets.size()) - 1; }
  std::int64_t count() const { return offsets.back(); }
  /// Items of local user k (global user first_user + k), oldest first.
  std::span<const ItemId> of(Index k) const {
    const auto begin = static_cast<std::size_t>(offsets[static_cast<std::size_t>(k)]);
    const auto end = static_cast<std::size_t>(offsets[static_cast<std::size_t>(k) + 1]);
    return {items.data() + begin, end - begin};
  }
};

/// The interactions of one part of users [first_user, end_user) by rising time; equal times by item row, since a data
/// set does not know the order of its input (`spar import --ordered` stores that order as the time, which leaves no
/// ties). With leave-one-out by time, a user's whole sequence is train, then validation, then test. Checksums are
/// verified; both bounds are boundaries of row groups. Any rank may call it alone. UserError for a data set without
/// times, and as read_lists.
Histories read_histories(const store::ArrayFile& file, Part part, Index first_user, Index end_user);

/// Fills by_time of the lists that read_lists() read of the same part; fails as read_histories().
void read_order(const store::ArrayFile& file, Part part, UserLists& lists);
/// UserError where the data set has no times, in one sentence.
void require_times(const store::ArrayFile& file);

}  // namespace spar::data
