#include <algorithm>
#include <cstring>
#include <numeric>

#include "csr_slice.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/data/attributes.hpp"
#include "spar/data/bags.hpp"
#include "spar/data/dislikes.hpp"
#include "spar/data/features.hpp"
#include "spar/data/graphs.hpp"
#include "spar/data/histories.hpp"
#include "spar/data/interactions.hpp"
#include "spar/data/posts.hpp"

namespace spar::data {

namespace {

SparseRows read_sparse(const store::ArrayFile& file, const SideDescription& side, Index first_row, Index end_row,
                       const char* entries, const char* row, const char* entry) {
  const auto path = [&](const char* array) { return side_array(side.kind, side.side, side.name, array); };
  const CsrSlice slice = read_slice(file, path("offsets"), path(entries), first_row, end_row, row);
  SparseRows rows;
  rows.first_row = first_row;
  rows.offsets = slice.local_offsets();
  rows.columns = read_entries<LargeVector<std::uint32_t>>(file, path(entries), slice);
  if (side.weighted) rows.weights = read_entries<LargeVector<float>>(file, path("weights"), slice);
  check_entries(file, path(entries), rows.offsets, rows.columns, {row, entry, first_row, side.width, true});
  return rows;
}

}  // namespace

FeatureRows read_features(const store::ArrayFile& file, Side side, const std::string& name, Index first_row,
                          Index end_row) {
  const SideDescription features = find_side_data(file, SideKind::features, side, name);
  const auto path = [&](const char* array) { return side_array(features.kind, side, name, array); };
  FeatureRows rows;
  rows.first_row = first_row;
  rows.width = features.width;
  rows.values = read_rows<LargeVector<float>>(file, path(""), first_row, end_row);
  if (features.entries < features.rows)
    rows.present = read_rows<std::vector<std::uint32_t>>(file, path("present"), first_row, end_row);
  return rows;
}

std::vector<std::uint32_t> read_attribute(const store::ArrayFile& file, Side side, const std::string& name,
                                          Index first_row, Index end_row) {
  const SideDescription attribute = find_side_data(file, SideKind::attribute, side, name);
  const std::string path = side_array(attribute.kind, side, name);
  std::vector<std::uint32_t> codes = read_rows<std::vector<std::uint32_t>>(file, path, first_row, end_row);
  const auto wrong =
      std::find_if(codes.begin(), codes.end(), [&](std::uint32_t code) { return code >= attribute.width; });
  if (wrong != codes.end()) {
    throw_damaged(file, fmt::format("row {} in {} has code {}, but there are {} categories",
                                    first_row + (wrong - codes.begin()), path, *wrong, attribute.width));
  }
  return codes;
}

std::vector<std::string> read_attribute_values(const store::ArrayFile& file, Side side, const std::string& name) {
  const SideDescription attribute = find_side_data(file, SideKind::attribute, side, name);
  const std::string path = side_array(attribute.kind, side, name, "values");
  const std::size_t bytes = file.text_size(path);
  std::vector<char> packed(static_cast<std::size_t>(attribute.width) * bytes);
  file.read_segments(path, {0, attribute.width}, 0, 1, packed.data());
  std::vector<std::string> values;
  for (std::size_t at = 0; at < packed.size(); at += bytes)
    values.emplace_back(&packed[at], strnlen(&packed[at], bytes));
  return values;
}

SparseRows read_bags(const store::ArrayFile& file, Side side, const std::string& name, Index first_row, Index end_row) {
  return read_sparse(file, find_side_data(file, SideKind::bag, side, name), first_row, end_row, "entries", "row",
                     "word");
}

std::vector<std::string> read_vocabulary(const store::ArrayFile& file, Side side, const std::string& name, Index first,
                                         Index count) {
  find_side_data(file, SideKind::bag, side, name);
  return read_ids(file, side_array(SideKind::bag, side, name, "vocabulary"), first, count);
}

SparseRows read_edges(const store::ArrayFile& file, const std::string& name, Index first_user, Index end_user) {
  return read_sparse(file, find_side_data(file, SideKind::graph, Side::users, name), first_user, end_user, "neighbours",
                     "user", "user");
}

Posts read_posts(const store::ArrayFile& file, Part part, Index first_user, Index end_user) {
  const SideDescription tags = find_side_data(file, SideKind::tags, Side::users, "tags");
  const auto path = [&](const char* array) {
    return side_array(tags.kind, tags.side, tags.name, fmt::format("{}/{}", part_name(part), array));
  };
  const CsrSlice by_user = read_slice(file, path("offsets"), path("items"), first_user, end_user, "user");
  const CsrSlice by_post =
      read_slice(file, path("tag_offsets"), path("tags"), by_user.segment_rows, by_user.groups, "post");
  Posts posts;
  posts.first_user = first_user;
  posts.offsets = by_user.local_offsets();
  posts.items = read_entries<LargeVector<ItemId>>(file, path("items"), by_user);
  posts.tag_offsets = by_post.local_offsets();
  posts.tags = read_entries<LargeVector<std::uint32_t>>(file, path("tags"), by_post);
  if (tags.timed) posts.times = read_entries<std::vector<std::int64_t>>(file, path("times"), by_post);
  check_entries(file, path("items"), posts.offsets, posts.items,
                {"user", "item", first_user, file.rows("/items/ids"), true});
  check_entries(file, path("tags"), posts.tag_offsets, posts.tags, {"post", "tag", by_user.first(), tags.width, true});
  return posts;
}

std::vector<std::string> read_tags(const store::ArrayFile& file, Index first, Index count) {
  const SideDescription tags = find_side_data(file, SideKind::tags, Side::users, "tags");
  return read_ids(file, side_array(tags.kind, tags.side, tags.name, "ids"), first, count);
}

UserLists read_dislikes(const store::ArrayFile& file, Index first_user, Index end_user) {
  const SideDescription dislikes = find_side_data(file, SideKind::dislikes, Side::users, "dislikes");
  const auto path = [&](const char* array) { return side_array(dislikes.kind, dislikes.side, dislikes.name, array); };
  const CsrSlice slice = read_slice(file, path("offsets"), path("items"), first_user, end_user, "user");
  UserLists lists;
  lists.first_user = first_user;
  lists.items = read_entries<LargeVector<ItemId>>(file, path("items"), slice);
  lists.offsets = slice.local_offsets();
  check_entries(file, path("items"), lists.offsets, lists.items, {"user", "item", first_user, dislikes.width, true});
  return lists;
}

std::vector<std::int64_t> read_dislike_times(const store::ArrayFile& file, Index first_user, Index end_user) {
  const SideDescription dislikes = find_side_data(file, SideKind::dislikes, Side::users, "dislikes");
  if (!dislikes.timed) return {};
  const auto path = [&](const char* array) { return side_array(dislikes.kind, dislikes.side, dislikes.name, array); };
  return read_entries<std::vector<std::int64_t>>(
      file, path("times"), read_slice(file, path("offsets"), path("times"), first_user, end_user, "user"));
}

void require_times(const store::ArrayFile& file) {
  if (file.has(part_array(Part::train, "times"))) return;
  throw UserError(fmt::format(
      "{} has no times, so the order of a user's interactions is not known: import it with a time column, or with "
      "--ordered where the lines stand oldest first",
      file.path()));
}

Histories read_histories(const store::ArrayFile& file, Part part, Index first_user, Index end_user) {
  require_times(file);
  UserLists lists = read_lists(file, part, first_user, end_user);
  const std::vector<std::int64_t> times = read_times(file, part, first_user, end_user);
  Histories histories;
  histories.first_user = first_user;
  histories.items.resize(lists.items.size());
  histories.times.resize(times.size());
  std::vector<std::size_t> order;
  for (Index user = 0; user < lists.users(); ++user) {
    const auto begin = static_cast<std::size_t>(lists.offsets[static_cast<std::size_t>(user)]);
    order.resize(lists.of(user).size());
    std::iota(order.begin(), order.end(), begin);
    // Items ascend within a user, so a stable sort leaves equal times by item row.
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return times[a] < times[b]; });
    for (std::size_t k = 0; k < order.size(); ++k) {
      histories.items[begin + k] = lists.items[order[k]];
      histories.times[begin + k] = times[order[k]];
    }
  }
  histories.offsets = std::move(lists.offsets);
  return histories;
}

void read_order(const store::ArrayFile& file, Part part, UserLists& lists) {
  lists.by_time = read_histories(file, part, lists.first_user, lists.first_user + lists.users()).items;
}

}  // namespace spar::data
