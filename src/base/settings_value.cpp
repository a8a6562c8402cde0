#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/settings.hpp"

namespace spar {

namespace {

std::string real_text(double value) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  std::string text(digits.data(), end);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (code < 0x20 || code == 0x7f) {
      result += fmt::format("\\u{:04X}", code);
    } else {
      result += c;
    }
  }
  return result + '"';
}

template <class T, class Show>
std::string list_text(const std::vector<T>& values, Show show) {
  std::string text = "[";
  for (const T& value : values) text += (text.size() > 1 ? ", " : "") + show(value);
  return text + "]";
}

std::string bound_text(const Setting& setting, double bound) {
  const bool whole =
      setting.kind == SettingKind::integer || setting.kind == SettingKind::integers || bound == std::floor(bound);
  return whole ? fmt::format("{:.0f}", bound) : fmt::format("{}", bound);
}

bool in_range(const Setting& setting, double value) {
  if (!std::isfinite(value)) return false;
  if (setting.minimum && (setting.exclusive_minimum ? value <= *setting.minimum : value < *setting.minimum))
    return false;
  return !setting.maximum || value <= *setting.maximum;
}

// A schedule stays between its first and last value; one that falls towards 0 never reaches it.
bool in_range(const Setting& setting, const std::string& schedule) {
  const Schedule values = Schedule::parse(schedule);
  const bool falls = schedule.starts_with("step");
  return in_range(setting, values.first()) && (falls || in_range(setting, values.last()));
}

bool allowed(const Setting& setting, const SettingValue& value) {
  switch (setting.kind) {
    case SettingKind::flag:
      return std::holds_alternative<bool>(value);
    case SettingKind::integer:
      if (const auto* text = std::get_if<std::string>(&value)) return setting.may_be_auto && *text == "auto";
      return std::holds_alternative<std::int64_t>(value) &&
             in_range(setting, static_cast<double>(std::get<std::int64_t>(value)));
    case SettingKind::real:
      if (const auto* text = std::get_if<std::string>(&value)) return setting.may_vary && in_range(setting, *text);
      return std::holds_alternative<double>(value) && in_range(setting, std::get<double>(value));
    case SettingKind::text:
      return std::holds_alternative<std::string>(value) &&
             (setting.choices.empty() || std::find(setting.choices.begin(), setting.choices.end(),
                                                   std::get<std::string>(value)) != setting.choices.end());
    case SettingKind::integers: {
      const auto* list = std::get_if<std::vector<std::int64_t>>(&value);
      return list != nullptr && !list->empty() && std::all_of(list->begin(), list->end(), [&](std::int64_t element) {
               return in_range(setting, static_cast<double>(element));
             });
    }
    case SettingKind::reals: {
      const auto* list = std::get_if<std::vector<double>>(&value);
      return list != nullptr && !list->empty() &&
             std::all_of(list->begin(), list->end(), [&](double element) { return in_range(setting, element); });
    }
    case SettingKind::texts: {
      const auto* list = std::get_if<std::vector<std::string>>(&value);
      return list != nullptr && !list->empty() &&
             std::all_of(list->begin(), list->end(), [&](const std::string& element) {
               return setting.choices.empty() ||
                      std::find(setting.choices.begin(), setting.choices.end(), element) != setting.choices.end();
             });
    }
  }
  return false;
}

std::string number_range(const Setting& setting) {
  if (setting.minimum && setting.maximum) {
    return fmt::format("{}{} to {}", setting.exclusive_minimum ? "above " : "", bound_text(setting, *setting.minimum),
                       bound_text(setting, *setting.maximum));
  }
  if (setting.minimum) {
    return setting.exclusive_minimum ? "above " + bound_text(setting, *setting.minimum)
                                     : bound_text(setting, *setting.minimum) + " or more";
  }
  return setting.maximum ? bound_text(setting, *setting.maximum) + " or less" : "any number";
}

}  // namespace

std::string setting_text(const SettingValue& value) {
  struct Show {
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(std::int64_t number) const { return std::to_string(number); }
    std::string operator()(double number) const { return real_text(number); }
    std::string operator()(const std::string& text) const { return quoted(text); }
    std::string operator()(const std::vector<std::int64_t>& list) const { return list_text(list, *this); }
    std::string operator()(const std::vector<double>& list) const { return list_text(list, *this); }
    std::string operator()(const std::vector<std::string>& list) const { return list_text(list, *this); }
  };
  return std::visit(Show{}, value);
}

std::string setting_range(const Setting& setting) {
  if (!setting.rule.empty()) return setting.rule;
  const std::string choices = fmt::format("{}", fmt::join(setting.choices, ", "));
  switch (setting.kind) {
    case SettingKind::flag:
      return "true or false";
    case SettingKind::integer:
      return number_range(setting) + (setting.may_be_auto ? ", or \"auto\"" : "");
    case SettingKind::real:
      return number_range(setting) + (setting.may_vary ? ", or a schedule" : "");
    case SettingKind::integers:
    case SettingKind::reals:
      return "a list, each " + number_range(setting);
    case SettingKind::text:
      return setting.choices.empty() ? "any text" : "one of " + choices;
    case SettingKind::texts:
      return setting.choices.empty() ? "a list of texts" : "a list of " + choices;
  }
  return "";
}

std::optional<std::string> setting_fault(const Setting& setting, const SettingValue& value) {
  if (allowed(setting, value) && (setting.keeps == nullptr || setting.keeps(value))) return std::nullopt;
  return setting_range(setting);
}

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known) {
  std::size_t best = word.size() / 3 + 1;
  std::optional<std::string> found;
  for (const std::string& candidate : known) {
    // Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours; three rows of the table
    // are alive.
    std::vector<std::size_t> before(candidate.size() + 1), above(candidate.size() + 1), row(candidate.size() + 1);
    for (std::size_t j = 0; j <= candidate.size(); ++j) above[j] = j;
    for (std::size_t i = 1; i <= word.size(); ++i) {
      row[0] = i;
      for (std::size_t j = 1; j <= candidate.size(); ++j) {
        row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (word[i - 1] == candidate[j - 1] ? 0U : 1U)});
        if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1])
          row[j] = std::min(row[j], before[j - 2] + 1);
      }
      std::swap(before, above);
      std::swap(above, row);
    }
    if (above[candidate.size()] < best) {
      best = above[candidate.size()];
      found = candidate;
    }
  }
  return found;
}

}  // namespace spar
