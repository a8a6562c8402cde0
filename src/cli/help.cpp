#include <algorithm>

#include "spar_build.hpp"
#include <fmt/format.h>

#include "spar/cli/pages.hpp"

namespace spar::cli {

namespace {

constexpr std::size_t widest_name = 26;

std::string shown_name(const OptionInfo& info) {
  if (info.by_place) return info.repeats ? info.name + "..." : info.name;
  return info.value.empty() ? info.name : info.name + " " + info.value;
}

std::string shown_sentence(const OptionInfo& info) {
  std::string text = info.sentence;
  const bool choices_unseen = !info.choices.empty() && info.value.find('|') == std::string::npos;
  if (choices_unseen) text += fmt::format(": {}", fmt::join(info.choices, ", "));
  if (info.required && !info.by_place) text += " (required)";
  if (!info.required && info.by_place) text += " (optional)";
  if (!info.fallback.empty()) text += fmt::format(" [{}]", info.fallback);
  return text;
}

std::string usage_line(const Verb& verb, const std::vector<OptionInfo>& infos) {
  std::string line = "spar " + verb.name;
  for (const OptionInfo& info : infos) {
    if (info.by_place) line += info.required ? " " + shown_name(info) : " [" + shown_name(info) + "]";
  }
  for (const OptionInfo& info : infos) {
    if (!info.by_place && info.required) line += " " + shown_name(info);
  }
  return line + " [options]";
}

std::string option_lines(const std::vector<OptionInfo>& infos, bool by_place) {
  std::size_t width = 0;
  for (const OptionInfo& info : infos) {
    if (info.by_place == by_place && shown_name(info).size() <= widest_name)
      width = std::max(width, shown_name(info).size());
  }
  std::string text;
  for (const OptionInfo& info : infos) {
    if (info.by_place != by_place) continue;
    const std::string name = shown_name(info);
    if (name.size() > width) {
      text += fmt::format("  {}\n  {:<{}}  {}\n", name, "", width, shown_sentence(info));
    } else {
      text += fmt::format("  {:<{}}  {}\n", name, width, shown_sentence(info));
    }
  }
  return text;
}

}  // namespace

std::string help_page() {
  std::string text =
      "spar trains, attacks and evaluates adversarial recommenders on one core or many nodes.\n\nspar VERB [options]\n";
  std::size_t width = 4;
  for (const Verb& verb : all_verbs()) width = std::max(width, verb.name.size());
  for (const Verb& verb : all_verbs()) text += fmt::format("  {:<{}}  {}\n", verb.name, width, verb.sentence);
  text += fmt::format("  {:<{}}  {}\n", "help", width, "Print this help, or that of a verb: spar help VERB");
  text += "\nspar --version prints the version. Under MPI: mpirun -n 4 spar VERB ...\n";
  text +=
      "Exit codes: 0 done, 1 a bug, 2 wrong usage or data, 3 the environment fails, 4 training diverged, 75 stopped by "
      "a signal after a checkpoint.\n";
  return text;
}

std::string help_page(const Verb& verb) {
  const std::vector<OptionInfo> infos = options_of(verb);
  std::string text = fmt::format("{}\n{}.\n", usage_line(verb, infos), verb.sentence);
  if (!verb.more.empty()) text += "\n" + verb.more + "\n";
  const std::string arguments = option_lines(infos, true);
  if (!arguments.empty()) text += "\narguments\n" + arguments;
  text += "\noptions\n" + option_lines(infos, false);
  if (!verb.examples.empty()) text += "\nexamples\n";
  for (const std::string& example : verb.examples) text += "  " + example + "\n";
  return text;
}

std::string version_line() {
  return fmt::format("spar {} (processor {})\n", SPAR_VERSION, SPAR_BUILD_CPU);
}

}  // namespace spar::cli
