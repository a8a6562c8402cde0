#include <algorithm>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/settings.hpp"
#include "spar/cli/pages.hpp"
#include "spar/systems/system.hpp"

namespace spar::cli {

namespace {

std::vector<std::string> verb_names() {
  std::vector<std::string> names;
  for (const Verb& verb : all_verbs()) names.push_back(verb.name);
  names.push_back("help");
  return names;
}

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

/// Text inside single quotes of a POSIX-like shell.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

/// compgen calls that fill COMPREPLY with what fits.
std::string bash_replies(const Completion& completion) {
  std::string code;
  if (!completion.words.empty())
    code += fmt::format("COMPREPLY+=($(compgen -W {} -- \"$word\")); ", quoted(joined(completion.words)));
  if (completion.files) code += "COMPREPLY+=($(compgen -f -- \"$word\")); ";
  if (completion.folders) code += "COMPREPLY+=($(compgen -d -- \"$word\")); ";
  return code;
}

std::string bash_verb(const Verb& verb) {
  std::string values, arguments;
  std::vector<std::string> options;
  for (const OptionInfo& info : options_of(verb)) {
    if (info.by_place) {
      arguments += bash_replies(completion_of(info));
      continue;
    }
    options.push_back(info.name);
    if (!info.value.empty())
      values += fmt::format("        {}) {}return ;;\n", info.name, bash_replies(completion_of(info)));
  }
  return fmt::format(
      "    {})\n"
      "      case \"$before\" in\n{}"
      "      esac\n"
      "      if [[ $word == -* ]]; then COMPREPLY=($(compgen -W {} -- \"$word\")); return; fi\n"
      "      {};;\n",
      verb.name, values, quoted(joined(options)), arguments);
}

std::string bash_script() {
  std::string script =
      "# bash completion for spar: source this file, or put it into ~/.local/share/bash-completion/completions/spar\n"
      "_spar() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
      "  COMPREPLY=()\n"
      "  # KEY=VALUE is three words where '=' separates words\n"
      "  if [[ $word == '=' || $before == '=' ]]; then return; fi\n";
  script += fmt::format("  if ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W {} -- \"$word\")); return; fi\n",
                        quoted(joined(verb_names()) + " --help --version"));
  script += "  case \"${COMP_WORDS[1]}\" in\n";
  for (const Verb& verb : all_verbs()) script += bash_verb(verb);
  script += fmt::format("    help) COMPREPLY=($(compgen -W {} -- \"$word\")) ;;\n", quoted(joined(verb_names())));
  return script + "  esac\n}\ncomplete -F _spar spar\n";
}

/// What zsh's _arguments does for a value; a leading blank keeps it from adding options of its own.
std::string zsh_action(const Completion& completion) {
  if (completion.files && !completion.words.empty())
    return fmt::format(" _alternative \"words\\:word\\:({})\" \"files\\:file\\:_files\"", joined(completion.words));
  if (!completion.words.empty()) return "(" + joined(completion.words) + ")";
  if (completion.files) return "_files";
  return completion.folders ? "_files -/" : " ";
}

/// A description inside a specification of _arguments.
std::string zsh_text(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string zsh_verb(const Verb& verb) {
  std::string code = fmt::format("    {})\n      _arguments", verb.name);
  for (const OptionInfo& info : options_of(verb)) {
    const std::string action = zsh_action(completion_of(info));
    std::string specification;
    if (info.by_place) {
      specification = fmt::format("{}:{}:{}", info.repeats ? "*" : "", zsh_text(info.name), action);
    } else {
      specification = fmt::format("{}{}[{}]{}", info.repeats ? "*" : "", info.name, zsh_text(info.sentence),
                                  info.value.empty() ? "" : fmt::format(":{}:{}", zsh_text(info.value), action));
    }
    code += " \\\n        " + quoted(specification);
  }
  return code + " ;;\n";
}

std::string zsh_script() {
  std::string script =
      "#compdef spar\n"
      "# zsh completion for spar: put this file as _spar into a folder of $fpath\n"
      "_spar() {\n"
      "  if ((CURRENT == 2)); then\n"
      "    local -a verbs=(\n";
  for (const Verb& verb : all_verbs()) script += "      " + quoted(verb.name + ":" + verb.sentence) + "\n";
  script +=
      "      'help:Print help'\n"
      "    )\n"
      "    _describe verb verbs\n"
      "    return\n"
      "  fi\n"
      "  local verb=${words[2]}\n"
      "  shift words\n"
      "  ((CURRENT--))\n"
      "  case $verb in\n";
  for (const Verb& verb : all_verbs()) script += zsh_verb(verb);
  script += fmt::format("    help) _values verb {} ;;\n", joined(verb_names()));
  return script + "  esac\n}\n_spar \"$@\"\n";
}

std::string fish_script() {
  std::string script =
      "# fish completion for spar: put this file into ~/.config/fish/completions/spar.fish\ncomplete -c spar -f\n";
  for (const Verb& verb : all_verbs()) {
    script += fmt::format("complete -c spar -n __fish_use_subcommand -a {} -d {}\n", verb.name, quoted(verb.sentence));
  }
  for (const Verb& verb : all_verbs()) {
    for (const OptionInfo& info : options_of(verb)) {
      const Completion completion = completion_of(info);
      const bool paths = completion.files || completion.folders;
      script += fmt::format("complete -c spar -n '__fish_seen_subcommand_from {}'", verb.name);
      if (!info.by_place) script += fmt::format(" -l {}", info.name.substr(2));
      if (!info.by_place && !info.value.empty()) script += paths ? " -r" : " -x";
      if (paths) script += " -F";
      if (!completion.words.empty()) script += fmt::format(" -a {}", quoted(joined(completion.words)));
      script += fmt::format(" -d {}\n", quoted(info.sentence));
    }
  }
  return script;
}

}  // namespace

Completion completion_of(const OptionInfo& info) {
  Completion completion;
  completion.words = info.choices;
  if (info.name == "RECIPE") {
    for (const auto& ready : systems::ready_recipes()) completion.words.push_back(ready.name);
  } else if (info.name == "SYSTEM") {
    completion.words = systems::system_names();
  } else if (info.value == "KEY=VALUE" || info.name == "KEY") {
    for (const Setting& setting : all_settings())
      completion.words.push_back(setting.key + (info.name == "KEY" ? "" : "="));
  }
  const std::string& kind = info.by_place ? info.name : info.value;
  completion.files = kind == "FILE" || kind == "PATH" || kind == "RECIPE";
  completion.folders = kind == "DIR" || kind == "OUT";
  return completion;
}

const std::vector<std::string>& completion_shells() {
  static const std::vector<std::string> shells{"bash", "zsh", "fish"};
  return shells;
}

std::string completion_script(const std::string& shell) {
  if (shell == "bash") return bash_script();
  return shell == "zsh" ? zsh_script() : fish_script();
}

}  // namespace spar::cli
