#include <cstdlib>

#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/cli/pages.hpp"
#include "spar/cli/program.hpp"

namespace {

std::string refusal(const std::vector<std::string>& words) {
  try {
    spar::cli::read_command(words);
  } catch (const spar::UserError& error) {
    return error.what();
  }
  return "accepted";
}

std::string page(const std::vector<std::string>& words) {
  return spar::cli::read_command(words).page;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(program)

BOOST_AUTO_TEST_CASE(help_is_printed_for_the_program_and_for_every_verb_and_starts_no_work) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{}, {"help"}, {"--help"}, {"-h"}})
    BOOST_TEST(page(words) == spar::cli::help_page());
  for (const auto& verb : spar::cli::all_verbs()) {
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"help", verb.name}, {verb.name, "--help"}, {verb.name, "--nonsense", "-h"}}) {
      const auto command = spar::cli::read_command(words);
      BOOST_TEST(command.page == spar::cli::help_page(verb));
      BOOST_TEST(!command.action.alone);
      BOOST_TEST(!command.action.together);
    }
  }
  BOOST_TEST(page({"--version"}).starts_with("spar "));
}

BOOST_AUTO_TEST_CASE(unknown_verbs_propose_the_nearest) {
  BOOST_TEST(refusal({"sytems"}) == "unknown verb sytems: did you mean spar systems?");
  BOOST_TEST(refusal({"hlep"}) == "unknown verb hlep: did you mean spar help?");
  BOOST_TEST(refusal({"help", "sytems"}) == "unknown verb sytems: did you mean spar systems?");
  BOOST_TEST(refusal({"banana"}) == "unknown verb banana: spar help lists the verbs");
  BOOST_TEST(refusal({"--data"}) == "unknown option --data: spar help lists the verbs");
}

BOOST_AUTO_TEST_CASE(every_verb_names_itself_explains_itself_and_gives_examples_that_parse) {
  for (const auto& verb : spar::cli::all_verbs()) {
    BOOST_TEST_CONTEXT(verb.name) {
      BOOST_TEST((spar::cli::find_verb(verb.name) == &verb));
      BOOST_TEST(verb.sentence.back() != '.');
      BOOST_TEST(!verb.examples.empty());
      for (const auto& info : spar::cli::options_of(verb)) {
        BOOST_TEST(!info.sentence.empty(), info.name);
        BOOST_TEST(info.sentence.back() != '.', info.name);
      }
      for (const std::string& example : verb.examples)
        BOOST_TEST(example.find("spar " + verb.name) != std::string::npos, example);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_launcher_announces_the_rank_that_speaks) {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"}) unsetenv(name);
  BOOST_TEST(spar::cli::announced_rank() == 0);
  setenv("SLURM_PROCID", "3", 1);
  BOOST_TEST(spar::cli::announced_rank() == 3);
  setenv("OMPI_COMM_WORLD_RANK", "1", 1);
  BOOST_TEST(spar::cli::announced_rank() == 1);
  unsetenv("SLURM_PROCID");
  unsetenv("OMPI_COMM_WORLD_RANK");
}

BOOST_AUTO_TEST_SUITE_END()
