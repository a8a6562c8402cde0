#include <algorithm>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/settings.hpp"
#include "spar/cli/pages.hpp"
#include "spar/systems/system.hpp"

namespace spar::cli {

namespace {

std::string table_of(const Setting& setting) {
  return setting.key.substr(0, setting.key.find('.'));
}

const char* kind_word(SettingKind kind) {
  switch (kind) {
    case SettingKind::flag:
      return "flag";
    case SettingKind::integer:
      return "integer";
    case SettingKind::real:
      return "number";
    case SettingKind::text:
      return "text";
    case SettingKind::integers:
      return "list of integers";
    case SettingKind::reals:
      return "list of numbers";
    case SettingKind::texts:
      return "list of texts";
  }
  return "";
}

std::string systems_with(const Setting& setting) {
  if (setting.common) return "all";
  std::vector<std::string> names;
  for (const auto& info : systems::all_systems()) {
    if (info.settings.understands(setting)) names.push_back(info.name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

/// The default of the setting, then the systems whose own default has another value or origin.
std::string defaults_of(const Setting& setting) {
  std::string text = fmt::format("`{}` ({})", setting_text(setting.fallback), setting.origin);
  for (const auto& info : systems::all_systems()) {
    if (const SettingDefault* own = info.settings.own_default(setting.key))
      text += fmt::format("; {}: `{}` ({})", info.name, setting_text(own->value), own->origin);
  }
  return text;
}

std::string condition_of(const Setting& setting) {
  return setting.only_with.empty()
             ? ""
             : fmt::format(" Only with `{}` = {}.", setting.only_with, fmt::join(setting.only_values, " or "));
}

}  // namespace

std::string settings_list(const std::vector<std::string>& keys) {
  std::vector<std::string> known;
  for (const Setting& setting : all_settings()) {
    known.push_back(setting.key);
    if (std::find(known.begin(), known.end(), table_of(setting)) == known.end()) known.push_back(table_of(setting));
  }
  for (const std::string& key : keys) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const auto proposal = nearest(key, known);
    throw UserError(proposal ? fmt::format("unknown setting {}: did you mean {}?", key, *proposal)
                             : fmt::format("unknown setting {}: spar settings lists all", key));
  }
  std::string text;
  for (const Setting& setting : all_settings()) {
    const bool wanted = keys.empty() || std::any_of(keys.begin(), keys.end(), [&](const std::string& key) {
                          return key == setting.key || key == table_of(setting);
                        });
    if (!wanted) continue;
    text += fmt::format("{} = {}\n    {}.{}\n    {}; {}; taken by {}; default: {}\n", setting.key,
                        setting_text(setting.fallback), setting.sentence, condition_of(setting), setting_range(setting),
                        setting.role == SettingRole::free ? "free" : "identity", systems_with(setting), setting.origin);
  }
  return text;
}

std::string settings_page() {
  std::string text =
      "# Settings\n\n"
      "Made by `spar settings --markdown` from the declarations in `src/base/settings.cpp`; a test keeps the two "
      "equal.\n\n"
      "A recipe is a TOML file. It begins with `system = \"NAME\"`; its tables and keys are below. `--set key=value` "
      "overrides any of them, "
      "`spar systems NAME --recipe` prints a full recipe. *Identity* settings are part of the experiment: a run goes "
      "on only with the same values. "
      "*Free* settings may change when a run goes on.\n\n"
      "## Schedules\n\n"
      "Where a setting takes \"a number, or a schedule\", a text may stand for the number, and the value then follows "
      "the step of the training, counted from its very start, pre-training included:\n\n"
      "| text | value, with t epochs since the start and p = min(t / N, 1) |\n| --- | --- |\n"
      "| `\"ramp A B over N epochs\"` | A + (B - A) p |\n"
      "| `\"cosine A B over N epochs\"` | B + (A - B) (1 + cos(pi p)) / 2 |\n"
      "| `\"exponential A B over N epochs\"` | A (B / A)^p |\n"
      "| `\"dann B over N epochs\"` | B (2 / (1 + exp(-10 p)) - 1), of domain-adversarial training |\n"
      "| `\"step A times F every N epochs\"` | A F^floor(t / N), F at most 1 |\n\n"
      "`steps` may stand in place of `epochs`, and `after M epochs` (or steps) behind it: the first value then holds "
      "until M, and t counts from there. A step's value depends on its place in the training alone, so a stopped run "
      "goes on with the same values.\n";
  std::string table;
  for (const Setting& setting : all_settings()) {
    if (table_of(setting) != table) {
      table = table_of(setting);
      text += fmt::format("\n## [{}]\n", table);
    }
    text += fmt::format("\n### {}\n\n{}.{}\n\n", setting.key, setting.sentence, condition_of(setting));
    text += fmt::format("- {}: {}\n- default: {}\n- {}; taken by {}\n", kind_word(setting.kind), setting_range(setting),
                        defaults_of(setting), setting.role == SettingRole::free ? "free" : "identity",
                        systems_with(setting));
  }
  return text;
}

}  // namespace spar::cli
