#include <fmt/format.h>

#include "spar/base/settings.hpp"
#include "spar/cli/pages.hpp"

namespace spar::cli {

namespace {

/// Text that groff prints as it is.
std::string plain(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else if (c == '\n') {
      result += "\n";
    } else {
      result += c;
    }
  }
  // A line that begins with a dot or a quote would be a request.
  for (std::size_t line = 0; line != std::string::npos; line = result.find('\n', line)) {
    if (line != 0 || result.starts_with('\n')) ++line;
    if (line < result.size() && (result[line] == '.' || result[line] == '\'')) result.insert(line, "\\&");
  }
  return result;
}

std::string paragraph(const std::string& tag, const std::string& body) {
  return fmt::format(".TP\n.B {}\n{}\n", plain(tag), plain(body));
}

std::string option_body(const OptionInfo& info) {
  std::string body = info.sentence + ".";
  if (!info.choices.empty()) body += fmt::format(" One of {}.", fmt::join(info.choices, ", "));
  if (info.required && !info.by_place) body += " Required.";
  if (!info.fallback.empty()) body += fmt::format(" Default: {}.", info.fallback);
  return body;
}

std::string verb_section(const Verb& verb) {
  std::string text = fmt::format(".SS {}\n{}.\n", plain("spar " + verb.name), plain(verb.sentence));
  if (!verb.more.empty()) text += ".PP\n" + plain(verb.more) + "\n";
  for (const OptionInfo& info : options_of(verb)) {
    text += paragraph(info.value.empty() ? info.name : info.name + " " + info.value, option_body(info));
  }
  if (verb.examples.empty()) return text;
  text += ".PP\nExamples:\n.nf\n";
  for (const std::string& example : verb.examples) text += plain(example) + "\n";
  return text + ".fi\n";
}

std::string setting_body(const Setting& setting) {
  return fmt::format("{}. {}; default {} [{}].{}", setting.sentence, setting_range(setting),
                     setting_text(setting.fallback), setting.origin,
                     setting.role == SettingRole::free ? " May change when a run goes on." : "");
}

}  // namespace

std::string man_page() {
  std::string text = fmt::format(".TH SPAR 1 \"\" \"spar {}\" \"User Commands\"\n", SPAR_VERSION);
  text += ".SH NAME\nspar \\- train, attack and evaluate adversarial recommenders, on one core or many nodes\n";
  text +=
      ".SH SYNOPSIS\n.B spar\n.I VERB\n[\\fIoptions\\fR]\n.br\n.B mpirun \\-n\n.I N\n.B spar\n.I "
      "VERB\n[\\fIoptions\\fR]\n";
  text +=
      ".SH DESCRIPTION\nTables of users and items are sharded over the ranks of an MPI job; results are the same bits "
      "on any number of ranks and threads. "
      "Results go to standard output, progress and errors to standard error. Every verb explains itself with "
      "\\-\\-help.\n";
  text += ".SH VERBS\n";
  for (const Verb& verb : all_verbs()) text += verb_section(verb);
  text += ".SH SETTINGS\nThe settings of a recipe, a TOML file; \\-\\-set KEY=VALUE overrides any of them.\n";
  for (const Setting& setting : all_settings()) text += paragraph(setting.key, setting_body(setting));
  text += ".SH EXIT STATUS\n";
  text += paragraph("0", "Done.") + paragraph("1", "An internal error: a bug.") +
          paragraph("2", "Wrong usage, recipe or data.") + paragraph("3", "The environment fails: disk, memory, MPI.") +
          paragraph("4", "Training diverged; the message names player, table, step and the last good checkpoint.") +
          paragraph("75", "Stopped by a signal after a checkpoint; the same command goes on.");
  text +=
      ".SH SIGNALS\nSIGUSR1, SIGTERM and SIGINT finish the step, write a checkpoint and leave with 75 on all ranks "
      "together; a second SIGINT leaves at once.\n";
  text += ".SH ENVIRONMENT\n" + paragraph("SPAR_TERMINAL",
                                          "Columns of the terminal behind standard error, 0 where there is none. A "
                                          "launcher hides the terminal from the ranks; "
                                          "launch/spar-run sets this.");
  return text;
}

}  // namespace spar::cli
