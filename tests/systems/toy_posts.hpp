#pragma once
#include <algorithm>
#include <vector>

#include "spar/data/posts.hpp"

/// Posts given by a rule, so that any rank can make those of any users.
namespace spar::test {

struct ToyPosts {
  Index users = 61;
  Index items = 23;
  Index tags = 37;
  /// Every post lacks exactly one tag: the other of a pair is then no matter of chance.
  bool one_missing = false;
  /// Each user has one post.
  bool one_post = false;

  bool has(Index user, Index item) const {
    if (user % 11 == 4 && !one_post) return false;
    return one_post ? item == user % items : item % 5 != 4 && (user * 3 + item * 5) % 9 < 2;
  }
  Index missing(Index user, Index item) const { return (user * 7 + item * 5 + 3) % tags; }
  std::vector<std::uint32_t> tags_of(Index user, Index item) const {
    std::vector<std::uint32_t> list;
    for (Index tag = 0; tag < tags; ++tag) {
      const bool given = one_missing ? tag != missing(user, item) : (tag * 5 + user + 3 * item) % 13 < 2 + user % 3;
      if (given) list.push_back(static_cast<std::uint32_t>(tag));
    }
    return list;
  }
  data::Posts posts(Index first, Index end) const {
    data::Posts all;
    all.first_user = first;
    for (Index user = first; user < end; ++user) {
      for (Index item = 0; item < items; ++item) {
        if (!has(user, item)) continue;
        const auto list = tags_of(user, item);
        all.items.push_back(static_cast<ItemId>(item));
        all.tags.insert(all.tags.end(), list.begin(), list.end());
        all.tag_offsets.push_back(static_cast<std::int64_t>(all.tags.size()));
      }
      all.offsets.push_back(static_cast<std::int64_t>(all.items.size()));
    }
    return all;
  }
  data::PostRows rows(Index first, Index end) const { return data::rows_of(posts(first, end)); }
};

}  // namespace spar::test
