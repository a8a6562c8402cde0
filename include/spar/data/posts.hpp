#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "spar/base/memory.hpp"
#include "spar/base/types.hpp"
#include "spar/data/dataset_file.hpp"
#include "spar/data/interactions.hpp"
#include "spar/data/side_data.hpp"
#include "spar/store/array_file.hpp"

/// Tag assignments (user, item, tag), the three-way relation of tag recommendation (Rendle and Schmidt-Thieme, WSDM
/// 2010). A *post* is a pair of user and item with all the tags that the user gave it. Posts lie by user, in three
/// parts of their own (train, validation, test), which have nothing to do with the parts of the interactions. Tags are
/// rows of a third id space, dealt like users and items (RowDealing, by falling number of assignments, equal numbers by
/// text), so a table with a row a tag shards evenly: Partition{tags, shards}.
namespace spar::data {

/// Posts of consecutive users [first_user, first_user + users()), by user, then by item row.
struct Posts {
  Index first_user = 0;
  LargeVector<std::int64_t> offsets{0};      ///< users() + 1: the posts of local user k are offsets[k] .. offsets[k+1]
  LargeVector<ItemId> items;                 ///< by post; item rows, ascending within a user
  LargeVector<std::int64_t> tag_offsets{0};  ///< posts + 1: the tags of post p are tag_offsets[p] .. tag_offsets[p+1]
  LargeVector<std::uint32_t> tags;           ///< tag rows, ascending and distinct within a post, at least one
  std::vector<std::int64_t> times;           ///< as tags; empty where the file has none

  Index users() const { return static_cast<Index>(offsets.size()) - 1; }
  Index count() const { return offsets.back(); }
  std::int64_t assignments() const { return tag_offsets.back(); }
  /// The tags T_ui of post p.
  std::span<const std::uint32_t> tags_of(Index p) const {
    const auto begin = static_cast<std::size_t>(tag_offsets[static_cast<std::size_t>(p)]);
    const auto end = static_cast<std::size_t>(tag_offsets[static_cast<std::size_t>(p) + 1]);
    return {tags.data() + begin, end - begin};
  }
};

/// The posts of consecutive users as rows of lists: what looks for the items of a user finds the tags of a post in the
/// same way. Posts are counted on this rank alone, by user, then by item row.
struct PostRows {
  UserLists tags;                        ///< by post; first_user is 0
  LargeVector<std::int64_t> offsets{0};  ///< the posts of local user k are offsets[k] .. offsets[k+1]
  LargeVector<std::uint32_t> users;      ///< by post: global user rows, ascending
  LargeVector<ItemId> items;             ///< by post: global item rows
  Index first_user = 0;                  ///< of offsets

  Index count() const { return tags.users(); }
};

/// The same posts, without times. Moves what it can.
PostRows rows_of(Posts posts);

/// Reads one part of the posts of users [first_user, end_user) and verifies their checksums; both bounds are boundaries
/// of row groups. Any rank may call it alone. UserError as read_features.
Posts read_posts(const store::ArrayFile& file, Part part, Index first_user, Index end_user);

/// The texts of tags [first, first + count); any range.
std::vector<std::string> read_tags(const store::ArrayFile& file, Index first, Index count);

}  // namespace spar::data
