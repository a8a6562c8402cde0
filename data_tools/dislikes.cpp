#include "data_tools/dislikes.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/sharding.hpp"
#include "spar/base/threads.hpp"
#include "spar/data/dislikes.hpp"

namespace spar::data_tools {

namespace {

constexpr std::int64_t no_moment = std::numeric_limits<std::int64_t>::max();

// From when on nothing is known to training.
std::int64_t end_of_training(const ResolvedSplit& split) {
  std::int64_t end = no_moment;
  if (split.test == SplitKind::temporal) end = split.test_from;
  if (split.validation == SplitKind::temporal) end = std::min(end, split.validation_from);
  return end;
}

struct Dropped {
  std::int64_t without_row = 0, later = 0, users = 0;
  std::vector<std::uint8_t> items;  // by number: 1 where it has no row and somebody dislikes it
};

}  // namespace

void check_dislikes(const SplitRules& rules) {
  if (!rules.dislikes_below || !rules.min_rating || *rules.dislikes_below <= *rules.min_rating) return;
  throw UserError(
      fmt::format("--dislikes-below {0} is above --min-rating {1}: what is rated from {1} to below {0} would be an "
                  "interaction and a dislike",
                  *rules.dislikes_below, *rules.min_rating));
}

void load_dislikes(const store::ArrayFile& file, const SpillPlace& place, Collection& collection) {
  if (!file.has("/dislikes/items")) return;
  const auto users = static_cast<Index>(collection.users.size());
  collection.dislikes.blocks = std::make_unique<BlockStore>(place, collection.blocks->count());
  collection.dislikes.pairs = file.rows("/dislikes/items");
  BlockStore& blocks = *collection.dislikes.blocks;
  parallel_for(static_cast<int>(blocks.count()), [&](int k) {
    const Partition ranges{users, static_cast<int>(blocks.count())};
    const data::UserLists lists = data::read_dislikes(file, ranges.begin(k), ranges.end(k));
    Block block;
    block.items.assign(lists.items.begin(), lists.items.end());
    block.times = data::read_dislike_times(file, ranges.begin(k), ranges.end(k));
    for (Index user = 0; user < lists.users(); ++user) {
      if (lists.of(user).empty()) continue;
      block.users.push_back(static_cast<std::uint32_t>(lists.first_user + user));
      block.begins.push_back(static_cast<std::uint64_t>(lists.offsets[static_cast<std::size_t>(user) + 1]));
    }
    blocks.save(static_cast<std::size_t>(k), block);
  });
}

void place_dislikes(const Collection& collection, const RowMap& users, const RowMap& items, const ResolvedSplit& split,
                    SideSet& set, ImportReport& report) {
  const Dislikes& dislikes = collection.dislikes;
  if (!dislikes.blocks) return;
  constexpr std::int64_t bytes_a_pair = 16;
  const std::int64_t end = end_of_training(split);
  const bool timed = collection.schema.times;
  auto [sink, entry] = set.add_dislikes(report.inputs.front().path, timed, dislikes.pairs * bytes_a_pair);
  entry.layout = dislikes.rule;
  Dropped dropped;
  dropped.items.resize(items.row_of.size());
  Block block;
  for (std::size_t k = 0; k < dislikes.blocks->count(); ++k) {
    dislikes.blocks->load(k, block);
    for (std::size_t u = 0; u < block.users.size(); ++u) {
      const std::uint32_t user = users.row_of[block.users[u]];
      dropped.users += user == no_row ? 1 : 0;
      for (std::size_t at = block.begins[u]; at < block.begins[u + 1]; ++at) {
        const std::uint32_t item = items.row_of[block.items[at]];
        if (item == no_row) dropped.items[block.items[at]] = 1;
        if (user == no_row || item == no_row) {
          ++dropped.without_row;
        } else if (timed && block.times[at] >= end) {
          ++dropped.later;
        } else {
          sink.add(user, item, timed ? block.times[at] : 0);
        }
      }
    }
  }
  const auto add = [&](const char* reason, const std::string& sentence, std::int64_t count) {
    if (count > 0) report.drops.push_back({reason, sentence, count});
  };
  add("dislikes.without_interactions",
      fmt::format("dislikes of users or items that have no interaction ({} users, {} items)", dropped.users,
                  std::count(dropped.items.begin(), dropped.items.end(), 1)),
      dropped.without_row);
  add("dislikes.later", fmt::format("dislikes from time {} on, which training must not know", end), dropped.later);
}

}  // namespace spar::data_tools
