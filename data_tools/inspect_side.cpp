#include "data_tools/inspect_side.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "data_tools/histogram.hpp"
#include "spar/base/sharding.hpp"
#include "spar/data/attributes.hpp"
#include "spar/data/bags.hpp"
#include "spar/data/dislikes.hpp"
#include "spar/data/features.hpp"
#include "spar/data/graphs.hpp"
#include "spar/data/interactions.hpp"
#include "spar/data/posts.hpp"

namespace spar::data_tools {

namespace {

constexpr std::size_t most_values_shown = 8;

class Examiner {
 public:
  Examiner(const store::ArrayFile& file, SideFindings& findings) : file_(file), findings_(findings) {}

  void examine() {
    const data::SideDescription& side = findings_.side;
    switch (side.kind) {
      case data::SideKind::features:
        return for_groups([&](Index begin, Index end) {
          const data::FeatureRows rows = data::read_features(file_, side.side, side.name, begin, end);
          for (Index k = 0; k < rows.rows(); ++k) findings_.covered += rows.has(k) ? 1 : 0;
        });
      case data::SideKind::attribute:
        return count_values();
      case data::SideKind::bag:
        verify_texts(data::side_array(side.kind, side.side, side.name, "vocabulary"));
        return for_groups(
            [&](Index begin, Index end) { count_sparse(data::read_bags(file_, side.side, side.name, begin, end)); });
      case data::SideKind::graph:
        return for_groups(
            [&](Index begin, Index end) { count_sparse(data::read_edges(file_, side.name, begin, end)); });
      case data::SideKind::tags:
        verify_texts("/tags/ids");
        return for_groups([&](Index begin, Index end) { count_posts(begin, end); });
      case data::SideKind::dislikes:
        return for_groups([&](Index begin, Index end) { count_dislikes(begin, end); });
    }
  }

 private:
  template <class Body>
  void for_groups(const Body& body) const {
    const Partition groups{findings_.side.rows, row_groups};
    for (int group = 0; group < row_groups; ++group) {
      if (groups.size(group) > 0) body(groups.begin(group), groups.end(group));
    }
  }

  void verify_texts(const std::string& array) const {
    const Partition groups{file_.rows(array), row_groups};
    for (int group = 0; group < row_groups; ++group)
      data::read_ids(file_, array, groups.begin(group), groups.size(group));
  }

  void count_values() {
    const data::SideDescription& side = findings_.side;
    for (std::string& value : data::read_attribute_values(file_, side.side, side.name))
      findings_.values.emplace_back(std::move(value), 0);
    for_groups([&](Index begin, Index end) {
      for (const std::uint32_t code : data::read_attribute(file_, side.side, side.name, begin, end)) {
        ++findings_.values[code].second;
        findings_.covered += code > 0 ? 1 : 0;
      }
    });
  }

  void count_sparse(const data::SparseRows& rows) {
    for (Index k = 0; k < rows.rows(); ++k) findings_.covered += rows.columns_of(k).empty() ? 0 : 1;
  }

  void count_dislikes(Index begin, Index end) {
    const data::UserLists lists = data::read_dislikes(file_, begin, end);
    data::read_dislike_times(file_, begin, end);
    for (Index k = 0; k < lists.users(); ++k) findings_.covered += lists.of(k).empty() ? 0 : 1;
  }

  void count_posts(Index begin, Index end) {
    std::vector<bool> has(static_cast<std::size_t>(end - begin));
    for (const data::Part part : {data::Part::train, data::Part::validation, data::Part::test}) {
      const data::Posts posts = data::read_posts(file_, part, begin, end);
      findings_.posts[static_cast<int>(part)] += posts.count();
      for (std::size_t k = 0; k < has.size(); ++k) has[k] = has[k] || posts.offsets[k + 1] > posts.offsets[k];
    }
    findings_.covered += std::count(has.begin(), has.end(), true);
  }

  const store::ArrayFile& file_;
  SideFindings& findings_;
};

std::string holds(const SideFindings& findings) {
  const data::SideDescription& side = findings.side;
  switch (side.kind) {
    case data::SideKind::features:
      return fmt::format("{} numbers", with_commas(side.width));
    case data::SideKind::attribute:
      return fmt::format("{} categories", with_commas(side.width - 1));
    case data::SideKind::bag:
      return fmt::format("{} entries of {} words", with_commas(side.entries), with_commas(side.width));
    case data::SideKind::graph:
      return fmt::format("{} edges{}", with_commas(side.entries), side.weighted ? " with weights" : "");
    case data::SideKind::dislikes:
      return fmt::format("{} items{}", with_commas(side.entries), side.timed ? " with times" : "");
    case data::SideKind::tags:
      break;
  }
  return fmt::format("{} assignments of {} tags{}, {} train / {} validation / {} test posts", with_commas(side.entries),
                     with_commas(side.width), side.timed ? " with times" : "", with_commas(findings.posts[0]),
                     with_commas(findings.posts[1]), with_commas(findings.posts[2]));
}

/// "M: 670, F: 273", the frequent ones first.
std::string frequent_values(const SideFindings& findings) {
  std::vector<std::pair<std::string, Index>> values(findings.values.begin() + 1, findings.values.end());
  std::stable_sort(values.begin(), values.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> shown;
  for (const auto& [value, count] : values) {
    if (shown.size() < most_values_shown) shown.push_back(fmt::format("{}: {}", value, with_commas(count)));
  }
  const std::string rest =
      values.size() > shown.size()
          ? fmt::format(" and {} more", with_commas(static_cast<Index>(values.size() - shown.size())))
          : "";
  return fmt::format("{}{}", fmt::join(shown, ", "), rest);
}

}  // namespace

std::vector<SideFindings> examine_side_data(const store::ArrayFile& file) {
  std::vector<SideFindings> all;
  for (const data::SideDescription& side : data::list_side_data(file)) {
    SideFindings findings;
    findings.side = side;
    Examiner(file, findings).examine();
    all.push_back(std::move(findings));
  }
  return all;
}

std::string side_text(const std::vector<SideFindings>& all) {
  std::string text;
  for (const SideFindings& findings : all) {
    const data::SideDescription& side = findings.side;
    const double share =
        side.rows == 0 ? 0.0 : 100.0 * static_cast<double>(findings.covered) / static_cast<double>(side.rows);
    const bool has_name = side.kind != data::SideKind::tags && side.kind != data::SideKind::dislikes;
    const std::string name = has_name ? fmt::format(" \"{}\"", side.name) : "";
    text += fmt::format("{:<11} {}{}: {}; {} of {} {} ({:.3g}%), content {}\n", "side", data::side_kind_name(side.kind),
                        name, holds(findings), with_commas(findings.covered), with_commas(side.rows),
                        data::side_name(side.side), share, side.content);
    if (!findings.values.empty()) text += fmt::format("{:<11} {}\n", "", frequent_values(findings));
  }
  return text;
}

std::string side_json(const std::vector<SideFindings>& all) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const SideFindings& findings : all) {
    const data::SideDescription& side = findings.side;
    nlohmann::ordered_json object = {{"kind", data::side_kind_name(side.kind)},
                                     {"side", data::side_name(side.side)},
                                     {"name", side.name},
                                     {"width", side.width},
                                     {"rows", side.rows},
                                     {"covered", findings.covered},
                                     {"entries", side.entries},
                                     {"weighted", side.weighted},
                                     {"timed", side.timed},
                                     {"content", side.content}};
    if (side.kind == data::SideKind::tags)
      object["posts"] = {{"train", findings.posts[0]}, {"validation", findings.posts[1]}, {"test", findings.posts[2]}};
    if (!findings.values.empty()) {
      object["values"] = nlohmann::ordered_json::array();
      for (const auto& [value, count] : findings.values)
        object["values"].push_back({{"value", value}, {"count", count}});
    }
    list.push_back(std::move(object));
  }
  return list.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace spar::data_tools
