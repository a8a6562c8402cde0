#include "array_specs.hpp"

#include <array>
#include <map>
#include <numeric>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/sharding.hpp"

namespace spar::data {

namespace {

using store::ElementType;

constexpr std::int64_t group_version = 1;
constexpr std::array<Part, 3> all_parts = {Part::train, Part::validation, Part::test};

/// Adds the arrays of one plan.
class SideSpecs {
 public:
  SideSpecs(const SidePlan& plan, Index rows, std::vector<store::ArraySpec>& specs)
      : plan_(plan), rows_(rows), specs_(specs) {}

  void add_features() {
    store::ArraySpec values = spec(path(""), ElementType::f32, store::group_boundaries(rows_));
    values.columns = plan_.width;
    specs_.push_back(std::move(values));
    if (plan_.missing > 0) specs_.push_back(spec(path("present"), ElementType::u32, store::group_boundaries(rows_)));
  }
  void add_attribute() {
    specs_.push_back(spec(path(""), ElementType::u32, store::group_boundaries(rows_)));
    specs_.push_back(spec(path("values"), ElementType::text, {0, plan_.width}, plan_.text_bytes));
  }
  void add_sparse(const char* entries) {
    const std::vector<std::int64_t> boundaries = running_sum(plan_.group_entries[0]);
    specs_.push_back(spec(path("offsets"), ElementType::i64, offsets_boundaries(rows_)));
    specs_.push_back(spec(path(entries), ElementType::u32, boundaries));
    if (plan_.weighted || plan_.kind == SideKind::bag)
      specs_.push_back(spec(path("weights"), ElementType::f32, boundaries));
  }
  void add_texts(const char* array) {
    specs_.push_back(spec(path(array), ElementType::text, store::group_boundaries(plan_.width), plan_.text_bytes));
  }
  void add_dislikes() {
    const std::vector<std::int64_t> boundaries = running_sum(plan_.group_entries[0]);
    specs_.push_back(spec(path("offsets"), ElementType::i64, offsets_boundaries(rows_)));
    specs_.push_back(spec(path("items"), ElementType::u32, boundaries));
    if (plan_.timed) specs_.push_back(spec(path("times"), ElementType::i64, boundaries));
  }
  void add_posts() {
    for (const Part part : all_parts) {
      const std::string name = std::string(part_name(part)) + "/";
      const auto p = static_cast<std::size_t>(part);
      const std::vector<std::int64_t> posts = running_sum(plan_.group_posts[p]);
      const std::vector<std::int64_t> tags = running_sum(plan_.group_entries[p]);
      specs_.push_back(spec(path(name + "offsets"), ElementType::i64, offsets_boundaries(rows_)));
      specs_.push_back(spec(path(name + "items"), ElementType::u32, posts));
      specs_.push_back(spec(path(name + "tag_offsets"), ElementType::i64, with_closing_offset(posts)));
      specs_.push_back(spec(path(name + "tags"), ElementType::u32, tags));
      if (plan_.timed) specs_.push_back(spec(path(name + "times"), ElementType::i64, tags));
    }
  }

 private:
  std::string path(const std::string& array) const { return side_array(plan_.kind, plan_.side, plan_.name, array); }

  const SidePlan& plan_;
  Index rows_;
  std::vector<store::ArraySpec>& specs_;
};

}  // namespace

std::vector<std::int64_t> running_sum(const std::vector<std::int64_t>& counts) {
  std::vector<std::int64_t> offsets(row_groups + 1, 0);
  if (counts.empty()) return offsets;
  SPAR_ASSERT(counts.size() == static_cast<std::size_t>(row_groups));
  std::partial_sum(counts.begin(), counts.end(), offsets.begin() + 1);
  return offsets;
}

store::ArraySpec spec(const std::string& path, store::ElementType type, std::vector<Index> segment_rows,
                      std::size_t text_size) {
  store::ArraySpec array;
  array.path = path;
  array.type = type;
  array.text_size = text_size;
  array.rows = segment_rows.back();
  array.segment_rows = std::move(segment_rows);
  return array;
}

std::vector<Index> with_closing_offset(std::vector<Index> boundaries) {
  ++boundaries.back();
  return boundaries;
}

std::vector<Index> offsets_boundaries(Index rows) {
  return with_closing_offset(store::group_boundaries(rows));
}

void describe_group(const std::string& group, const std::string& format, std::vector<store::Attribute>& attributes) {
  attributes.push_back(store::Attribute::of(group, "format", format));
  attributes.push_back(store::Attribute::of(group, "version", group_version));
}

void add_side_arrays(const std::vector<SidePlan>& side, Index users, Index items,
                     std::vector<store::ArraySpec>& specs) {
  for (const SidePlan& plan : side) {
    SideSpecs of_plan(plan, plan.side == Side::users ? users : items, specs);
    switch (plan.kind) {
      case SideKind::features:
        of_plan.add_features();
        break;
      case SideKind::attribute:
        of_plan.add_attribute();
        break;
      case SideKind::bag:
        of_plan.add_sparse("entries");
        of_plan.add_texts("vocabulary");
        break;
      case SideKind::graph:
        of_plan.add_sparse("neighbours");
        break;
      case SideKind::tags:
        of_plan.add_texts("ids");
        of_plan.add_posts();
        break;
      case SideKind::dislikes:
        of_plan.add_dislikes();
        break;
    }
  }
}

void add_side_attributes(const std::vector<SidePlan>& side, std::vector<store::Attribute>& attributes) {
  std::map<std::string, std::string> formats;
  for (const SidePlan& plan : side) {
    const std::string of = std::string("/") + side_name(plan.side);
    switch (plan.kind) {
      case SideKind::features:
        formats[of + "/features"] = "spar-features";
        if (plan.missing > 0) formats[of + "/features_present"] = "spar-features-present";
        attributes.push_back(store::Attribute::of(of + "/features", "missing_" + plan.name, plan.missing));
        break;
      case SideKind::attribute:
        formats[of + "/attributes"] = "spar-attributes";
        break;
      case SideKind::bag:
        formats[of + "/bags"] = "spar-bags";
        formats[fmt::format("{}/bags/{}", of, plan.name)] = "spar-bag";
        break;
      case SideKind::graph:
        formats["/graphs"] = "spar-graphs";
        formats["/graphs/" + plan.name] = "spar-graph";
        break;
      case SideKind::tags:
        formats["/tags"] = "spar-tags";
        for (const Part part : all_parts) formats[std::string("/tags/") + part_name(part)] = "spar-posts";
        break;
      case SideKind::dislikes:
        formats["/dislikes"] = "spar-dislikes";
        break;
    }
  }
  for (const auto& [group, format] : formats) describe_group(group, format, attributes);
}

}  // namespace spar::data
