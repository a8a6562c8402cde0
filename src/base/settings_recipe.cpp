#include <algorithm>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/settings.hpp"

namespace spar {

namespace {

constexpr std::size_t widest_before_comment = 44;
// The origin that says nothing worth a place in every line of a recipe.
constexpr const char* unremarkable_origin = "own choice";

std::string_view table_of(std::string_view key) {
  return key.substr(0, key.find('.'));
}
std::string_view name_of(std::string_view key) {
  return key.substr(key.find('.') + 1);
}

std::string comment_of(const Setting& setting, const std::string* default_origin) {
  const bool lists = setting.kind == SettingKind::text && setting.choices.size() > 1;
  return fmt::format(
      "# {}{}{}", lists ? fmt::format("{}: ", fmt::join(setting.choices, " | ")) : "", setting.sentence,
      default_origin == nullptr || *default_origin == unremarkable_origin ? "" : fmt::format(" [{}]", *default_origin));
}

}  // namespace

bool SystemSettings::understands(const Setting& setting) const {
  if (setting.common) return true;
  return std::any_of(takes.begin(), takes.end(), [&](const std::string& taken) {
    return taken == setting.key || (taken.ends_with(".*") && table_of(setting.key) == table_of(taken));
  });
}

const SettingDefault* SystemSettings::own_default(std::string_view key) const {
  for (const SettingDefault& own : defaults) {
    if (own.key == key) return &own;
  }
  return nullptr;
}

bool Recipe::has(std::string_view key) const {
  return values_.find(key) != values_.end();
}

const SettingValue& Recipe::value(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end())
    throw Bug(
        fmt::format("the recipe of {} was asked for {}, which it does not take; this is a bug in spar", system_, key));
  return found->second;
}

bool Recipe::flag(std::string_view key) const {
  return std::get<bool>(value(key));
}
std::int64_t Recipe::integer(std::string_view key) const {
  return std::get<std::int64_t>(value(key));
}
double Recipe::real(std::string_view key) const {
  return std::get<double>(value(key));
}
Schedule Recipe::schedule(std::string_view key) const {
  const auto* text = std::get_if<std::string>(&value(key));
  return text != nullptr ? Schedule::parse(*text) : Schedule(real(key));
}
const std::string& Recipe::text(std::string_view key) const {
  return std::get<std::string>(value(key));
}
const std::vector<std::int64_t>& Recipe::integers(std::string_view key) const {
  return std::get<std::vector<std::int64_t>>(value(key));
}
const std::vector<double>& Recipe::reals(std::string_view key) const {
  return std::get<std::vector<double>>(value(key));
}
const std::vector<std::string>& Recipe::texts(std::string_view key) const {
  return std::get<std::vector<std::string>>(value(key));
}

bool Recipe::is_auto(std::string_view key) const {
  const auto* text = std::get_if<std::string>(&value(key));
  return find_setting(key)->may_be_auto && text != nullptr && *text == "auto";
}

bool Recipe::is_effective(const Setting& setting) const {
  if (setting.only_with.empty() || !has(setting.only_with)) return true;
  return std::find(setting.only_values.begin(), setting.only_values.end(), text(setting.only_with)) !=
         setting.only_values.end();
}

void Recipe::set(std::string_view key, SettingValue new_value) {
  const Setting* setting = find_setting(key);
  SPAR_ASSERT(setting != nullptr && has(key));
  if (const auto right = setting_fault(*setting, new_value)) {
    throw UserError(fmt::format("{} = {} is not allowed: it must be {}", key, setting_text(new_value), *right));
  }
  values_.find(key)->second = std::move(new_value);
  origins_.erase(std::string(key));
}

std::string Recipe::toml(bool comments) const {
  std::string text = fmt::format("system = \"{}\"\n", system_);
  const auto line_of = [&](const Setting& setting) {
    return fmt::format("{} = {}", name_of(setting.key), setting_text(value(setting.key)));
  };
  std::string_view table;
  std::size_t width = 0;
  for (const Setting& setting : all_settings()) {
    if (!has(setting.key) || !is_effective(setting)) continue;
    if (table_of(setting.key) != table) {
      table = table_of(setting.key);
      text += fmt::format("{}[{}]\n", comments ? "\n" : "", table);
      width = 0;
      for (const Setting& other : all_settings()) {
        if (table_of(other.key) != table || !has(other.key) || !is_effective(other)) continue;
        if (const std::size_t size = line_of(other).size(); size <= widest_before_comment)
          width = std::max(width, size);
      }
    }
    const std::string line = line_of(setting);
    if (comments) {
      const auto origin = origins_.find(setting.key);
      text += fmt::format("{:<{}}  {}\n", line, width,
                          comment_of(setting, origin == origins_.end() ? nullptr : &origin->second));
    } else {
      text += line + "\n";
    }
  }
  return text;
}

std::string Recipe::identity() const {
  std::string text = fmt::format("system = \"{}\"\n", system_);
  for (const Setting& setting : all_settings()) {
    if (setting.role != SettingRole::identity || !has(setting.key) || !is_effective(setting)) continue;
    text += fmt::format("{} = {}\n", setting.key, setting_text(value(setting.key)));
  }
  return text;
}

}  // namespace spar
