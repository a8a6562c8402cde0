#include "spar/data/interactions.hpp"

#include <algorithm>
#include <cstring>

#include "csr_slice.hpp"

#include "spar/base/error.hpp"

namespace spar::data {

namespace {

UserLists read_any(const store::ArrayFile& file, const std::string& offsets_array, const std::string& items_array,
                   Index first_user, Index end_user, bool ascending) {
  const CsrSlice slice = read_slice(file, offsets_array, items_array, first_user, end_user, "user");
  UserLists lists;
  lists.first_user = first_user;
  lists.items = read_entries<LargeVector<ItemId>>(file, items_array, slice);
  lists.offsets = slice.local_offsets();
  check_entries(file, items_array, lists.offsets, lists.items,
                {"user", "item", first_user, file.rows("/items/ids"), ascending});
  return lists;
}

template <class Values>
Values read_beside(const store::ArrayFile& file, Part part, const char* array, Index first_user, Index end_user) {
  const std::string path = part_array(part, array);
  if (!file.has(path)) return {};
  return read_entries<Values>(file, path,
                              read_slice(file, part_array(part, "offsets"), path, first_user, end_user, "user"));
}

}  // namespace

bool UserLists::contains(Index k, ItemId item) const {
  const std::span<const ItemId> of_user = of(k);
  return std::binary_search(of_user.begin(), of_user.end(), item);
}

UserLists read_lists(const store::ArrayFile& file, Part part, Index first_user, Index end_user) {
  return read_any(file, part_array(part, "offsets"), part_array(part, "items"), first_user, end_user, true);
}

UserLists read_negatives(const store::ArrayFile& file, Index first_user, Index end_user) {
  return read_any(file, "/test/negatives_offsets", "/test/negatives", first_user, end_user, false);
}

std::vector<float> read_ratings(const store::ArrayFile& file, Part part, Index first_user, Index end_user) {
  return read_beside<std::vector<float>>(file, part, "ratings", first_user, end_user);
}

std::vector<std::int64_t> read_times(const store::ArrayFile& file, Part part, Index first_user, Index end_user) {
  return read_beside<std::vector<std::int64_t>>(file, part, "times", first_user, end_user);
}

void read_values(const store::ArrayFile& file, Part part, UserLists& lists) {
  lists.ratings =
      read_beside<LargeVector<float>>(file, part, "ratings", lists.first_user, lists.first_user + lists.users());
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
