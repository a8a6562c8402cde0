#include "verb_list.hpp"

#include "spar/cli/verb.hpp"

namespace spar::cli {

const std::vector<Verb>& all_verbs() {
  static const std::vector<Verb> verbs{
      import_verb(),  split_verb(),   synth_verb(),     train_verb(),      evaluate_verb(),
      attack_verb(),  probe_verb(),   recommend_verb(), export_verb(),     plan_verb(),
      inspect_verb(), systems_verb(), settings_verb(),  completion_verb(), man_verb(),
  };
  return verbs;
}

const Verb* find_verb(const std::string& name) {
  for (const Verb& verb : all_verbs()) {
    if (verb.name == name) return &verb;
  }
  return nullptr;
}

std::vector<OptionInfo> options_of(const Verb& verb) {
  OptionSet set("spar " + verb.name);
  const Action owner = verb.declare(set);
  std::vector<OptionInfo> infos = set.all();
  OptionInfo help;
  help.name = "--help";
  help.sentence = "Print this help";
  infos.push_back(help);
  return infos;
}

}  // namespace spar::cli
