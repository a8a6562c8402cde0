#include "data_tools/inspect_dataset.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <numeric>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "data_tools/histogram.hpp"
#include "data_tools/inspect_side.hpp"
#include "spar/base/error.hpp"
#include "spar/base/sharding.hpp"
#include "spar/data/interactions.hpp"

namespace spar::data_tools {

namespace {

using data::Part;

struct Findings {
  data::DatasetHeader header;
  std::string source;
  std::int64_t bytes = 0;
  std::int64_t checksums = 0;         ///< verified
  LogHistogram user_activity;         ///< training interactions a user
  LogHistogram item_activity;         ///< training interactions an item
  std::array<Index, 4> users_with{};  ///< users with interactions, by Part
  std::array<Index, 4> unseen{};      ///< interactions with an item that training never has, by Part
  std::int64_t negatives = 0;
  std::vector<SideFindings> side;

  double density() const {
    const double pairs = static_cast<double>(header.users) * static_cast<double>(header.items);
    const Index all = std::accumulate(std::begin(header.counts), std::end(header.counts), Index{0});
    return pairs == 0 ? 0.0 : static_cast<double>(all) / pairs;
  }
};

/// Reads the groups of users one after the other; reading verifies.
void read_part(const store::ArrayFile& file, Part part, std::vector<std::int64_t>& train_counts, Findings& findings) {
  const Partition groups{findings.header.users, row_groups};
  const auto p = static_cast<std::size_t>(part);
  for (int group = 0; group < row_groups; ++group) {
    const data::UserLists lists = data::read_lists(file, part, groups.begin(group), groups.end(group));
    data::read_ratings(file, part, groups.begin(group), groups.end(group));
    data::read_times(file, part, groups.begin(group), groups.end(group));
    for (Index user = 0; user < lists.users(); ++user) {
      const auto count = static_cast<std::int64_t>(lists.of(user).size());
      if (count > 0) ++findings.users_with[p];
      if (part == Part::train) findings.user_activity.add(count);
    }
    for (const ItemId item : lists.items) {
      if (part == Part::train)
        ++train_counts[item];
      else if (train_counts[item] == 0)
        ++findings.unseen[p];
    }
  }
}

void read_negatives(const store::ArrayFile& file, Findings& findings) {
  if (!findings.header.has_negatives) return;
  const Partition groups{findings.header.users, row_groups};
  for (int group = 0; group < row_groups; ++group) {
    findings.negatives += data::read_negatives(file, groups.begin(group), groups.end(group)).count();
  }
}

void read_ids(const store::ArrayFile& file, const std::string& array) {
  const Partition groups{file.rows(array), row_groups};
  for (int group = 0; group < row_groups; ++group) data::read_ids(file, array, groups.begin(group), groups.size(group));
}

Findings examine(const std::string& path) {
  const store::ArrayFile file = data::open_dataset(path);
  Findings findings;
  findings.header = data::read_header(file);
  if (file.has_attribute("/", "source")) findings.source = file.text_attribute("/", "source");
  findings.bytes = static_cast<std::int64_t>(std::filesystem::file_size(path));
  const std::string content = file.content_of_checksums();
  if (content != findings.header.content) {
    throw UserError(fmt::format("{} is damaged: its content is {}, but its checksums make {}", path,
                                findings.header.content, content));
  }
  std::vector<std::int64_t> train_counts(static_cast<std::size_t>(findings.header.items), 0);
  for (const Part part : data::parts_of(findings.header.holds_out_users)) read_part(file, part, train_counts, findings);
  read_negatives(file, findings);
  read_ids(file, "/users/ids");
  read_ids(file, "/items/ids");
  findings.side = examine_side_data(file);
  for (const std::int64_t count : train_counts) findings.item_activity.add(count);
  for (const std::string& array : file.arrays()) findings.checksums += file.segments(array);
  return findings;
}

nlohmann::ordered_json as_json(const LogHistogram& histogram) {
  nlohmann::ordered_json bins = nlohmann::ordered_json::array();
  for (const LogHistogram::Bin& bin : histogram.bins())
    bins.push_back({{"from", bin.first}, {"to", bin.last}, {"count", bin.entities}});
  return {{"min", histogram.least()}, {"mean", histogram.mean()}, {"max", histogram.most()}, {"bins", bins}};
}

std::string as_json(const Findings& findings) {
  const data::DatasetHeader& header = findings.header;
  nlohmann::ordered_json object = {{"kind", "dataset"},
                                   {"path", header.path},
                                   {"name", header.name},
                                   {"content", header.content},
                                   {"source", findings.source},
                                   {"split", header.split},
                                   {"bytes", findings.bytes},
                                   {"users", header.users},
                                   {"items", header.items},
                                   {"train", header.counts[0]},
                                   {"validation", header.counts[1]},
                                   {"test", header.counts[2]},
                                   {"fold_in", header.counts[3]},
                                   {"density", findings.density()},
                                   {"ratings", header.has_ratings},
                                   {"times", header.has_times},
                                   {"negatives", findings.negatives},
                                   {"dislikes", header.dislikes}};
  for (const Part part : data::parts_of(header.holds_out_users)) {
    object[fmt::format("users_with_{}", data::part_name(part))] = findings.users_with[static_cast<std::size_t>(part)];
    if (part != Part::train)
      object[fmt::format("{}_items_unseen_in_train", data::part_name(part))] =
          findings.unseen[static_cast<std::size_t>(part)];
  }
  object["user_activity"] = as_json(findings.user_activity);
  object["item_activity"] = as_json(findings.item_activity);
  object["side"] = nlohmann::ordered_json::parse(side_json(findings.side));
  object["checksums_verified"] = findings.checksums;
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string part_line(const Findings& findings, Part part) {
  const auto p = static_cast<std::size_t>(part);
  std::string line = fmt::format("{:<11} {} interactions of {} users", data::part_name(part),
                                 with_commas(findings.header.counts[p]), with_commas(findings.users_with[p]));
  if (findings.unseen[p] > 0)
    line += fmt::format(", {} with an item that train never has", with_commas(findings.unseen[p]));
  return line + "\n";
}

std::string histogram_text(const LogHistogram& histogram, const std::string& title, const std::string& unit) {
  return fmt::format("{}: {} to {}, mean {:.1f}\n{}", title, with_commas(histogram.least()),
                     with_commas(histogram.most()), histogram.mean(), histogram.bars(unit));
}

std::string as_text(const Findings& findings) {
  const data::DatasetHeader& header = findings.header;
  std::string text = fmt::format("{}: data set \"{}\", {} users, {} items, density {:.3g}%\n", header.path, header.name,
                                 with_commas(header.users), with_commas(header.items), 100.0 * findings.density());
  for (const Part part : data::parts_of(header.holds_out_users)) text += part_line(findings, part);
  std::string extras = header.has_ratings ? "ratings" : "";
  if (header.has_times) extras += extras.empty() ? "times" : ", times";
  if (header.has_negatives)
    extras += fmt::format("{}{} fixed candidates for a sampled protocol", extras.empty() ? "" : ", ",
                          with_commas(findings.negatives));
  text += fmt::format("{:<11} {}\n", "with", extras.empty() ? "items only" : extras);
  text += side_text(findings.side);
  text += fmt::format("{:<11} {}\n", "split", header.split);
  text += fmt::format("{:<11} {}\n", "source", findings.source);
  text += fmt::format("{:<11} {}, {} bytes, all {} checksums match\n", "content", header.content,
                      with_commas(findings.bytes), with_commas(findings.checksums));
  text += histogram_text(findings.user_activity, "training interactions a user", "users");
  text += histogram_text(findings.item_activity, "training interactions an item", "items");
  return text;
}

}  // namespace

std::string inspect_dataset(const std::string& path, bool json) {
  const Findings findings = examine(path);
  return json ? as_json(findings) : as_text(findings);
}

}  // namespace spar::data_tools
