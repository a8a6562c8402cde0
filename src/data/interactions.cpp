#include "spar/data/interactions.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::data {

namespace {

enum class Order { ascending, any };

[[noreturn]] void throw_damaged(const store::ArrayFile& file, const std::string& what) {
  throw UserError(fmt::format("{} is damaged: {}", file.path(), what));
}

/// The groups [first, end) whose users are a group-aligned range; empty groups at either side may be in or out.
struct GroupRange {
  int first = 0;
  int end = 0;
};

GroupRange groups_of(Index users, Index first_user, Index end_user) {
  SPAR_ASSERT(first_user >= 0 && first_user <= end_user && end_user <= users);
  const Partition groups{users, row_groups};
  GroupRange range;
  range.first = first_user == users ? row_groups : groups.part_of(first_user);
  range.end = end_user == users ? row_groups : groups.part_of(end_user);
  SPAR_ASSERT(groups.begin(range.first) == first_user && groups.begin(range.end) == end_user);
  return range;
}

/// A part of the offsets array and what follows from it.
struct Slice {
  GroupRange groups;
  std::vector<std::int64_t> offsets;  ///< of the file, one for each user and the closing one
  std::vector<Index>
      segment_rows;  ///< boundaries of the interaction arrays, all 1,025; only those of `groups` are filled in
  Index first() const { return offsets.front(); }
  Index count() const { return offsets.back() - offsets.front(); }
};

std::vector<Index> offsets_segments(Index users) {
  std::vector<Index> boundaries = store::group_boundaries(users);
  ++boundaries.back();
  return boundaries;
}

// The closing offset of a slice stands in the next group's segment, which is not read: the checksums of the
// interactions prove it.
Slice read_slice(const store::ArrayFile& file, const std::string& offsets_array, const std::string& items_array,
                 Index first_user, Index end_user) {
  const Index users = file.rows(offsets_array) - 1;
  const Index entries = file.rows(items_array);
  if (users < 0) throw_damaged(file, fmt::format("array {} is empty", offsets_array));
  Slice slice;
  slice.groups = groups_of(users, first_user, end_user);
  slice.offsets.resize(static_cast<std::size_t>(end_user - first_user) + 1);
  file.read_segments(offsets_array, offsets_segments(users), slice.groups.first, slice.groups.end,
                     slice.offsets.data());
  file.read(offsets_array, end_user, 1, &slice.offsets.back());
  if (first_user == 0 && slice.offsets.front() != 0)
    throw_damaged(file, fmt::format("array {} does not start at 0", offsets_array));
  if (end_user == users && slice.offsets.back() != entries) {
    throw_damaged(file, fmt::format("array {} ends at {}, but {} has {} entries", offsets_array, slice.offsets.back(),
                                    items_array, entries));
  }
  const auto falls = std::is_sorted_until(slice.offsets.begin(), slice.offsets.end());
  if (falls != slice.offsets.end() || slice.offsets.front() < 0 || slice.offsets.back() > entries) {
    const Index user = first_user + std::max<Index>(0, (falls - slice.offsets.begin()) - 1);
    throw_damaged(file, fmt::format("the offsets in {} do not rise at user {}", offsets_array, user));
  }
  const std::vector<Index> boundaries = store::group_boundaries(users);
  slice.segment_rows.resize(row_groups + 1);
  for (int g = slice.groups.first; g <= slice.groups.end; ++g) {
    const Index user = boundaries[static_cast<std::size_t>(g)] - first_user;
    slice.segment_rows[static_cast<std::size_t>(g)] = slice.offsets[static_cast<std::size_t>(user)];
  }
  return slice;
}

template <class Values>
Values read_entries(const store::ArrayFile& file, const std::string& array, const Slice& slice) {
  Values values(static_cast<std::size_t>(slice.count()));
  file.read_segments(array, slice.segment_rows, slice.groups.first, slice.groups.end, values.data());
  return values;
}

void check_items(const store::ArrayFile& file, const std::string& items_array, const UserLists& lists, Order order) {
  const Index items = file.rows("/items/ids");
  for (Index k = 0; k < lists.users(); ++k) {
    const std::span<const ItemId> of_user = lists.of(k);
    for (std::size_t n = 0; n < of_user.size(); ++n) {
      if (static_cast<Index>(of_user[n]) >= items) {
        throw_damaged(file, fmt::format("user {} in {} has item {}, but there are {} items", lists.first_user + k,
                                        items_array, of_user[n], items));
      }
      if (order == Order::ascending && n > 0 && of_user[n] <= of_user[n - 1]) {
        throw_damaged(file, fmt::format("the items of user {} in {} are not ascending and distinct",
                                        lists.first_user + k, items_array));
      }
    }
  }
}

UserLists read_any(const store::ArrayFile& file, const std::string& offsets_array, const std::string& items_array,
                   Index first_user, Index end_user, Order order) {
  Slice slice = read_slice(file, offsets_array, items_array, first_user, end_user);
  UserLists lists;
  lists.first_user = first_user;
  lists.items = read_entries<LargeVector<ItemId>>(file, items_array, slice);
  const Index base = slice.first();
  lists.offsets = std::move(slice.offsets);
  for (std::int64_t& offset : lists.offsets) offset -= base;
  check_items(file, items_array, lists, order);
  return lists;
}

template <class T>
std::vector<T> read_beside(const store::ArrayFile& file, Part part, const char* array, Index first_user,
                           Index end_user) {
  const std::string path = part_array(part, array);
  if (!file.has(path)) return {};
  return read_entries<std::vector<T>>(file, path,
                                      read_slice(file, part_array(part, "offsets"), path, first_user, end_user));
}

}  // namespace

bool UserLists::contains(Index k, ItemId item) const {
  const std::span<const ItemId> of_user = of(k);
  return std::binary_search(of_user.begin(), of_user.end(), item);
}

UserLists read_lists(const store::ArrayFile& file, Part part, Index first_user, Index end_user) {
  return read_any(file, part_array(part, "offsets"), part_array(part, "items"), first_user, end_user, Order::ascending);
}

UserLists read_negatives(const store::ArrayFile& file, Index first_user, Index end_user) {
  return read_any(file, "/test/negatives_offsets", "/test/negatives", first_user, end_user, Order::any);
}

std::vector<float> read_ratings(const store::ArrayFile& file, Part part, Index first_user, Index end_user) {
  return read_beside<float>(file, part, "ratings", first_user, end_user);
}

std::vector<std::int64_t> read_times(const store::ArrayFile& file, Part part, Index first_user, Index end_user) {
  return read_beside<std::int64_t>(file, part, "times", first_user, end_user);
}

std::vector<std::string> read_ids(const store::ArrayFile& file, const std::string& array, Index first, Index count) {
  const Index rows = file.rows(array);
  SPAR_ASSERT(first >= 0 && count >= 0 && first + count <= rows);
  if (count == 0) return {};
  const std::vector<Index> boundaries = store::group_boundaries(rows);
  const Partition groups{rows, row_groups};
  const int first_group = groups.part_of(first);
  const int end_group = groups.part_of(first + count - 1) + 1;
  const std::size_t bytes = file.text_size(array);
  const Index begin = groups.begin(first_group);
  std::vector<char> packed(static_cast<std::size_t>(groups.begin(end_group) - begin) * bytes);
  file.read_segments(array, boundaries, first_group, end_group, packed.data());
  std::vector<std::string> ids;
  ids.reserve(static_cast<std::size_t>(count));
  for (Index k = first; k < first + count; ++k) {
    const char* text = packed.data() + static_cast<std::size_t>(k - begin) * bytes;
    ids.emplace_back(text, strnlen(text, bytes));
  }
  return ids;
}

}  // namespace spar::data
