#include "data_tools/filters.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"

namespace spar::data_tools {

namespace {

using Counts = std::vector<std::int64_t>;

std::int64_t total(const Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}
std::int64_t present(const Counts& counts) {
  return std::count_if(counts.begin(), counts.end(), [](std::int64_t count) { return count > 0; });
}

/// Sets counts below `least` to 0; how many that were.
std::int64_t drop_below(Counts& counts, std::int64_t least) {
  std::int64_t dropped = 0;
  for (std::int64_t& count : counts) {
    if (count > 0 && count < least) {
      count = 0;
      ++dropped;
    }
  }
  return dropped;
}

}  // namespace

void recount(Collection& collection) {
  Counts users(collection.user_counts.size());
  Counts items(collection.item_counts.size());
  std::vector<Block> blocks(static_cast<std::size_t>(threads()));
  parallel_for_worker(static_cast<int>(collection.blocks->count()), [&](int k, int worker) {
    Block& block = blocks[static_cast<std::size_t>(worker)];
    collection.blocks->load_pairs(static_cast<std::size_t>(k), block);
    for (std::size_t u = 0; u < block.users.size(); ++u) {
      const std::uint32_t user = block.users[u];
      if (collection.user_counts[user] == 0) continue;
      for (std::size_t at = block.begins[u]; at < block.begins[u + 1]; ++at) {
        if (!is_kept(collection, block.items[at])) continue;
        ++users[user];
        add_shared(items[block.items[at]], 1);
      }
    }
  });
  collection.user_counts.swap(users);
  collection.item_counts.swap(items);
}

namespace {

/// One pass: both thresholds look at the same counts.
bool pass(Collection& collection, std::int64_t least_user, std::int64_t least_item) {
  const std::int64_t users = drop_below(collection.user_counts, least_user);
  const std::int64_t items = drop_below(collection.item_counts, least_item);
  if (users + items == 0) return false;
  recount(collection);
  collection.filtered = true;
  return true;
}

void report_drop(const std::string& reason, const std::string& what, std::int64_t rows, std::int64_t users,
                 std::int64_t items, const Collection& collection, ImportReport& report) {
  const std::int64_t dropped = rows - total(collection.user_counts);
  if (dropped == 0) return;
  report.drops.push_back({reason,
                          fmt::format("{} ({} users, {} items)", what, users - present(collection.user_counts),
                                      items - present(collection.item_counts)),
                          dropped});
}

}  // namespace

void filter_counts(Collection& collection, const SplitRules& rules, ImportReport& report) {
  const auto filter = [&](const std::string& reason, const std::string& what, const auto& run) {
    const std::int64_t rows = total(collection.user_counts);
    const std::int64_t users = present(collection.user_counts);
    const std::int64_t items = present(collection.item_counts);
    run();
    report_drop(reason, what, rows, users, items, collection, report);
  };
  if (rules.min_user > 1 || rules.min_item > 1) {
    filter("min_count",
           fmt::format("of users with fewer than {} or items with fewer than {} interactions", rules.min_user,
                       rules.min_item),
           [&] { pass(collection, rules.min_user, rules.min_item); });
  }
  if (rules.k_core > 1) {
    filter("k_core", fmt::format("outside the {}-core", rules.k_core), [&] {
      while (pass(collection, rules.k_core, rules.k_core)) {
      }
    });
  }
  if (total(collection.user_counts) > 0) return;
  std::vector<std::string> reasons;
  if (report.dislikes > 0) reasons.push_back(fmt::format("{} kept as dislikes", report.dislikes));
  for (const ImportReport::Drop& drop : report.drops)
    reasons.push_back(fmt::format("{} {}", drop.count, drop.sentence));
  if (report.rows_read == 0) throw UserError("no interactions were read: the input holds none");
  throw UserError(fmt::format("no interactions are left of {} read{}{}", report.rows_read, reasons.empty() ? "" : ": ",
                              fmt::join(reasons, "; ")));
}

}  // namespace spar::data_tools
