#include "data_tools/held_out.hpp"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "data_tools/filters.hpp"
#include "spar/base/error.hpp"
#include "spar/base/random.hpp"
#include "spar/base/threads.hpp"

namespace spar::data_tools {

namespace {

constexpr auto training = static_cast<std::uint8_t>(data::Part::train);
// Apart from the blocks that draw within a user.
constexpr std::uint32_t choice_of_users = 1;

using Numbered = std::pair<std::uint64_t, std::uint32_t>;  // drawn number, user

std::vector<std::uint8_t> draw_roles(const Collection& collection, const ResolvedSplit& split) {
  const HeldOutUsers& wanted = *split.held_out;
  const std::vector<std::uint64_t> hashes = collection.users.hashes();
  const RandomStream stream(split.seed, Purpose::split);
  std::vector<Numbered> eligible;
  for (std::uint32_t user = 0; user < collection.user_counts.size(); ++user) {
    if (collection.user_counts[user] < 2) continue;
    const std::uint64_t hash = hashes[user];
    const auto block =
        stream.block(static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(hash >> 32), choice_of_users);
    eligible.emplace_back(word64(block, 0), user);
  }
  const auto held_out = static_cast<std::size_t>(wanted.validation + wanted.test);
  if (held_out >= eligible.size()) {
    throw UserError(
        fmt::format("--held-out-users {},{} leaves nobody to train on: {} users have two or more interactions",
                    wanted.validation, wanted.test, eligible.size()));
  }
  std::nth_element(eligible.begin(), eligible.begin() + static_cast<std::ptrdiff_t>(held_out), eligible.end());
  std::sort(eligible.begin(), eligible.begin() + static_cast<std::ptrdiff_t>(held_out));
  std::vector<std::uint8_t> roles(collection.user_counts.size(), training);
  for (std::size_t k = 0; k < held_out; ++k) {
    const data::Part part = k < static_cast<std::size_t>(wanted.test) ? data::Part::test : data::Part::validation;
    roles[eligible[k].second] = static_cast<std::uint8_t>(part);
  }
  return roles;
}

void drop_unseen_items(const std::vector<std::uint8_t>& roles, Collection& collection, ImportReport& report) {
  std::vector<std::uint8_t> seen(collection.item_counts.size());
  std::vector<Block> blocks(static_cast<std::size_t>(threads()));
  parallel_for_worker(static_cast<int>(collection.blocks->count()), [&](int k, int worker) {
    Block& block = blocks[static_cast<std::size_t>(worker)];
    collection.blocks->load_pairs(static_cast<std::size_t>(k), block);
    for (std::size_t u = 0; u < block.users.size(); ++u) {
      const std::uint32_t user = block.users[u];
      if (collection.user_counts[user] == 0 || roles[user] != training) continue;
      for (std::size_t at = block.begins[u]; at < block.begins[u + 1]; ++at)
        __atomic_store_n(&seen[block.items[at]], std::uint8_t{1}, __ATOMIC_RELAXED);
    }
  });
  std::int64_t interactions = 0, items = 0;
  for (std::size_t item = 0; item < seen.size(); ++item) {
    if (seen[item] != 0 || collection.item_counts[item] == 0) continue;
    interactions += std::exchange(collection.item_counts[item], 0);
    ++items;
  }
  if (items == 0) return;
  collection.filtered = true;
  recount(collection);
  report.drops.push_back({"unseen_items", fmt::format("with {} items that no training user has", items), interactions});
}

}  // namespace

void hold_out_users(Collection& collection, ResolvedSplit& split, ImportReport& report) {
  if (!split.held_out) return;
  auto roles = std::make_shared<const std::vector<std::uint8_t>>(draw_roles(collection, split));
  if (split.held_out->drop_unseen) drop_unseen_items(*roles, collection, report);
  split.roles = std::move(roles);
}

}  // namespace spar::data_tools
