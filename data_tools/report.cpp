#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "data_tools/import.hpp"

namespace spar::data_tools {

namespace {

/// 1234567 as 1,234,567.
std::string grouped(std::int64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string counted(std::int64_t count, std::string_view one) {
  if (count == 1) return fmt::format("1 {}", one);
  if (one.ends_with('y')) return fmt::format("{} {}ies", grouped(count), one.substr(0, one.size() - 1));
  return fmt::format("{} {}s", grouped(count), one);
}

constexpr std::size_t most_inputs_shown = 8;

std::string input_lines(const std::vector<ImportReport::Input>& inputs) {
  std::string lines;
  std::size_t width = 0;
  for (const ImportReport::Input& input : inputs) width = std::max(width, grouped(input.rows).size());
  for (std::size_t k = 0; k < std::min(inputs.size(), most_inputs_shown); ++k) {
    const ImportReport::Input& input = inputs[k];
    lines +=
        fmt::format("read     {:>{}} {} from {} ({}", grouped(input.rows), width, input.part, input.path, input.layout);
    if (input.empty_lines > 0) lines += fmt::format("; {}", counted(input.empty_lines, "empty line"));
    if (input.empty_lists > 0) lines += fmt::format("; {}", counted(input.empty_lists, "empty list"));
    lines += ")\n";
  }
  if (inputs.size() > most_inputs_shown)
    lines += fmt::format("         ... and {} more files\n", inputs.size() - most_inputs_shown);
  return lines;
}

/// What a set of side data holds: "2,048 numbers for 1,650 of 1,682 items".
std::string side_holds(const ImportReport::SideData& side) {
  const std::string rows = fmt::format("{} of {} {}", grouped(side.covered), grouped(side.rows), side.side);
  if (side.kind == "features") return fmt::format("{} for {}", counted(side.width, "number"), rows);
  if (side.kind == "attribute") return fmt::format("{} for {}", counted(side.width - 1, "category"), rows);
  if (side.kind == "bag")
    return fmt::format("{} of {} for {}", counted(side.entries, "entry"), counted(side.width, "word"), rows);
  if (side.kind == "graph") return fmt::format("{} from {}", counted(side.entries, "edge"), rows);
  if (side.kind == "dislikes") return fmt::format("{} by {}", counted(side.entries, "item"), rows);
  return fmt::format("{} of {} by {}", counted(side.entries, "assignment"), counted(side.width, "tag"), rows);
}

std::string side_lines(const std::vector<ImportReport::SideData>& sides) {
  std::string lines;
  for (const ImportReport::SideData& side : sides) {
    lines += fmt::format("side     {}: {}, from {}{}\n", side.title, side_holds(side), side.path,
                         side.layout.empty() ? "" : fmt::format(" ({})", side.layout));
    const auto add = [&](std::int64_t count, const char* what) {
      if (count > 0) lines += fmt::format("         {} dropped: {}\n", counted(count, "line"), what);
    };
    add(side.unknown, "not of this data set");
    add(side.loops, "a user's edge to itself");
    if (side.repeated > 0) lines += fmt::format("         {} dropped\n", counted(side.repeated, "repeat"));
  }
  return lines;
}

nlohmann::ordered_json side_json(const std::vector<ImportReport::SideData>& sides) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ImportReport::SideData& side : sides) {
    list.push_back({{"kind", side.kind},
                    {"side", side.side},
                    {"name", side.name},
                    {"path", side.path},
                    {"layout", side.layout},
                    {"width", side.width},
                    {"rows", side.rows},
                    {"covered", side.covered},
                    {"entries", side.entries},
                    {"lines", side.lines},
                    {"unknown", side.unknown},
                    {"repeated", side.repeated},
                    {"loops", side.loops}});
  }
  return list;
}

}  // namespace

std::int64_t ImportReport::dropped(const std::string& reason) const {
  for (const Drop& drop : drops) {
    if (drop.reason == reason) return drop.count;
  }
  return 0;
}

std::string ImportReport::text() const {
  std::string lines = input_lines(inputs);
  for (const Drop& drop : drops) lines += fmt::format("dropped  {} {}\n", grouped(drop.count), drop.sentence);
  lines += side_lines(side);
  if (liked_and_disliked > 0)
    lines += fmt::format("         {} liked and disliked: the rating that is kept decides\n",
                         counted(liked_and_disliked, "pair"));
  for (const std::string& note : notes) lines += fmt::format("note     {}\n", note);
  lines += fmt::format("kept     {}, {}: {} train / {} validation / {} test{}{}\n", counted(users, "user"),
                       counted(items, "item"), grouped(train), grouped(validation), grouped(test),
                       has_ratings ? ", with ratings" : "", has_times ? ", with times" : "");
  const auto add = [&](std::int64_t count, const char* one, const char* rest) {
    if (count > 0) lines += fmt::format("         {} {}\n", counted(count, one), rest);
  };
  add(negatives, "candidate", "for the test part");
  if (fold_in > 0) {
    lines += fmt::format("         {} held out for validation, {} for the test: {} interactions folded in\n",
                         counted(held_out_validation, "user"), grouped(held_out_test), grouped(fold_in));
  }
  add(users_without_train, "user", "without a training interaction");
  if (test > 0 && fold_in == 0) add(users_without_test, "user", "without a test interaction");
  add(items_only_in_test, "item", "of the test part in no training or validation interaction");
  lines += fmt::format("split    {}\n", split);
  // A rate says something where reading the rows takes most of the time.
  const std::string rate = rows_read >= 1000000
                               ? fmt::format(", {:.1f} million rows/s", static_cast<double>(rows_read) / seconds / 1e6)
                               : "";
  lines += fmt::format("wrote    {} (content {}) in {:.1f} s{}\n", to, content, seconds, rate);
  return lines;
}

std::string ImportReport::json() const {
  nlohmann::ordered_json object;
  object["name"] = name;
  object["from"] = from;
  object["to"] = to;
  object["content"] = content;
  object["split"] = split;
  object["inputs"] = nlohmann::ordered_json::array();
  for (const Input& input : inputs) {
    object["inputs"].push_back({{"path", input.path},
                                {"part", input.part},
                                {"layout", input.layout},
                                {"rows", input.rows},
                                {"empty_lines", input.empty_lines},
                                {"empty_lists", input.empty_lists}});
  }
  object["rows_read"] = rows_read;
  object["dropped"] = nlohmann::ordered_json::object();
  for (const Drop& drop : drops) object["dropped"][drop.reason] = drop.count;
  object["side"] = side_json(side);
  object["notes"] = notes;
  object["users"] = users;
  object["items"] = items;
  object["train"] = train;
  object["validation"] = validation;
  object["test"] = test;
  object["negatives"] = negatives;
  object["dislikes"] = dislikes;
  object["liked_and_disliked"] = liked_and_disliked;
  object["fold_in"] = fold_in;
  object["held_out_validation_users"] = held_out_validation;
  object["held_out_test_users"] = held_out_test;
  object["ratings"] = has_ratings;
  object["times"] = has_times;
  object["users_without_train"] = users_without_train;
  object["users_without_test"] = users_without_test;
  object["items_only_in_test"] = items_only_in_test;
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace spar::data_tools
