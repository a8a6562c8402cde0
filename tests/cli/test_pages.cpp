#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/base/settings.hpp"
#include "spar/cli/pages.hpp"

namespace {

bool contains(const std::string& text, const std::string& piece) {
  return text.find(piece) != std::string::npos;
}

std::string without_backslashes(std::string text) {
  std::erase(text, '\\');
  return text;
}

std::string file_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// What bash offers for a command line whose last word is being completed.
std::string bash_offers(const std::vector<std::string>& words) {
  std::string list;
  for (const std::string& word : words) list += " '" + word + "'";
  const std::string script = "/tmp/spar-test-completion.bash";
  std::ofstream(script) << spar::cli::completion_script("bash") << "COMP_WORDS=(spar" << list
                        << ")\nCOMP_CWORD=" << words.size() << "\n_spar\necho \"${COMPREPLY[*]}\"\n";
  FILE* pipe = popen(("bash --norc " + script + " 2>&1").c_str(), "r");
  std::string output;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) output += static_cast<char>(c);
  pclose(pipe);
  std::remove(script.c_str());
  return output;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pages)

BOOST_AUTO_TEST_CASE(help_names_every_verb_and_a_verbs_help_every_option) {
  for (const auto& verb : spar::cli::all_verbs()) {
    BOOST_TEST(contains(spar::cli::help_page(), "\n  " + verb.name + " "));
    for (const auto& info : spar::cli::options_of(verb))
      BOOST_TEST(contains(spar::cli::help_page(verb), "\n  " + info.name), verb.name << " " << info.name);
    for (const auto& example : verb.examples) BOOST_TEST(contains(spar::cli::help_page(verb), example));
  }
}

BOOST_AUTO_TEST_CASE(the_man_page_has_every_verb_option_and_setting) {
  const std::string page = without_backslashes(spar::cli::man_page());
  for (const auto& verb : spar::cli::all_verbs()) {
    const std::size_t section = page.find("\n.SS spar " + verb.name + "\n");
    BOOST_TEST_REQUIRE((section != std::string::npos), verb.name);
    const std::string text = page.substr(section, page.find("\n.S", section + 1) - section);
    for (const auto& info : spar::cli::options_of(verb))
      BOOST_TEST(contains(text, "\n.B " + info.name), verb.name << " " << info.name);
  }
  for (const auto& setting : spar::all_settings())
    BOOST_TEST(contains(page, "\n.B " + setting.key + "\n"), setting.key);
}

BOOST_AUTO_TEST_CASE(groff_has_nothing_to_say_against_the_man_page) {
  if (std::system("command -v groff > /dev/null 2>&1") != 0) {
    BOOST_TEST_MESSAGE("skipped: no groff here");
    return;
  }
  const std::string path = "/tmp/spar-test-man.1";
  std::ofstream(path) << spar::cli::man_page();
  BOOST_TEST(std::system(("test -z \"$(groff -man -Tutf8 -ww -z " + path + " 2>&1)\"").c_str()) == 0);
  std::remove(path.c_str());
}

BOOST_AUTO_TEST_CASE(completion_scripts_have_every_verb_and_option) {
  for (const std::string& shell : spar::cli::completion_shells()) {
    const std::string script = spar::cli::completion_script(shell);
    for (const auto& verb : spar::cli::all_verbs()) {
      BOOST_TEST(contains(script, verb.name), shell << " " << verb.name);
      for (const auto& info : spar::cli::options_of(verb)) {
        if (info.by_place) continue;
        const std::string written = shell == "fish" ? "-l " + info.name.substr(2) : info.name;
        BOOST_TEST(contains(script, written), shell << " " << verb.name << " " << info.name);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(bash_completes_verbs_options_systems_and_choices) {
  BOOST_TEST(bash_offers({"sys"}) == "systems\n");
  BOOST_TEST(bash_offers({"systems", "--re"}) == "--recipe\n");
  BOOST_TEST(bash_offers({"systems", "ap"}) == "apr\n");
  BOOST_TEST(bash_offers({"completion", ""}) == "bash zsh fish\n");
  BOOST_TEST(bash_offers({"help", "sett"}) == "settings\n");
  BOOST_TEST(contains(bash_offers({"settings", "parallel.s"}), "parallel.shards"));
}

BOOST_AUTO_TEST_CASE(the_committed_settings_page_is_the_generated_one) {
  const char* source = std::getenv("SPAR_SOURCE");
  BOOST_TEST_REQUIRE((source != nullptr), "SPAR_SOURCE names the repository");
  const bool same = file_text(std::string(source) + "/docs/settings.md") == spar::cli::settings_page();
  BOOST_TEST(same, "docs/settings.md is old: spar settings --markdown > docs/settings.md");
}

BOOST_AUTO_TEST_CASE(the_settings_page_explains_every_setting) {
  const std::string page = spar::cli::settings_page();
  for (const auto& setting : spar::all_settings()) {
    BOOST_TEST(contains(page, "\n### " + setting.key + "\n\n" + setting.sentence + "."), setting.key);
    BOOST_TEST(contains(page, "- default: `" + spar::setting_text(setting.fallback) + "` (" + setting.origin + ")"),
               setting.key);
  }
}

BOOST_AUTO_TEST_CASE(settings_are_listed_by_key_and_by_table_and_unknown_ones_refused) {
  const std::string one = spar::cli::settings_list({"parallel.shards"});
  BOOST_TEST(one ==
             "parallel.shards = \"auto\"\n    At least the workers you will ever use; part of the experiment.\n"
             "    a power of two from 1 to 1024, or \"auto\"; identity; taken by all; default: own choice\n");
  BOOST_TEST(contains(spar::cli::settings_list({"optimizer"}), "Only with `optimizer.name` = adam or lazy_adam."));
  BOOST_TEST(!contains(spar::cli::settings_list({"optimizer"}), "parallel."));
  BOOST_CHECK_EXCEPTION(spar::cli::settings_list({"paralel"}), spar::UserError, [](const spar::UserError& error) {
    return std::string(error.what()) == "unknown setting paralel: did you mean parallel?";
  });
}

BOOST_AUTO_TEST_SUITE_END()
