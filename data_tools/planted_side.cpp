#include "data_tools/planted_side.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "spar/base/sharding.hpp"
#include "spar/data/side_writer.hpp"

namespace spar::data_tools {

namespace {

// What a random block is for; part of the meaning of a seed, beside those of planted_model.cpp.
constexpr std::uint32_t coldness = 6;
constexpr std::uint32_t feature_map = 7;
constexpr std::uint32_t feature_noise = 8;
constexpr std::uint32_t direction = 9;
constexpr std::uint32_t attribute_noise = 10;
constexpr std::uint32_t friendship = 11;
constexpr std::uint32_t friend_count = 12;
constexpr std::uint32_t posting = 13;
constexpr std::uint32_t item_tags = 14;
constexpr std::uint32_t user_tags = 15;
constexpr std::uint32_t post_parting = 16;
constexpr std::uint32_t tagging = 32;  // and the next most_tags ones

constexpr double noise = 0.3;  ///< of features, beside the planted part's deviation of about 1
constexpr double posted = 0.5;
constexpr std::uint64_t most_tags = 3;
constexpr std::uint64_t tags_of_an_item = 8;
constexpr std::uint64_t tags_of_a_user = 4;
constexpr double by_the_item = 0.7;
constexpr Index most_meetings = 200;  ///< for each friend that is looked for

double shift_of(Index size) {
  return std::pow(static_cast<double>(std::max<Index>(size, 1)), 0.3);
}

double normal_below(double x) {
  return 0.5 * std::erfc(-x / std::sqrt(2.0));
}

float dot(const std::vector<float>& a, const float* b) {
  float sum = 0;
  for (std::size_t k = 0; k < a.size(); ++k) sum += a[k] * b[k];
  return sum;
}

}  // namespace

PlantedSide::PlantedSide(const SynthOptions& options, const PlantedModel& model, const data::RowDealing& users,
                         const data::RowDealing& items)
    : options_(options),
      model_(model),
      users_(users),
      items_(items),
      tags_(options.tags),
      tag_law_(std::max<Index>(options.tags, 1), options.popularity_exponent, shift_of(options.tags)),
      friend_law_(options.users, options.popularity_exponent, shift_of(options.users)) {
  const auto factors = static_cast<std::size_t>(options_.factors);
  const auto normals = [&](std::uint32_t purpose, Index place, std::vector<float>& values) {
    for (std::size_t k = 0; k < factors; ++k)
      values.push_back(static_cast<float>(normal_pair(model_.block(purpose, place, static_cast<std::uint32_t>(k)))[0]));
  };
  for (Index row = 0; row < options_.feature_width; ++row) normals(feature_map, row, map_);
  for (float& value : map_) value /= std::sqrt(static_cast<float>(factors));
  for (std::size_t k = 0; k < options_.attributes.size(); ++k) {
    std::vector<float> unit_vector;
    normals(direction, static_cast<Index>(k), unit_vector);
    const float norm = std::sqrt(dot(unit_vector, unit_vector.data()));
    for (float& value : unit_vector) value /= norm;
    directions_.push_back(std::move(unit_vector));
  }
}

bool PlantedSide::is_cold(Index item_place) const {
  return options_.cold_items > 0 && unit(word64(model_.block(coldness, item_place, 0), 0)) < options_.cold_items;
}

std::vector<data::SidePlan> PlantedSide::plans() const {
  using data::Side;
  using data::SideKind;
  std::vector<data::SidePlan> plans;
  const auto add = [&](SideKind kind, Side side, const std::string& name, Index width, std::size_t text_bytes) {
    data::SidePlan plan;
    plan.kind = kind;
    plan.side = side;
    plan.name = name;
    plan.width = width;
    plan.text_bytes = text_bytes;
    plans.push_back(std::move(plan));
  };
  if (options_.feature_width > 0) add(SideKind::features, Side::items, "planted", options_.feature_width, 1);
  for (const PlantedAttribute& attribute : options_.attributes) {
    add(SideKind::attribute, Side::users, attribute.name, attribute.categories + 1,
        std::to_string(attribute.categories).size());
  }
  if (options_.friends > 0) add(SideKind::graph, Side::users, "friends", options_.users, 1);
  if (options_.tags > 0)
    add(SideKind::tags, Side::users, "tags", options_.tags, fmt::format("t{}", options_.tags - 1).size());
  return plans;
}

void PlantedSide::write_group(data::DatasetWriter& writer, int group) const {
  std::size_t k = 0;
  if (options_.feature_width > 0) {
    data::SideWriter side(writer, k++);
    write_features(side, group);
  }
  for (std::size_t attribute = 0; attribute < options_.attributes.size(); ++attribute) {
    data::SideWriter side(writer, k++);
    write_attribute(side, attribute, group);
  }
  if (options_.friends > 0) {
    const Edges edges = edges_of(group);
    data::SideWriter(writer, k++).write_sparse(group, {edges.offsets, edges.users, {}});
  }
  if (options_.tags > 0) {
    const Partition groups{options_.tags, row_groups};
    std::vector<std::string> texts;
    for (Index row = groups.begin(group); row < groups.end(group); ++row)
      texts.push_back(fmt::format("t{}", tags_.place_of_row(row)));
    data::SideWriter(writer, k).write_vocabulary(group, texts);
  }
}

void PlantedSide::write_features(data::SideWriter& writer, int group) const {
  const Partition groups{options_.items, row_groups};
  std::vector<float> values, factors;
  for (Index row = groups.begin(group); row < groups.end(group); ++row) {
    const Index place = items_.place_of_row(row);
    model_.draw_item(place, factors);
    for (Index k = 0; k < options_.feature_width; ++k) {
      const double extra = normal_pair(model_.block(feature_noise, place, static_cast<std::uint32_t>(k)))[0];
      values.push_back(dot(factors, &map_[static_cast<std::size_t>(k) * factors.size()]) +
                       static_cast<float>(noise * extra));
    }
  }
  writer.write_features(group, values, {});
}

std::uint32_t PlantedSide::category_of(std::size_t attribute, Index user_place) const {
  const PlantedAttribute& planted = options_.attributes[attribute];
  std::vector<float> factors;
  model_.draw_user(user_place, factors);
  // The user's factors have the variance 1 / factors each.
  const double taste = static_cast<double>(dot(directions_[attribute], factors.data())) *
                       std::sqrt(static_cast<double>(options_.factors));
  const double other = normal_pair(model_.block(attribute_noise, user_place, static_cast<std::uint32_t>(attribute)))[0];
  const double mixed = planted.strength * taste + std::sqrt(1.0 - planted.strength * planted.strength) * other;
  const auto category = static_cast<Index>(normal_below(mixed) * static_cast<double>(planted.categories));
  return static_cast<std::uint32_t>(std::min(category, planted.categories - 1));
}

void PlantedSide::write_attribute(data::SideWriter& writer, std::size_t attribute, int group) const {
  const Partition groups{options_.users, row_groups};
  std::vector<std::uint32_t> codes;
  for (Index row = groups.begin(group); row < groups.end(group); ++row)
    codes.push_back(category_of(attribute, users_.place_of_row(row)) + 1);
  writer.write_codes(group, codes);
  if (group > 0) return;
  std::vector<std::string> values{""};
  for (Index k = 1; k <= options_.attributes[attribute].categories; ++k) values.push_back(std::to_string(k));
  writer.write_values(values);
}

// Meets users by a power law and befriends those of like taste, as users meet items.
void PlantedSide::add_friends(Index user_place, Edges& edges) const {
  std::vector<float> own, other;
  model_.draw_user(user_place, own);
  const float own_norm = std::sqrt(dot(own, own.data()));
  const double whole = std::floor(options_.friends);
  const bool one_more = unit(word64(model_.block(friend_count, user_place, 0), 0)) < options_.friends - whole;
  const Index wanted = std::min(static_cast<Index>(whole) + (one_more ? 1 : 0), options_.users - 1);
  std::vector<std::uint32_t> friends;
  for (Index k = 0; static_cast<Index>(friends.size()) < wanted && k < most_meetings * wanted; ++k) {
    const RandomStream::Block words = model_.block(friendship, user_place, static_cast<std::uint32_t>(k));
    const Index met = friend_law_.place_at(unit(word64(words, 0)));
    if (met == user_place) continue;
    model_.draw_user(met, other);
    const float cosine = dot(own, other.data()) / (own_norm * std::sqrt(dot(other, other.data())));
    if (unit(word64(words, 1)) >= model_.keeping(static_cast<double>(cosine))) continue;
    const auto row = static_cast<std::uint32_t>(users_.row_of_place(met));
    if (std::find(friends.begin(), friends.end(), row) == friends.end()) friends.push_back(row);
  }
  std::sort(friends.begin(), friends.end());
  edges.users.insert(edges.users.end(), friends.begin(), friends.end());
  edges.offsets.push_back(static_cast<std::int64_t>(edges.users.size()));
}

PlantedSide::Edges PlantedSide::edges_of(int group) const {
  const Partition groups{options_.users, row_groups};
  Edges edges;
  for (Index row = groups.begin(group); row < groups.end(group); ++row) add_friends(users_.place_of_row(row), edges);
  return edges;
}

std::int64_t PlantedSide::count_edges(int group) const {
  return options_.friends > 0 ? edges_of(group).offsets.back() : 0;
}

std::uint32_t PlantedSide::tag_of(Index user_place, Index item_place, std::uint32_t k) const {
  const RandomStream::Block words = model_.block(tagging + k, user_place, static_cast<std::uint32_t>(item_place));
  const bool of_item = unit(word64(words, 0)) < by_the_item;
  const std::uint64_t choice = bounded(word64(words, 1), of_item ? tags_of_an_item : tags_of_a_user);
  const RandomStream::Block law_words = model_.block(of_item ? item_tags : user_tags, of_item ? item_place : user_place,
                                                     static_cast<std::uint32_t>(choice));
  return static_cast<std::uint32_t>(tags_.row_of_place(tag_law_.place_at(unit(word64(law_words, 0)))));
}

void PlantedSide::add_posts(Index user_place, const std::vector<ItemId>& items, Posts (&parts)[3]) const {
  std::vector<ItemId> own;
  for (const ItemId item : items) {
    const Index place = items_.place_of_row(item);
    if (unit(word64(model_.block(posting, user_place, static_cast<std::uint32_t>(place)), 0)) < posted)
      own.push_back(item);
  }
  const RandomStream::Block words = model_.block(post_parting, user_place, 0);
  const auto count = own.size();
  const std::size_t tested = count < 2 ? count : static_cast<std::size_t>(bounded(word64(words, 0), count));
  std::size_t validating = count < 3 ? count : static_cast<std::size_t>(bounded(word64(words, 1), count - 1));
  if (count >= 3 && validating >= tested) ++validating;
  std::vector<std::uint32_t> tags;
  for (std::size_t p = 0; p < count; ++p) {
    Posts& part = parts[p == tested ? 2 : p == validating ? 1 : 0];
    const Index place = items_.place_of_row(own[p]);
    const RandomStream::Block size_words = model_.block(posting, user_place, static_cast<std::uint32_t>(place));
    const std::uint64_t wanted = 1 + bounded(word64(size_words, 1), most_tags);
    tags.clear();
    for (std::uint32_t k = 0; k < wanted; ++k) tags.push_back(tag_of(user_place, place, k));
    std::sort(tags.begin(), tags.end());
    tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
    part.items.push_back(own[p]);
    part.tags.insert(part.tags.end(), tags.begin(), tags.end());
    part.tag_offsets.push_back(static_cast<std::int64_t>(part.tags.size()));
  }
  for (Posts& part : parts) part.offsets.push_back(static_cast<std::int64_t>(part.items.size()));
}

}  // namespace spar::data_tools
