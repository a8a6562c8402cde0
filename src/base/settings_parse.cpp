#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "spar/base/error.hpp"
#include "spar/base/settings.hpp"

namespace spar {

namespace {

/// What the user gave for a key, and where: "my.toml:5:11" or "--set".
struct Given {
  SettingValue value;
  std::string where;
};
using GivenValues = std::map<std::string, Given, std::less<>>;

std::string did_you_mean(const std::optional<std::string>& proposal, const std::string& otherwise) {
  return proposal ? fmt::format("did you mean {}?", *proposal) : otherwise;
}

std::string node_text(const toml::node& node) {
  std::string text;
  node.visit([&](const auto& typed) {
    if constexpr (toml::is_string<decltype(typed)>) {
      text = setting_text(SettingValue(std::string(*typed)));
    } else if constexpr (toml::is_floating_point<decltype(typed)>) {
      text = setting_text(SettingValue(*typed));
    } else {
      std::ostringstream stream;
      stream << typed;
      text = stream.str();
    }
  });
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::optional<double> as_real(const toml::node& node) {
  if (node.is_floating_point())
    return node.as_floating_point()->get() + 0.0;  // no negative zero: it would be another identity
  if (node.is_integer()) return static_cast<double>(node.as_integer()->get());
  return std::nullopt;
}

template <class T, class Convert>
std::optional<SettingValue> as_list(const toml::node& node, Convert convert) {
  if (!node.is_array()) return std::nullopt;
  std::vector<T> list;
  for (const toml::node& element : *node.as_array()) {
    const auto value = convert(element);
    if (!value) return std::nullopt;
    list.push_back(*value);
  }
  return SettingValue(std::move(list));
}

std::optional<SettingValue> as_kind(const Setting& setting, const toml::node& node) {
  const SettingKind kind = setting.kind;
  const auto integer = [](const toml::node& n) {
    return n.is_integer() ? std::optional(n.as_integer()->get()) : std::nullopt;
  };
  const auto text = [](const toml::node& n) {
    return n.is_string() ? std::optional(n.as_string()->get()) : std::nullopt;
  };
  switch (kind) {
    case SettingKind::flag:
      return node.is_boolean() ? std::optional<SettingValue>(node.as_boolean()->get()) : std::nullopt;
    case SettingKind::integer:
      if (setting.may_be_auto && text(node) == std::optional<std::string>("auto"))
        return SettingValue(std::string("auto"));
      return integer(node) ? std::optional<SettingValue>(*integer(node)) : std::nullopt;
    case SettingKind::real:
      if (setting.may_vary && text(node)) return SettingValue(Schedule::parse(*text(node)).text());
      return as_real(node) ? std::optional<SettingValue>(*as_real(node)) : std::nullopt;
    case SettingKind::text:
      return text(node) ? std::optional<SettingValue>(*text(node)) : std::nullopt;
    case SettingKind::integers:
      return as_list<std::int64_t>(node, integer);
    case SettingKind::reals:
      return as_list<double>(node, as_real);
    case SettingKind::texts:
      return as_list<std::string>(node, text);
  }
  return std::nullopt;
}

const char* kind_name(const Setting& setting) {
  switch (setting.kind) {
    case SettingKind::flag:
      return "true or false";
    case SettingKind::integer:
      return setting.may_be_auto ? "an integer or \"auto\"" : "an integer";
    case SettingKind::real:
      return setting.may_vary ? "a number or a schedule" : "a number";
    case SettingKind::text:
      return "a text";
    case SettingKind::integers:
      return "a list of integers";
    case SettingKind::reals:
      return "a list of numbers";
    case SettingKind::texts:
      return "a list of texts";
  }
  return "";
}

/// The value of a node, checked for kind, range and choices.
SettingValue checked(const Setting& setting, const toml::node& node, const std::string& where) {
  std::optional<SettingValue> value;
  try {
    value = as_kind(setting, node);
  } catch (const UserError& error) {
    throw UserError(fmt::format("{}: {} = {} is neither a number nor a schedule: {}", where, setting.key,
                                node_text(node), error.what()));
  }
  if (!value)
    throw UserError(fmt::format("{}: {} = {} has the wrong type: it must be {}", where, setting.key, node_text(node),
                                kind_name(setting)));
  if (const auto right = setting_fault(setting, *value)) {
    const bool number = setting.kind == SettingKind::integer || setting.kind == SettingKind::real;
    throw UserError(fmt::format("{}: {} = {} is {}: it must be {}", where, setting.key, setting_text(*value),
                                number ? "out of range" : "not allowed", *right));
  }
  return *value;
}

[[noreturn]] void unknown_key(const std::string& key, const std::string& where) {
  std::vector<std::string> keys, names;
  for (const Setting& setting : all_settings()) {
    keys.push_back(setting.key);
    names.push_back(setting.key.substr(setting.key.find('.') + 1));
  }
  std::optional<std::string> proposal = nearest(key, keys);
  if (!proposal) {  // the right name in the wrong table
    const auto name = nearest(key.substr(key.rfind('.') + 1), names);
    if (name) proposal = keys[static_cast<std::size_t>(std::find(names.begin(), names.end(), *name) - names.begin())];
  }
  throw UserError(
      fmt::format("{}: unknown setting {}: {}", where, key, did_you_mean(proposal, "spar settings lists all")));
}

/// Turns the tables of a document into "table.key" -> node.
void flatten(const toml::table& table, const std::string& prefix,
             std::vector<std::pair<std::string, const toml::node*>>& flat) {
  for (const auto& [name, node] : table) {
    const std::string key = prefix.empty() ? std::string(name.str()) : prefix + "." + std::string(name.str());
    if (node.is_table() && !(find_setting(key) != nullptr || node.as_table()->empty())) {
      flatten(*node.as_table(), key, flat);
    } else {
      flat.emplace_back(key, &node);
    }
  }
}

std::string place(const std::string& origin, const toml::source_region& source) {
  return fmt::format("{}:{}:{}", origin, source.begin.line, source.begin.column);
}

toml::table parse_document(const std::string& text, const std::string& origin) {
  try {
    return toml::parse(std::string_view(text), std::string_view(origin));
  } catch (const toml::parse_error& error) {
    throw UserError(fmt::format("{}: not TOML: {}", place(origin, error.source()), error.description()));
  }
}

bool is_known_table(const std::string& name) {
  return std::any_of(all_settings().begin(), all_settings().end(),
                     [&](const Setting& setting) { return setting.key.starts_with(name + "."); });
}

GivenValues read_document(const toml::table& document, const std::string& origin) {
  std::vector<std::pair<std::string, const toml::node*>> flat;
  flatten(document, "", flat);
  GivenValues given;
  for (const auto& [key, node] : flat) {
    if (key == "system") continue;
    const std::string where = place(origin, node->source());
    if (node->is_table() && is_known_table(key)) continue;  // an empty table
    const Setting* setting = find_setting(key);
    if (setting == nullptr) unknown_key(key, where);
    given[key] = {checked(*setting, *node, where), where};
  }
  return given;
}

std::string joined_quoted(const std::string& list) {
  std::string text;
  std::size_t begin = 0;
  while (begin <= list.size()) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    std::string element = list.substr(begin, end - begin);
    element.erase(0, element.find_first_not_of(' '));
    element.erase(element.find_last_not_of(' ') + 1);
    text += (text.empty() ? "" : ", ") + setting_text(SettingValue(element));
    begin = end + 1;
  }
  return text;
}

/// The value of "--set key=text": what TOML makes of it, else the bare text; lists also without brackets.
SettingValue read_override(const Setting& setting, const std::string& text) {
  const bool list =
      setting.kind == SettingKind::integers || setting.kind == SettingKind::reals || setting.kind == SettingKind::texts;
  const bool quoted = !text.empty() && (text.front() == '"' || text.front() == '\'');
  std::vector<std::string> readings;
  if (list && !text.starts_with('[')) {
    readings = {fmt::format("[{}]", text), fmt::format("[{}]", joined_quoted(text))};
  } else if (setting.kind == SettingKind::text && !quoted) {
    readings = {};  // a bare word is a text, also where it looks like a number
  } else {
    readings = {text};
  }
  readings.push_back(setting_text(SettingValue(text)));
  for (const std::string& reading : readings) {
    toml::table document;
    try {
      document = toml::parse(fmt::format("value = {}", reading));
    } catch (const toml::parse_error&) {
      continue;
    }
    if (document.size() == 1) return checked(setting, *document.get("value"), "--set");
  }
  throw UserError(fmt::format("--set: {} is not a value for {}: it must be {}", setting_text(SettingValue(text)),
                              setting.key, setting_range(setting)));
}

GivenValues read_overrides(const std::vector<std::string>& overrides) {
  GivenValues given;
  for (const std::string& text : overrides) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      throw UserError(fmt::format("--set {}: it must be KEY=VALUE, such as --set train.epochs=20", text));
    const std::string key = text.substr(0, equals);
    if (key == "system") throw UserError("--set: the system is chosen by RECIPE, not by --set");
    const Setting* setting = find_setting(key);
    if (setting == nullptr) unknown_key(key, "--set");
    if (!given.emplace(key, Given{read_override(*setting, text.substr(equals + 1)), "--set"}).second) {
      throw UserError(fmt::format("--set: {} is given twice", key));
    }
  }
  return given;
}

const SystemSettings& chosen_system(const toml::table& document, const std::string& origin,
                                    const FindSystemSettings& find, const std::vector<std::string>& systems) {
  const toml::node* node = document.get("system");
  const std::string all = fmt::format("{}", fmt::join(systems, ", "));
  if (node == nullptr)
    throw UserError(fmt::format("{}: no system: a recipe begins with system = \"NAME\", one of {}", origin, all));
  const std::string where = place(origin, node->source());
  if (!node->is_string())
    throw UserError(fmt::format("{}: system = {} has the wrong type: it must be a text", where, node_text(*node)));
  const std::string& name = node->as_string()->get();
  const SystemSettings* settings = find(name);
  if (settings == nullptr) {
    throw UserError(fmt::format("{}: unknown system \"{}\": {}", where, name,
                                did_you_mean(nearest(name, systems), "there are " + all)));
  }
  return *settings;
}

/// Refuses keys that the system does not take.
void check_taken(const GivenValues& given, const SystemSettings& system, const FindSystemSettings& find,
                 const std::vector<std::string>& systems) {
  for (const auto& [key, value] : given) {
    if (system.understands(*find_setting(key))) continue;
    std::vector<std::string> takers;
    for (const std::string& name : systems) {
      if (find(name)->understands(*find_setting(key))) takers.push_back(name);
    }
    throw UserError(fmt::format("{}: {} is no setting of {}{}", value.where, key, system.system,
                                takers.empty() ? "" : fmt::format(", only of {}", fmt::join(takers, ", "))));
  }
}

void check_effective(const GivenValues& given, const Recipe& recipe) {
  for (const auto& [key, value] : given) {
    const Setting& setting = *find_setting(key);
    if (recipe.is_effective(setting)) continue;
    throw UserError(fmt::format("{}: {} has no effect with {} = {}, only with {}", value.where, key, setting.only_with,
                                setting_text(recipe.value(setting.only_with)), fmt::join(setting.only_values, ", ")));
  }
}

std::string recipe_name(const std::string& origin) {
  return origin.ends_with(".toml") ? std::filesystem::path(origin).stem().string() : origin;
}

}  // namespace

Recipe parse_recipe(const std::string& toml, const std::string& origin, const std::vector<std::string>& overrides,
                    const FindSystemSettings& system_settings, const std::vector<std::string>& systems) {
  const toml::table document = parse_document(toml, origin);
  const SystemSettings& system = chosen_system(document, origin, system_settings, systems);
  Recipe recipe;
  recipe.system_ = system.system;
  recipe.name_ = recipe_name(origin);
  for (const Setting& setting : all_settings()) {
    if (!system.understands(setting)) continue;
    const SettingDefault* own = system.own_default(setting.key);
    recipe.values_.emplace(setting.key, own != nullptr ? own->value : setting.fallback);
    recipe.origins_.emplace(setting.key, own != nullptr ? own->origin : setting.origin);
  }
  // The file is judged by itself before the overrides: what had an effect in it may lose it by --set
  // optimizer.name=..., which is no mistake.
  for (const GivenValues& given : {read_document(document, origin), read_overrides(overrides)}) {
    check_taken(given, system, system_settings, systems);
    for (const auto& [key, value] : given) {
      recipe.values_.find(key)->second = value.value;
      recipe.origins_.erase(key);
    }
    check_effective(given, recipe);
  }
  return recipe;
}

}  // namespace spar
