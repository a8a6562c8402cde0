#include <utility>

#include "spar/data/posts.hpp"

namespace spar::data {

PostRows rows_of(Posts posts) {
  PostRows rows;
  rows.first_user = posts.first_user;
  rows.users.resize(static_cast<std::size_t>(posts.count()));
  for (Index user = 0; user < posts.users(); ++user) {
    const auto at = static_cast<std::size_t>(user);
    for (auto post = posts.offsets[at]; post < posts.offsets[at + 1]; ++post)
      rows.users[static_cast<std::size_t>(post)] = static_cast<std::uint32_t>(posts.first_user + user);
  }
  rows.offsets = std::move(posts.offsets);
  rows.items = std::move(posts.items);
  rows.tags.offsets = std::move(posts.tag_offsets);
  rows.tags.items = std::move(posts.tags);
  return rows;
}

}  // namespace spar::data
