#include "data_tools/synth.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "data_tools/planted_model.hpp"
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
  const double room = std::floor(static_cast<double>(options.users) * static_cast<double>(options.items) / 2);
  if (options.interactions < 1 || static_cast<double>(options.interactions) > room) {
    throw UserError(fmt::format(
        "--interactions = {} is out of range: {} users and {} items have room for 1 to {:.0f} (half of all pairs)",
        options.interactions, options.users, options.items, room));
  }
}

std::string split_phrase(const SynthOptions& options) {
  if (options.split == "leave-one-out") return "leave-one-out, at random: one test and one validation item a user";
  if (options.split == "ratio")
    return fmt::format("ratio, at random by user: {} test, {} validation", options.test_share,
                       options.validation_share);
  return "none: all in train";
}

std::string source_phrase(const SynthOptions& options) {
  return fmt::format(
      "spar synth: {} users, {} items, {} interactions, seed {}, {} factors, affinity {}, exponents {} (popularity) "
      "and {} (activity)",
      options.users, options.items, options.interactions, options.seed, options.factors, options.affinity,
      options.popularity_exponent, options.activity_exponent);
}

/// The row groups whose rows this rank would hold in a training on so many ranks.
std::pair<int, int> own_groups(const comm::Communicator& communicator) {
  const ShardLayout layout{row_groups, communicator.size()};
  return {layout.first_shard(communicator.rank()), layout.end_shard(communicator.rank())};
}

class Generator {
 public:
  explicit Generator(const SynthOptions& options)
      : options_(options), model_(options), users_(options.users), items_(options.items) {}

  /// Collective: every rank counts its own groups.
  data::DatasetPlan plan(const comm::Communicator& communicator) const {
    std::vector<std::int64_t> counts(3 * row_groups, 0);
    const auto [first, end] = own_groups(communicator);
    parallel_for(end - first, [&, begin = first](int k) { count_group(begin + k, counts); });
    communicator.sum(counts);
    data::DatasetPlan plan;
    plan.name = options_.name;
    plan.source = source_phrase(options_);
    plan.split = split_phrase(options_);
    plan.users = options_.users;
    plan.items = options_.items;
    for (std::size_t p = 0; p < all_parts.size(); ++p) {
      const auto begin = counts.begin() + static_cast<std::ptrdiff_t>(p) * row_groups;
      plan.group_counts[p].assign(begin, begin + row_groups);
    }
    plan.user_id_bytes = id('u', options_.users - 1).size();
    plan.item_id_bytes = id('i', options_.items - 1).size();
    plan.attributes.push_back(store::Attribute::of("/", "seed", static_cast<std::int64_t>(options_.seed)));
    return plan;
  }

  void write_group(data::DatasetWriter& writer, int group) const {
    write_interactions(writer, group);
    writer.write_user_ids(group, ids('u', users_, group));
    writer.write_item_ids(group, ids('i', items_, group));
  }

 private:
  static std::string id(char kind, Index place) { return fmt::format("{}{}", kind, place); }

  static std::vector<std::string> ids(char kind, const data::RowDealing& dealing, int group) {
    const Partition groups{dealing.rows(), row_groups};
    std::vector<std::string> ids;
    for (Index row = groups.begin(group); row < groups.end(group); ++row)
      ids.push_back(id(kind, dealing.place_of_row(row)));
    return ids;
  }

  void count_group(int group, std::vector<std::int64_t>& counts) const {
    const Partition groups{options_.users, row_groups};
    SplitCounts sum;
    for (Index row = groups.begin(group); row < groups.end(group); ++row) {
      const SplitCounts of_user = model_.split_of(model_.interactions_of(users_.place_of_row(row)));
      sum.train += of_user.train;
      sum.validation += of_user.validation;
      sum.test += of_user.test;
    }
    const auto g = static_cast<std::size_t>(group);
    counts[g] = sum.train;
    counts[g + row_groups] = sum.validation;
    counts[g + 2 * row_groups] = sum.test;
  }

  void write_interactions(data::DatasetWriter& writer, int group) const {
    struct Lists {
      std::vector<std::int64_t> offsets{0};
      std::vector<ItemId> items;
    };
    std::array<Lists, 3> lists;
    PlantedModel::Scratch scratch;
    std::vector<ItemId> items;
    const Partition groups{options_.users, row_groups};
    for (Index row = groups.begin(group); row < groups.end(group); ++row) {
      const Index place = users_.place_of_row(row);
      const Index count = model_.interactions_of(place);
      model_.draw_items(place, count, scratch, items);
      for (ItemId& item : items) item = static_cast<ItemId>(items_.row_of_place(item));
      std::sort(items.begin(), items.end());
      const std::vector<std::uint8_t>& part = model_.draw_parts(place, count, scratch);
      for (std::size_t k = 0; k < items.size(); ++k) lists[part[k]].items.push_back(items[k]);
      for (Lists& of_part : lists) of_part.offsets.push_back(static_cast<std::int64_t>(of_part.items.size()));
    }
    for (const data::Part part : all_parts) {
      const Lists& of_part = lists[static_cast<std::size_t>(part)];
      writer.write_group(part, group, {of_part.offsets, of_part.items, {}, {}});
    }
  }

  SynthOptions options_;
  PlantedModel model_;
  data::RowDealing users_;
  data::RowDealing items_;
};

}  // namespace

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
