#include <algorithm>

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

constexpr std::size_t most_inputs_shown = 8;

std::string input_lines(const std::vector<ImportReport::Input>& inputs) {
  std::string lines;
  std::size_t width = 0;
  for (const ImportReport::Input& input : inputs) width = std::max(width, grouped(input.rows).size());
  for (std::size_t k = 0; k < std::min(inputs.size(), most_inputs_shown); ++k) {
    const ImportReport::Input& input = inputs[k];
    lines +=
        fmt::format("read     {:>{}} {} from {} ({}", grouped(input.rows), width, input.part, input.path, input.layout);
    if (input.empty_lines > 0) lines += fmt::format("; {} empty lines", grouped(input.empty_lines));
    if (input.empty_lists > 0) lines += fmt::format("; {} empty lists", grouped(input.empty_lists));
    lines += ")\n";
  }
  if (inputs.size() > most_inputs_shown)
    lines += fmt::format("         ... and {} more files\n", inputs.size() - most_inputs_shown);
  return lines;
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
  for (const std::string& note : notes) lines += fmt::format("note     {}\n", note);
  lines += fmt::format("kept     {} users, {} items: {} train / {} validation / {} test{}{}\n", grouped(users),
                       grouped(items), grouped(train), grouped(validation), grouped(test),
                       has_ratings ? ", with ratings" : "", has_times ? ", with times" : "");
  if (negatives > 0) lines += fmt::format("         {} candidates for the test part\n", grouped(negatives));
  if (users_without_train > 0)
    lines += fmt::format("         {} users have no training interaction\n", grouped(users_without_train));
  if (users_without_test > 0 && test > 0)
    lines += fmt::format("         {} users have no test interaction\n", grouped(users_without_test));
  if (items_only_in_test > 0)
    lines += fmt::format("         {} test items occur in no training or validation interaction\n",
                         grouped(items_only_in_test));
  lines += fmt::format("split    {}\n", split);
  const std::string rate =
      seconds > 0 ? fmt::format(", {:.1f} million rows/s", static_cast<double>(rows_read) / seconds / 1e6) : "";
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
  object["notes"] = notes;
  object["users"] = users;
  object["items"] = items;
  object["train"] = train;
  object["validation"] = validation;
  object["test"] = test;
  object["negatives"] = negatives;
  object["ratings"] = has_ratings;
  object["times"] = has_times;
  object["users_without_train"] = users_without_train;
  object["users_without_test"] = users_without_test;
  object["items_only_in_test"] = items_only_in_test;
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace spar::data_tools
