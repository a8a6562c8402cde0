#pragma once
#include <string>
#include <vector>

#include "data/sample_dataset.hpp"

#include "spar/data/side_writer.hpp"

namespace spar::test {

/// A small data set with one of each kind of side data, all of them functions of the row.
struct SampleSide {
  SampleDataset base;
  static constexpr Index width = 3;       // of the features
  static constexpr Index words = 1031;    // of the bag
  static constexpr Index tags = 7;        // of the tags
  static constexpr Index categories = 4;  // of the attribute, "missing" included

  static bool has_features(Index item) { return item % 5 != 2; }
  static float feature(Index item, Index k) {
    return has_features(item) ? static_cast<float>(item) + 0.25F * static_cast<float>(k) : 0.0F;
  }
  static std::uint32_t code(Index user) { return static_cast<std::uint32_t>(user % categories); }
  static std::vector<std::uint32_t> words_of(Index item) {
    if (item % 3 == 0) return {};
    return {static_cast<std::uint32_t>(item), static_cast<std::uint32_t>(item + 11)};
  }
  static float weight(std::uint32_t word) { return static_cast<float>(word % 4) + 0.5F; }
  std::vector<std::uint32_t> friends_of(Index user) const {
    std::vector<std::uint32_t> friends;
    for (Index other = user % 2; other < base.users && friends.size() < 3; other += 3)
      if (other != user) friends.push_back(static_cast<std::uint32_t>(other));
    return friends;
  }
  /// Posts of a user: the items of the part's interactions, each with one or two tags.
  static std::vector<std::uint32_t> tags_of(ItemId item) {
    const auto first = static_cast<std::uint32_t>(item % tags);
    return first + 2 < tags ? std::vector<std::uint32_t>{first, first + 2} : std::vector<std::uint32_t>{first};
  }
  static std::int64_t tag_time(ItemId item, std::uint32_t tag) { return 1000 * std::int64_t{item} + tag; }
  static std::vector<std::string> texts(const std::string& prefix, Index first, Index end) {
    std::vector<std::string> texts;
    for (Index k = first; k < end; ++k) texts.push_back(prefix + std::to_string(k));
    return texts;
  }

  static SampleSide random(Index users, Index items) { return {SampleDataset::random(users, items, 4, true)}; }

  data::DatasetPlan plan() const {
    using data::Side;
    using data::SideKind;
    data::DatasetPlan plan = base.plan();
    data::SidePlan features = named(SideKind::features, Side::items, "image", width);
    for (Index item = 0; item < base.items; ++item) features.missing += has_features(item) ? 0 : 1;
    const data::SidePlan attribute = named(SideKind::attribute, Side::users, "gender", categories, 2);
    data::SidePlan bag = named(SideKind::bag, Side::items, "text", words, 5);
    bag.group_entries[0].assign(row_groups, 0);
    for (Index item = 0; item < base.items; ++item)
      bag.group_entries[0][group_of(item, base.items)] += static_cast<std::int64_t>(words_of(item).size());
    data::SidePlan graph = named(SideKind::graph, Side::users, "trust", 1);
    graph.group_entries[0].assign(row_groups, 0);
    for (Index user = 0; user < base.users; ++user)
      graph.group_entries[0][group_of(user, base.users)] += static_cast<std::int64_t>(friends_of(user).size());
    data::SidePlan posts = named(SideKind::tags, Side::users, "tags", tags, 4);
    posts.timed = true;
    for (std::size_t part = 0; part < 3; ++part) {
      posts.group_posts[part] = base.group_counts(base.lists[part]);
      posts.group_entries[part].assign(row_groups, 0);
      for (Index user = 0; user < base.users; ++user) {
        for (const ItemId item : base.lists[part][static_cast<std::size_t>(user)])
          posts.group_entries[part][group_of(user, base.users)] += static_cast<std::int64_t>(tags_of(item).size());
      }
    }
    plan.side = {features, attribute, bag, graph, posts};
    return plan;
  }

  void write_group(data::DatasetWriter& writer, int group) const {
    base.write_group(writer, group);
    write_features(writer, group);
    write_codes(writer, group);
    write_bag(writer, group);
    write_graph(writer, group);
    write_posts(writer, group);
  }

  void write(const std::string& path) const {
    data::DatasetWriter writer = data::DatasetWriter::create(path, plan());
    for (int group = 0; group < row_groups; ++group) write_group(writer, group);
    writer.commit();
  }

 private:
  static data::SidePlan named(data::SideKind kind, data::Side side, const char* name, Index width,
                              std::size_t text_bytes = 1) {
    data::SidePlan plan;
    plan.kind = kind;
    plan.side = side;
    plan.name = name;
    plan.width = width;
    plan.text_bytes = text_bytes;
    return plan;
  }

  static std::size_t group_of(Index row, Index rows) {
    return static_cast<std::size_t>(Partition{rows, row_groups}.part_of(row));
  }

  void write_features(data::DatasetWriter& writer, int group) const {
    const Partition groups{base.items, row_groups};
    std::vector<float> values;
    std::vector<std::uint32_t> present;
    for (Index item = groups.begin(group); item < groups.end(group); ++item) {
      for (Index k = 0; k < width; ++k) values.push_back(feature(item, k));
      present.push_back(has_features(item) ? 1 : 0);
    }
    data::SideWriter(writer, 0).write_features(group, values, present);
  }
  void write_codes(data::DatasetWriter& writer, int group) const {
    const Partition groups{base.users, row_groups};
    std::vector<std::uint32_t> codes;
    for (Index user = groups.begin(group); user < groups.end(group); ++user) codes.push_back(code(user));
    data::SideWriter side(writer, 1);
    side.write_codes(group, codes);
    if (group == 0) side.write_values(std::vector<std::string>{"", "F", "M", "é"});
  }
  void write_bag(data::DatasetWriter& writer, int group) const {
    const Partition groups{base.items, row_groups};
    std::vector<std::int64_t> offsets{0};
    std::vector<std::uint32_t> columns;
    std::vector<float> weights;
    for (Index item = groups.begin(group); item < groups.end(group); ++item) {
      for (const std::uint32_t word : words_of(item)) {
        columns.push_back(word);
        weights.push_back(weight(word));
      }
      offsets.push_back(static_cast<std::int64_t>(columns.size()));
    }
    data::SideWriter side(writer, 2);
    side.write_sparse(group, {offsets, columns, weights});
    const Partition vocabulary{words, row_groups};
    side.write_vocabulary(group, texts("w", vocabulary.begin(group), vocabulary.end(group)));
  }
  void write_graph(data::DatasetWriter& writer, int group) const {
    const Partition groups{base.users, row_groups};
    std::vector<std::int64_t> offsets{0};
    std::vector<std::uint32_t> columns;
    for (Index user = groups.begin(group); user < groups.end(group); ++user) {
      const std::vector<std::uint32_t> friends = friends_of(user);
      columns.insert(columns.end(), friends.begin(), friends.end());
      offsets.push_back(static_cast<std::int64_t>(columns.size()));
    }
    data::SideWriter(writer, 3).write_sparse(group, {offsets, columns, {}});
  }
  void write_posts(data::DatasetWriter& writer, int group) const {
    const Partition groups{base.users, row_groups};
    data::SideWriter side(writer, 4);
    for (const data::Part part : {data::Part::train, data::Part::validation, data::Part::test}) {
      const auto [offsets, items] =
          SampleDataset::flatten(base.lists[static_cast<std::size_t>(part)], groups.begin(group), groups.end(group));
      std::vector<std::int64_t> tag_offsets{0}, times;
      std::vector<std::uint32_t> of_posts;
      for (const ItemId item : items) {
        for (const std::uint32_t tag : tags_of(item)) {
          of_posts.push_back(tag);
          times.push_back(tag_time(item, tag));
        }
        tag_offsets.push_back(static_cast<std::int64_t>(of_posts.size()));
      }
      side.write_posts(part, group, {offsets, items, tag_offsets, of_posts, times});
    }
    const Partition vocabulary{tags, row_groups};
    side.write_vocabulary(group, texts("tag", vocabulary.begin(group), vocabulary.end(group)));
  }
};

}  // namespace spar::test
