#pragma once
#include <string>
#include <vector>

#include "spar/cli/verb.hpp"

/// Texts made from the declarations of verbs, options, settings and systems; nothing in them is written twice.
namespace spar::cli {

/// `spar help`: the verbs. `spar VERB --help`: one verb.
std::string help_page();
std::string help_page(const Verb& verb);
/// `spar --version`.
std::string version_line();

/// `spar man`: the man page spar(1), groff.
std::string man_page();

/// `spar completion SHELL`: a script for bash, zsh or fish.
const std::vector<std::string>& completion_shells();
std::string completion_script(const std::string& shell);

/// `spar settings`: the settings for people, all or those of the named keys or tables; UserError for an unknown one.
std::string settings_list(const std::vector<std::string>& keys);
/// `spar settings --markdown`: docs/settings.md.
std::string settings_page();

/// What may stand in place of a value, for completion: words to offer, and whether files or folders fit as well.
struct Completion {
  std::vector<std::string> words;
  bool files = false;
  bool folders = false;
};
Completion completion_of(const OptionInfo& info);

}  // namespace spar::cli
