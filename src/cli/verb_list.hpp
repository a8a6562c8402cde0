#pragma once
#include "spar/cli/verb.hpp"

/// One function a verb, each in verb_<name>.cpp; verbs.cpp puts them into the table.
namespace spar::cli {

Verb import_verb();
Verb split_verb();
Verb synth_verb();
Verb train_verb();
Verb evaluate_verb();
Verb attack_verb();
Verb probe_verb();
Verb recommend_verb();
Verb export_verb();
Verb inspect_verb();
Verb plan_verb();
Verb systems_verb();
Verb settings_verb();
Verb completion_verb();
Verb man_verb();

}  // namespace spar::cli
