#include "spar/data/side_data.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <optional>
#include <tuple>

#include "csr_slice.hpp"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "spar/base/error.hpp"
#include "spar/base/sharding.hpp"

namespace spar::data {

namespace {

using store::ElementType;

constexpr std::array<Part, 3> all_parts = {Part::train, Part::validation, Part::test};

struct Expected {
  ElementType type;
  Index rows;
  Index columns = 1;
  int segments = row_groups;
};

void check_array(const store::ArrayFile& file, const std::string& array, const Expected& expected) {
  if (!file.has(array)) throw_damaged(file, fmt::format("array {} is missing", array));
  if (file.type(array) != expected.type || file.rows(array) != expected.rows ||
      file.columns(array) != expected.columns) {
    throw_damaged(file, fmt::format("array {} has {} x {} elements or their type is wrong, where {} x {} belong", array,
                                    file.rows(array), file.columns(array), expected.rows, expected.columns));
  }
  if (file.segments(array) != expected.segments) {
    throw_damaged(
        file, fmt::format("array {} has {} checksums where {} belong", array, file.segments(array), expected.segments));
  }
}

/// Checks arrays one after the other and makes the checksum over all of them.
class Arrays {
 public:
  Arrays(const store::ArrayFile& file, const SideDescription& side) : file_(file), side_(side) {}
  void add(const std::string& array, const Expected& expected) {
    const std::string path = side_array(side_.kind, side_.side, side_.name, array);
    check_array(file_, path, expected);
    checksums_[path] = file_.checksums(path);
  }
  std::string content() const {
    std::vector<std::uint64_t> all;
    for (const auto& [path, of_array] : checksums_) all.insert(all.end(), of_array.begin(), of_array.end());
    return fmt::format("{:016x}", store::checksum(all.data(), all.size() * sizeof(std::uint64_t)));
  }

 private:
  const store::ArrayFile& file_;
  const SideDescription& side_;
  std::map<std::string, std::vector<std::uint64_t>> checksums_;
};

std::string main_array(SideKind kind) {
  switch (kind) {
    case SideKind::features:
    case SideKind::attribute:
      return "";
    case SideKind::bag:
    case SideKind::graph:
    case SideKind::dislikes:
      return "offsets";
    case SideKind::tags:
      return "ids";
  }
  SPAR_ASSERT(false);
}

void describe_tags(const store::ArrayFile& file, SideDescription& side, Arrays& arrays) {
  arrays.add("ids", {ElementType::text, side.width});
  side.timed = file.has(side_array(side.kind, side.side, side.name, "train/times"));
  for (const Part part : all_parts) {
    const std::string name = part_name(part);
    const Index posts = file.rows(side_array(side.kind, side.side, side.name, name + "/items"));
    const Index tags = file.rows(side_array(side.kind, side.side, side.name, name + "/tags"));
    arrays.add(name + "/items", {ElementType::u32, posts});
    arrays.add(name + "/offsets", {ElementType::i64, side.rows + 1});
    arrays.add(name + "/tag_offsets", {ElementType::i64, posts + 1});
    arrays.add(name + "/tags", {ElementType::u32, tags});
    if (side.timed) arrays.add(name + "/times", {ElementType::i64, tags});
    side.entries += tags;
  }
}

/// `side` has kind, side and name.
void describe(const store::ArrayFile& file, SideDescription& side) {
  const auto path = [&](const std::string& array) { return side_array(side.kind, side.side, side.name, array); };
  Arrays arrays(file, side);
  side.rows = file.rows(side.side == Side::users ? "/users/ids" : "/items/ids");
  switch (side.kind) {
    case SideKind::features:
      side.width = file.columns(path(""));
      side.entries =
          side.rows - file.integer_attribute(fmt::format("/{}/features", side_name(side.side)), "missing_" + side.name);
      arrays.add("", {ElementType::f32, side.rows, side.width});
      if (side.entries < side.rows) arrays.add("present", {ElementType::u32, side.rows});
      break;
    case SideKind::attribute:
      side.width = file.rows(path("values"));
      side.entries = side.rows;
      arrays.add("", {ElementType::u32, side.rows});
      arrays.add("values", {ElementType::text, side.width, 1, 1});
      break;
    case SideKind::bag:
      side.width = file.rows(path("vocabulary"));
      side.entries = file.rows(path("entries"));
      side.weighted = true;
      arrays.add("entries", {ElementType::u32, side.entries});
      arrays.add("offsets", {ElementType::i64, side.rows + 1});
      arrays.add("vocabulary", {ElementType::text, side.width});
      arrays.add("weights", {ElementType::f32, side.entries});
      break;
    case SideKind::graph:
      side.width = side.rows;
      side.entries = file.rows(path("neighbours"));
      side.weighted = file.has(path("weights"));
      arrays.add("neighbours", {ElementType::u32, side.entries});
      arrays.add("offsets", {ElementType::i64, side.rows + 1});
      if (side.weighted) arrays.add("weights", {ElementType::f32, side.entries});
      break;
    case SideKind::tags:
      side.width = file.rows(path("ids"));
      describe_tags(file, side, arrays);
      break;
    case SideKind::dislikes:
      side.width = file.rows("/items/ids");
      side.entries = file.rows(path("items"));
      side.timed = file.has(part_array(Part::train, "times"));
      arrays.add("items", {ElementType::u32, side.entries});
      arrays.add("offsets", {ElementType::i64, side.rows + 1});
      if (side.timed) arrays.add("times", {ElementType::i64, side.entries});
      break;
  }
  side.content = arrays.content();
}

/// What the main array at `array` belongs to; nothing for arrays that are no side data.
std::optional<SideDescription> main_array_of(const std::string& array) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at != std::string::npos;) {
    const std::size_t end = array.find('/', at + 1);
    parts.push_back(array.substr(at + 1, end == std::string::npos ? end : end - at - 1));
    at = end;
  }
  SideDescription side;
  const bool by_side = parts[0] == "users" || parts[0] == "items";
  side.side = parts[0] == "items" ? Side::items : Side::users;
  side.name = parts.size() > 1 ? parts[1] : "";
  if (array == "/tags/ids") {
    side.kind = SideKind::tags;
    side.name = "tags";
  } else if (array == "/dislikes/offsets") {
    side.kind = SideKind::dislikes;
    side.name = "dislikes";
  } else if (parts[0] == "graphs" && parts.size() == 3 && parts[2] == "offsets") {
    side.kind = SideKind::graph;
  } else if (by_side && parts.size() == 3 && (parts[1] == "features" || parts[1] == "attributes")) {
    side.kind = parts[1] == "features" ? SideKind::features : SideKind::attribute;
    side.name = parts[2];
    if (side.kind == SideKind::attribute && side.name.ends_with("_values")) return std::nullopt;
  } else if (by_side && parts.size() == 4 && parts[1] == "bags" && parts[3] == "offsets") {
    side.kind = SideKind::bag;
    side.name = parts[2];
  } else {
    return std::nullopt;
  }
  return side;
}

std::string option_of(SideKind kind, Side side) {
  const std::string prefix = side == Side::users ? "--user-" : "--item-";
  switch (kind) {
    case SideKind::features:
      return prefix + "features";
    case SideKind::attribute:
      return prefix + "attributes";
    case SideKind::bag:
      return prefix + "bags";
    case SideKind::graph:
      return "--user-edges";
    case SideKind::tags:
      return "--tags";
    case SideKind::dislikes:
      return "--dislikes-below";
  }
  SPAR_ASSERT(false);
}

/// "item features", "user attribute", "graph", "tags".
std::string kind_of_side(SideKind kind, Side side) {
  const bool by_side = kind == SideKind::features || kind == SideKind::attribute || kind == SideKind::bag;
  if (!by_side) return side_kind_name(kind);
  return fmt::format("{} {}", side == Side::users ? "user" : "item", side_kind_name(kind));
}

}  // namespace

const char* side_name(Side side) {
  return side == Side::users ? "users" : "items";
}

const char* side_kind_name(SideKind kind) {
  constexpr std::array<const char*, 6> names = {"features", "attribute", "bag", "graph", "tags", "dislikes"};
  return names[static_cast<std::size_t>(kind)];
}

bool is_side_name(const std::string& name) {
  const auto plain = [](char c) { return c > 0 && std::isalnum(static_cast<unsigned char>(c)) != 0; };
  return !name.empty() && name.size() <= 64 && plain(name.front()) && !name.ends_with("_values") &&
         std::all_of(name.begin(), name.end(), [&](char c) { return plain(c) || c == '_' || c == '-' || c == '.'; });
}

std::string side_array(SideKind kind, Side side, const std::string& name, const std::string& array) {
  const char* of = side_name(side);
  switch (kind) {
    case SideKind::features:
      return fmt::format("/{}/features{}/{}", of, array.empty() ? "" : "_" + array, name);
    case SideKind::attribute:
      return fmt::format("/{}/attributes/{}{}", of, name, array.empty() ? "" : "_" + array);
    case SideKind::bag:
      return fmt::format("/{}/bags/{}/{}", of, name, array);
    case SideKind::graph:
      return fmt::format("/graphs/{}/{}", name, array);
    case SideKind::tags:
      return fmt::format("/tags/{}", array);
    case SideKind::dislikes:
      return fmt::format("/dislikes/{}", array);
  }
  SPAR_ASSERT(false);
}

std::vector<SideDescription> list_side_data(const store::ArrayFile& file) {
  std::vector<SideDescription> all;
  for (const std::string& array : file.arrays()) {
    std::optional<SideDescription> side = main_array_of(array);
    if (!side) continue;
    describe(file, *side);
    all.push_back(std::move(*side));
  }
  std::sort(all.begin(), all.end(), [](const SideDescription& a, const SideDescription& b) {
    return std::tie(a.kind, a.side, a.name) < std::tie(b.kind, b.side, b.name);
  });
  return all;
}

SideDescription find_side_data(const store::ArrayFile& file, SideKind kind, Side side, const std::string& name) {
  SideDescription found;
  found.kind = kind;
  found.side = side;
  found.name = name;
  if (file.has(side_array(kind, side, name, main_array(kind)))) {
    describe(file, found);
    return found;
  }
  std::vector<std::string> names;
  for (const SideDescription& other : list_side_data(file)) {
    if (other.kind == kind && other.side == side) names.push_back(other.name);
  }
  // Of these a data set has one or none, so they go by no name.
  if (kind == SideKind::tags || kind == SideKind::dislikes)
    throw UserError(fmt::format("{} has no {}: {} of spar import makes them", file.path(), side_kind_name(kind),
                                option_of(kind, side)));
  const std::string what = kind_of_side(kind, side);
  const std::string has = names.empty()
                              ? fmt::format("it has none; {} of spar import makes them", option_of(kind, side))
                              : fmt::format("it has {}", fmt::join(names, ", "));
  throw UserError(fmt::format("{} has no {} \"{}\": {}", file.path(), what, name, has));
}

}  // namespace spar::data
