#include "spar/cli/option_set.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/settings.hpp"

namespace spar::cli {

namespace {

std::vector<std::string> split_commas(const std::vector<std::string>& values) {
  std::vector<std::string> elements;
  for (const std::string& value : values) {
    for (std::size_t begin = 0; begin <= value.size();) {
      const std::size_t end = std::min(value.find(',', begin), value.size());
      if (end > begin) elements.push_back(value.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return elements;
}

std::string bounds_text(Bounds bounds) {
  const auto show = [](double bound) {
    return bound == std::floor(bound) ? fmt::format("{:.0f}", bound) : fmt::format("{}", bound);
  };
  return bounds.maximum >= 9e18 ? show(bounds.minimum) + " or more"
                                : show(bounds.minimum) + " to " + show(bounds.maximum);
}

// "a number, 0 or more"; where any will do, just "a number".
std::string kind_text(const char* kind, Bounds bounds) {
  const bool any = bounds.minimum <= -9e18 && bounds.maximum >= 9e18;
  return any ? kind : fmt::format("{}, {}", kind, bounds_text(bounds));
}

// "--batch-size" for someone who knows the setting train.batch_size, but not yet --set.
std::optional<std::string> setting_named(const std::string& option) {
  const std::size_t start = option.find_first_not_of('-');
  if (start == std::string::npos) return std::nullopt;
  std::string word = option.substr(start);
  std::replace(word.begin(), word.end(), '-', '_');
  for (const Setting& setting : all_settings()) {
    if (setting.key == word || setting.key.ends_with("." + word)) return setting.key;
  }
  return std::nullopt;
}

template <class T>
std::string shown_list(const std::vector<T>& values) {
  return fmt::format("{}", fmt::join(values, ","));
}

OptionInfo info_of(const std::string& name, const std::string& value, const std::string& sentence) {
  OptionInfo info;
  info.name = name;
  info.value = value;
  info.sentence = sentence;
  return info;
}

}  // namespace

void OptionSet::add(OptionInfo info, Assign assign) {
  infos_.push_back(std::move(info));
  assigns_.push_back(std::move(assign));
}

void OptionSet::refuse(const std::string& what) const {
  throw UserError(fmt::format("{}: {} (see {} --help)", verb_, what, verb_));
}

void OptionSet::refuse_value(const OptionInfo& info, const std::string& value, const std::string& right) const {
  throw UserError(fmt::format("{} {} {}: it must be {}", verb_, info.name, value.empty() ? "\"\"" : value, right));
}

void OptionSet::check_choice(const OptionInfo& info, const std::string& value) const {
  for (const std::string& choice : info.choices) {
    if (choice == value) return;
  }
  refuse_value(info, value, fmt::format("one of {}", fmt::join(info.choices, ", ")));
}

std::int64_t OptionSet::to_integer(const OptionInfo& info, const std::string& value, Bounds bounds) const {
  std::int64_t number = 0;
  const auto [end, fault] = std::from_chars(value.data(), value.data() + value.size(), number);
  const bool whole = fault == std::errc() && end == value.data() + value.size();
  if (!whole) refuse_value(info, value, kind_text("an integer", bounds));
  if (static_cast<double>(number) < bounds.minimum || static_cast<double>(number) > bounds.maximum)
    refuse_value(info, value, bounds_text(bounds));
  return number;
}

double OptionSet::to_real(const OptionInfo& info, const std::string& value, Bounds bounds) const {
  double number = 0;
  const auto [end, fault] = std::from_chars(value.data(), value.data() + value.size(), number);
  const bool whole = fault == std::errc() && end == value.data() + value.size();
  if (!whole || !std::isfinite(number)) refuse_value(info, value, kind_text("a number", bounds));
  if (number < bounds.minimum || number > bounds.maximum) refuse_value(info, value, bounds_text(bounds));
  return number;
}

void OptionSet::flag(const std::string& name, bool& target, const std::string& sentence) {
  add(info_of(name, "", sentence), [&target](const std::vector<std::string>&) { target = true; });
}

void OptionSet::text(const std::string& name, const std::string& value, std::string& target,
                     const std::string& sentence, Need need) {
  OptionInfo info = info_of(name, value, sentence);
  info.required = need == Need::required;
  info.fallback = target;
  add(info, [this, info, &target](const std::vector<std::string>& values) {
    if (values.front().empty() && info.required) refuse_value(info, "", info.value);
    target = values.front();
  });
}

void OptionSet::choice(const std::string& name, const std::vector<std::string>& choices, std::string& target,
                       const std::string& sentence) {
  OptionInfo info = info_of(name, fmt::format("{}", fmt::join(choices, "|")), sentence);
  info.choices = choices;
  info.fallback = target;
  add(info, [this, info, &target](const std::vector<std::string>& values) {
    check_choice(info, values.front());
    target = values.front();
  });
}

void OptionSet::integer(const std::string& name, const std::string& value, std::int64_t& target, Bounds bounds,
                        const std::string& sentence, Need need) {
  OptionInfo info = info_of(name, value, sentence);
  info.required = need == Need::required;
  if (!info.required) info.fallback = std::to_string(target);
  add(info, [this, info, bounds, &target](const std::vector<std::string>& values) {
    target = to_integer(info, values.front(), bounds);
  });
}

void OptionSet::integer(const std::string& name, const std::string& value, int& target, Bounds bounds,
                        const std::string& sentence, Need need) {
  OptionInfo info = info_of(name, value, sentence);
  info.required = need == Need::required;
  if (!info.required) info.fallback = std::to_string(target);
  const Bounds narrowed{bounds.minimum, std::min(bounds.maximum, 2147483647.0)};
  add(info, [this, info, narrowed, &target](const std::vector<std::string>& values) {
    target = static_cast<int>(to_integer(info, values.front(), narrowed));
  });
}

void OptionSet::integer(const std::string& name, const std::string& value, std::optional<std::int64_t>& target,
                        Bounds bounds, const std::string& sentence) {
  const OptionInfo info = info_of(name, value, sentence);
  add(info, [this, info, bounds, &target](const std::vector<std::string>& values) {
    target = to_integer(info, values.front(), bounds);
  });
}

void OptionSet::seed(const std::string& name, std::uint64_t& target, const std::string& sentence) {
  OptionInfo info = info_of(name, "N", sentence);
  info.fallback = std::to_string(target);
  add(info, [this, info, &target](const std::vector<std::string>& values) {
    target = static_cast<std::uint64_t>(to_integer(info, values.front(), at_least(0)));
  });
}

void OptionSet::real(const std::string& name, const std::string& value, double& target, Bounds bounds,
                     const std::string& sentence) {
  OptionInfo info = info_of(name, value, sentence);
  info.fallback = fmt::format("{}", target);
  add(info, [this, info, bounds, &target](const std::vector<std::string>& values) {
    target = to_real(info, values.front(), bounds);
  });
}

void OptionSet::real(const std::string& name, const std::string& value, std::optional<double>& target, Bounds bounds,
                     const std::string& sentence) {
  const OptionInfo info = info_of(name, value, sentence);
  add(info, [this, info, bounds, &target](const std::vector<std::string>& values) {
    target = to_real(info, values.front(), bounds);
  });
}

void OptionSet::integers(const std::string& name, const std::string& value, std::vector<std::int64_t>& target,
                         Bounds bounds, const std::string& sentence) {
  OptionInfo info = info_of(name, value, sentence);
  info.repeats = true;
  info.fallback = shown_list(target);
  add(info, [this, info, bounds, &target](const std::vector<std::string>& values) {
    target.clear();
    for (const std::string& element : split_commas(values)) target.push_back(to_integer(info, element, bounds));
    if (target.empty()) refuse_value(info, "", "a list such as " + info.value);
  });
}

void OptionSet::reals(const std::string& name, const std::string& value, std::vector<double>& target, Bounds bounds,
                      const std::string& sentence) {
  OptionInfo info = info_of(name, value, sentence);
  info.repeats = true;
  info.fallback = shown_list(target);
  add(info, [this, info, bounds, &target](const std::vector<std::string>& values) {
    target.clear();
    for (const std::string& element : split_commas(values)) target.push_back(to_real(info, element, bounds));
    if (target.empty()) refuse_value(info, "", "a list such as " + info.value);
  });
}

void OptionSet::choices(const std::string& name, const std::vector<std::string>& choices,
                        std::vector<std::string>& target, const std::string& sentence) {
  OptionInfo info = info_of(name, fmt::format("{},...", choices.front()), sentence);
  info.choices = choices;
  info.repeats = true;
  info.fallback = shown_list(target);
  add(info, [this, info, &target](const std::vector<std::string>& values) {
    target = split_commas(values);
    if (target.empty()) refuse_value(info, "", fmt::format("a list of {}", fmt::join(info.choices, ", ")));
    for (const std::string& element : target) check_choice(info, element);
  });
}

void OptionSet::list(const std::string& name, const std::string& value, std::vector<std::string>& target,
                     const std::string& sentence) {
  OptionInfo info = info_of(name, value, sentence);
  info.repeats = true;
  info.fallback = shown_list(target);
  add(info, [this, info, &target](const std::vector<std::string>& values) {
    target = split_commas(values);
    if (target.empty()) refuse_value(info, "", "a list such as " + info.value);
  });
}

void OptionSet::repeated(const std::string& name, const std::string& value, std::vector<std::string>& target,
                         const std::string& sentence) {
  OptionInfo info = info_of(name, value, sentence);
  info.repeats = true;
  add(info, [&target](const std::vector<std::string>& values) { target = values; });
}

void OptionSet::argument(const std::string& word, std::string& target, const std::string& sentence, Need need) {
  OptionInfo info = info_of(word, "", sentence);
  info.by_place = true;
  info.required = need == Need::required;
  add(info, [this, info, &target](const std::vector<std::string>& values) {
    if (values.front().empty()) refuse("an empty " + info.name);
    target = values.front();
  });
}

void OptionSet::argument_choice(const std::string& word, const std::vector<std::string>& choices, std::string& target,
                                const std::string& sentence, Need need) {
  OptionInfo info = info_of(word, "", sentence);
  info.choices = choices;
  info.by_place = true;
  info.required = need == Need::required;
  add(info, [this, info, &target](const std::vector<std::string>& values) {
    check_choice(info, values.front());
    target = values.front();
  });
}

void OptionSet::arguments(const std::string& word, std::vector<std::string>& target, const std::string& sentence,
                          Need need) {
  OptionInfo info = info_of(word, "", sentence);
  info.by_place = true;
  info.required = need == Need::required;
  info.repeats = true;
  add(info, [&target](const std::vector<std::string>& values) { target = values; });
}

void OptionSet::parse(const std::vector<std::string>& words) const {
  // CLI11 cuts the words into options and arguments; what they mean, and every sentence about them, is ours.
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::vector<CLI::Option*> options;
  const auto accept = [](const CLI::results_t&) { return true; };
  for (const OptionInfo& info : infos_) {
    CLI::Option* option = nullptr;
    if (!info.by_place && info.value.empty()) {
      option = app.add_flag(info.name);
    } else {
      option = app.add_option(info.name, accept);
      option->type_size(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
      if (info.repeats) option->expected(CLI::detail::expected_max_vector_size);
      option->allow_extra_args(info.repeats && info.by_place);
    }
    options.push_back(option);
  }
  bool cut = true;
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ParseError&) {
    cut = false;
  }
  for (const std::string& extra : app.remaining()) {
    if (extra.size() < 2 || extra.front() != '-') continue;
    std::vector<std::string> known{"--help"};
    for (const OptionInfo& info : infos_) {
      if (!info.by_place) known.push_back(info.name);
    }
    const std::string name = extra.substr(0, extra.find('='));
    const bool takes_settings = std::find(known.begin(), known.end(), "--set") != known.end();
    const auto setting = takes_settings && name.starts_with("--") ? setting_named(name) : std::nullopt;
    if (setting) refuse(fmt::format("unknown option {}: did you mean --set {}=VALUE?", name, *setting));
    if (name == "-n" || name == "-np")
      refuse(
          fmt::format("unknown option {}: the number of ranks stands before the program, as in launch/spar-run {} 2 {}",
                      name, name, verb_.substr(verb_.rfind(' ') + 1)));
    const auto proposal = nearest(name, known);
    refuse(proposal ? fmt::format("unknown option {}: did you mean {}?", name, *proposal)
                    : fmt::format("unknown option {}", name));
  }
  if (!app.remaining().empty()) refuse(fmt::format("unexpected argument {}", app.remaining().front()));
  for (std::size_t k = 0; k < infos_.size(); ++k) {
    const OptionInfo& info = infos_[k];
    if (!info.repeats && !info.value.empty() && options[k]->count() > 1)
      refuse(fmt::format("{} is given twice", info.name));
    if (info.value.empty()) continue;
    // An option where a value should stand: CLI11 would take it for the value.
    const auto is_option = [&](const std::string& word) {
      return std::any_of(infos_.begin(), infos_.end(),
                         [&](const OptionInfo& other) { return !other.by_place && other.name == word; });
    };
    for (std::size_t w = 0; w < words.size(); ++w) {
      const bool bare = w + 1 == words.size() || is_option(words[w + 1]);
      if (words[w] == info.name && bare) refuse(fmt::format("{} needs a value: {}", info.name, info.value));
    }
  }
  if (!cut) refuse("the options cannot be understood");
  for (std::size_t k = 0; k < infos_.size(); ++k) {
    if (infos_[k].required && options[k]->count() == 0) {
      refuse(infos_[k].by_place ? fmt::format("{} is missing", infos_[k].name)
                                : fmt::format("{} {} is missing", infos_[k].name, infos_[k].value));
    }
  }
  for (std::size_t k = 0; k < infos_.size(); ++k) {
    if (options[k]->count() > 0) assigns_[k](options[k]->results());
  }
}

}  // namespace spar::cli
