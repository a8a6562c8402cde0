#include "data_tools/finishing.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "data_tools/dislikes.hpp"
#include "data_tools/filters.hpp"
#include "data_tools/held_out.hpp"
#include "data_tools/placing.hpp"
#include "spar/base/error.hpp"
#include "spar/base/threads.hpp"
#include "spar/data/dataset_file.hpp"

namespace spar::data_tools {

ThreadScope::ThreadScope(int threads) : before_(spar::threads()) {
  set_threads(threads > 0 ? threads : available_processors());
}

ThreadScope::~ThreadScope() {
  set_threads(before_);
}

void check_rules(const SplitRules& rules) {
  const auto check = [](const char* option, int value) {
    if (value < 0) throw UserError(fmt::format("{} must not be negative, but is {}", option, value));
  };
  check("--k-core", rules.k_core);
  check("--min-user", rules.min_user);
  check("--min-item", rules.min_item);
  check("--candidates", rules.candidates);
}

namespace {

std::string filters_phrase(const SplitRules& rules) {
  std::vector<std::string> filters;
  if (rules.min_rating) filters.push_back(fmt::format("rating at least {}", *rules.min_rating));
  if (rules.dislikes_below) filters.push_back(fmt::format("rating below {}: dislikes", *rules.dislikes_below));
  if (rules.min_user > 1) filters.push_back(fmt::format("users with at least {}, one pass", rules.min_user));
  if (rules.min_item > 1) filters.push_back(fmt::format("items with at least {}, one pass", rules.min_item));
  if (rules.k_core > 1) filters.push_back(fmt::format("{}-core", rules.k_core));
  return filters.empty() ? "none" : fmt::format("{}", fmt::join(filters, "; "));
}

}  // namespace

void finish(Collection& collection, const SplitRules& rules, ResolvedSplit split, const Destination& destination,
            const Finish& how, ImportReport& report) {
  filter_counts(collection, rules, report);
  find_moments(collection, rules, split);
  hold_out_users(collection, split, report);
  const bool keep = how.keep && report.drops.empty();
  const RowMap users =
      keep ? keep_rows(collection.users.size()) : deal(collection.user_counts, collection.users.size());
  const RowMap items =
      keep ? keep_rows(collection.items.size()) : deal(collection.item_counts, collection.items_with_rows);

  SideSet side(destination.place, users.rows(), items.rows());
  how.read_side(users, items, side);
  place_dislikes(collection, users, items, split, side, report);
  side.finish(how.strict_side, report);

  Title title;
  title.to = report.to = destination.to;
  title.name = report.name =
      destination.name.empty() ? std::filesystem::path(destination.to).stem().string() : destination.name;
  title.source = destination.source;
  title.place = destination.place;
  title.filters = filters_phrase(rules);
  write_dataset(collection, users, items, split, title, side, report);
  report.content = data::read_header(data::open_dataset(destination.to)).content;
}

}  // namespace spar::data_tools
