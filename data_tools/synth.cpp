#include "data_tools/synth.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "data_tools/numbers.hpp"
#include "data_tools/planted_model.hpp"
#include "data_tools/planted_side.hpp"
#include "data_tools/separator.hpp"
#include "data_tools/target.hpp"
#include "spar/base/error.hpp"
#include "spar/base/sharding.hpp"
#include "spar/base/threads.hpp"
#include "spar/data/dataset_writer.hpp"

namespace spar::data_tools {

namespace {

constexpr std::array<data::Part, 3> all_parts = {data::Part::train, data::Part::validation, data::Part::test};

template <class T>
void check_range(const char* option, T value, T least, T most) {
  if (!(value >= least && value <= most))
    throw UserError(fmt::format("{} = {} is out of range: it must lie between {} and {}", option, value, least, most));
}

void check_side(const SynthOptions& options) {
  check_range<Index>("--item-features", options.feature_width, 0, 65536);
  check_range("--cold-items", options.cold_items, 0.0, 0.9);
  check_range<Index>("--tags", options.tags, 0, std::numeric_limits<std::uint32_t>::max() - 1);
  check_range("--friends", options.friends, 0.0, 10000.0);
  if (options.friends > 0)
    check_range<Index>("--users", options.users, 1, std::numeric_limits<std::uint32_t>::max() - 1);
  for (std::size_t k = 0; k < options.attributes.size(); ++k) {
    const std::string& name = options.attributes[k].name;
    if (std::any_of(options.attributes.begin(), options.attributes.begin() + static_cast<std::ptrdiff_t>(k),
                    [&](const PlantedAttribute& other) { return other.name == name; }))
      throw UserError(fmt::format("--user-attribute {} is given twice", name));
  }
}

void check_options(const SynthOptions& options) {
  constexpr Index most_users = Index{1} << 40;
  constexpr Index most_items = std::numeric_limits<ItemId>::max() - 1;
  check_range<Index>("--users", options.users, 1, most_users);
  check_range<Index>("--items", options.items, 1, most_items);
  check_range("--factors", options.factors, 1, 64);
  check_range("--affinity", options.affinity, 0.0, 50.0);
  check_range("--popularity-exponent", options.popularity_exponent, 0.0, 5.0);
  check_range("--activity-exponent", options.activity_exponent, 0.0, 5.0);
  check_range("--test-share", options.test_share, 0.0, 0.9);
  check_range("--validation-share", options.validation_share, 0.0, 0.9 - options.test_share);
  if (options.split != "leave-one-out" && options.split != "ratio" && options.split != "none") {
    throw UserError(fmt::format("--split = {} is unknown: choose leave-one-out, ratio or none", options.split));
  }
  check_side(options);
  const double room = std::floor(static_cast<double>(options.users) * static_cast<double>(options.items) / 2);
  if (options.interactions < 1 || static_cast<double>(options.interactions) > room) {
    throw UserError(fmt::format(
        "--interactions = {} is out of range: {} users and {} items have room for 1 to {:.0f} (half of all pairs)",
        options.interactions, options.users, options.items, room));
  }
}

std::string plain_split_phrase(const SynthOptions& options) {
  if (options.split == "leave-one-out") return "leave-one-out, at random: one test and one validation item a user";
  if (options.split == "ratio")
    return fmt::format("ratio, at random by user: {} test, {} validation", options.test_share,
                       options.validation_share);
  return "none: all in train";
}

std::string split_phrase(const SynthOptions& options) {
  const std::string cold = options.cold_items > 0 ? "; cold items in test only" : "";
  return plain_split_phrase(options) + cold;
}

std::string side_phrase(const SynthOptions& options) {
  std::string phrase;
  if (options.feature_width > 0) phrase += fmt::format(", features {}", options.feature_width);
  if (options.cold_items > 0) phrase += fmt::format(", cold items {}", options.cold_items);
  for (const PlantedAttribute& attribute : options.attributes)
    phrase += fmt::format(", attribute {}:{}:{}", attribute.name, attribute.categories, attribute.strength);
  if (options.tags > 0) phrase += fmt::format(", tags {}", options.tags);
  if (options.friends > 0) phrase += fmt::format(", friends {}", options.friends);
  return phrase;
}

std::string source_phrase(const SynthOptions& options) {
  return fmt::format(
      "spar synth: {} users, {} items, {} interactions, seed {}, {} factors, affinity {}, exponents {} (popularity) "
      "and {} (activity){}",
      options.users, options.items, options.interactions, options.seed, options.factors, options.affinity,
      options.popularity_exponent, options.activity_exponent, side_phrase(options));
}

/// The row groups whose rows this rank would hold in a training on so many ranks.
std::pair<int, int> own_groups(const comm::Communicator& communicator) {
  const ShardLayout layout{row_groups, communicator.size()};
  return {layout.first_shard(communicator.rank()), layout.end_shard(communicator.rank())};
}

/// Counts by group of users: interactions, posts and assignments, by part, then edges.
class GroupCounts {
 public:
  GroupCounts() : counts_(10 * row_groups, 0) {}
  std::int64_t& interactions(std::size_t part, int group) { return at(part, group); }
  std::int64_t& posts(std::size_t part, int group) { return at(3 + part, group); }
  std::int64_t& assignments(std::size_t part, int group) { return at(6 + part, group); }
  std::int64_t& edges(int group) { return at(9, group); }
  /// Collective.
  void sum(const comm::Communicator& communicator) { communicator.sum(counts_); }
  std::vector<std::int64_t> interactions(std::size_t part) const { return all(part); }
  std::vector<std::int64_t> posts(std::size_t part) const { return all(3 + part); }
  std::vector<std::int64_t> assignments(std::size_t part) const { return all(6 + part); }
  std::vector<std::int64_t> edges() const { return all(9); }

 private:
  std::int64_t& at(std::size_t kind, int group) { return counts_[kind * row_groups + static_cast<std::size_t>(group)]; }
  std::vector<std::int64_t> all(std::size_t kind) const {
    const auto begin = counts_.begin() + static_cast<std::ptrdiff_t>(kind) * row_groups;
    return {begin, begin + row_groups};
  }
  std::vector<std::int64_t> counts_;
};

class Generator {
 public:
  explicit Generator(const SynthOptions& options)
      : options_(options),
        model_(options),
        users_(options.users),
        items_(options.items),
        side_(options_, model_, users_, items_) {}
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  /// Collective: every rank counts its own groups.
  data::DatasetPlan plan(const comm::Communicator& communicator) const {
    GroupCounts counts;
    const auto [first, end] = own_groups(communicator);
    parallel_for(end - first, [&, begin = first](int k) { count_group(begin + k, counts); });
    counts.sum(communicator);
    data::DatasetPlan plan;
    plan.name = options_.name;
    plan.source = source_phrase(options_);
    plan.split = split_phrase(options_);
    plan.users = options_.users;
    plan.items = options_.items;
    for (std::size_t p = 0; p < all_parts.size(); ++p) plan.group_counts[p] = counts.interactions(p);
    plan.user_id_bytes = id('u', options_.users - 1).size();
    plan.item_id_bytes = id('i', options_.items - 1).size();
    plan.side = side_.plans();
    for (data::SidePlan& side : plan.side) {
      if (side.kind == data::SideKind::graph) side.group_entries[0] = counts.edges();
      for (std::size_t p = 0; p < 3 && side.kind == data::SideKind::tags; ++p) {
        side.group_posts[p] = counts.posts(p);
        side.group_entries[p] = counts.assignments(p);
      }
    }
    plan.attributes.push_back(store::Attribute::of("/", "seed", static_cast<std::int64_t>(options_.seed)));
    return plan;
  }

  void write_group(data::DatasetWriter& writer, int group) const {
    const GroupLists lists = draw_group(group);
    for (const data::Part part : all_parts) {
      const auto p = static_cast<std::size_t>(part);
      writer.write_group(part, group, {lists.offsets[p], lists.items[p], {}, {}});
      const PlantedSide::Posts& posts = lists.posts[p];
      if (side_.has_posts()) {
        data::SideWriter(writer, side_.tags_index())
            .write_posts(part, group, {posts.offsets, posts.items, posts.tag_offsets, posts.tags, {}});
      }
    }
    side_.write_group(writer, group);
    writer.write_user_ids(group, ids('u', users_, group));
    writer.write_item_ids(group, ids('i', items_, group));
  }

 private:
  /// The users of a group, one after the other.
  struct GroupLists {
    std::array<std::vector<std::int64_t>, 3> offsets{{{0}, {0}, {0}}};
    std::array<std::vector<ItemId>, 3> items;
    PlantedSide::Posts posts[3];
  };

  static std::string id(char kind, Index place) { return fmt::format("{}{}", kind, place); }

  static std::vector<std::string> ids(char kind, const data::RowDealing& dealing, int group) {
    const Partition groups{dealing.rows(), row_groups};
    std::vector<std::string> ids;
    for (Index row = groups.begin(group); row < groups.end(group); ++row)
      ids.push_back(id(kind, dealing.place_of_row(row)));
    return ids;
  }

  void count_group(int group, GroupCounts& counts) const {
    counts.edges(group) = side_.count_edges(group);
    // How many items of a user are cold or posted shows only when they are drawn.
    if (options_.cold_items > 0 || side_.has_posts()) {
      const GroupLists lists = draw_group(group);
      for (std::size_t p = 0; p < 3; ++p) {
        counts.interactions(p, group) = lists.offsets[p].back();
        counts.posts(p, group) = static_cast<std::int64_t>(lists.posts[p].items.size());
        counts.assignments(p, group) = lists.posts[p].tag_offsets.back();
      }
      return;
    }
    const Partition groups{options_.users, row_groups};
    for (Index row = groups.begin(group); row < groups.end(group); ++row) {
      const SplitCounts of_user = model_.split_of(model_.interactions_of(users_.place_of_row(row)));
      counts.interactions(0, group) += of_user.train;
      counts.interactions(1, group) += of_user.validation;
      counts.interactions(2, group) += of_user.test;
    }
  }

  GroupLists draw_group(int group) const {
    GroupLists lists;
    PlantedModel::Scratch scratch;
    std::vector<ItemId> items, warm;
    const Partition groups{options_.users, row_groups};
    for (Index row = groups.begin(group); row < groups.end(group); ++row) {
      const Index place = users_.place_of_row(row);
      model_.draw_items(place, model_.interactions_of(place), scratch, items);
      for (ItemId& item : items) item = static_cast<ItemId>(items_.row_of_place(item));
      std::sort(items.begin(), items.end());
      add_lists(place, items, warm, scratch, lists);
      if (side_.has_posts()) side_.add_posts(place, items, lists.posts);
    }
    return lists;
  }

  void add_lists(Index place, const std::vector<ItemId>& items, std::vector<ItemId>& warm,
                 PlantedModel::Scratch& scratch, GroupLists& lists) const {
    warm = items;
    if (options_.cold_items > 0)
      std::erase_if(warm, [&](ItemId item) { return side_.is_cold(items_.place_of_row(item)); });
    const std::vector<std::uint8_t>& part = model_.draw_parts(place, static_cast<Index>(warm.size()), scratch);
    std::size_t next = 0;
    for (const ItemId item : items) {
      const bool is_warm = next < warm.size() && warm[next] == item;
      lists.items[is_warm ? part[next++] : static_cast<std::size_t>(data::Part::test)].push_back(item);
    }
    for (std::size_t p = 0; p < 3; ++p) lists.offsets[p].push_back(static_cast<std::int64_t>(lists.items[p].size()));
  }

  SynthOptions options_;
  PlantedModel model_;
  data::RowDealing users_;
  data::RowDealing items_;
  PlantedSide side_;
};

}  // namespace

PlantedAttribute parse_planted_attribute(const std::string& text) {
  const std::vector<std::string> pieces = Separator{Separator::Kind::byte, ":"}.cut(text);
  const auto number = [&](std::size_t k) { return pieces.size() == 3 ? to_number(pieces[k]) : std::nullopt; };
  const auto categories = number(1);
  const auto strength = number(2);
  if (!categories || !strength || !data::is_side_name(pieces[0]) || *categories != std::floor(*categories) ||
      *categories < 2 || *categories > 1000 || *strength < 0 || *strength > 1) {
    throw UserError(
        fmt::format("--user-attribute {} must be NAME:CATEGORIES:STRENGTH with 2 to 1000 categories and a "
                    "strength from 0 to 1, for instance gender:2:0.8",
                    text));
  }
  return {pieces[0], static_cast<Index>(*categories), *strength};
}

std::vector<std::string> synth(const comm::Communicator& communicator, const SynthOptions& options) {
  std::vector<std::string> notes;
  comm::agree(communicator, [&] {
    check_options(options);
    if (!communicator.is_root()) return;
    check_target(options.to);
    notes = sweep_target(options.to);
  });
  const Generator generator(options);
  data::DatasetWriter writer =
      data::DatasetWriter::create_together(communicator, options.to, generator.plan(communicator));
  comm::agree(communicator, [&] {
    const auto [first, end] = own_groups(communicator);
    parallel_for(end - first, [&, begin = first](int k) { generator.write_group(writer, begin + k); });
  });
  writer.commit_together(communicator);
  return notes;
}

}  // namespace spar::data_tools
