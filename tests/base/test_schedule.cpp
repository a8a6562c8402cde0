#include <cmath>
#include <string>

#include <boost/test/unit_test.hpp>

#include "spar/base/error.hpp"
#include "spar/base/schedule.hpp"

namespace {

using spar::Moment;
using spar::Schedule;

double at(const std::string& text, std::int64_t epoch, std::int64_t step, std::int64_t steps = 10) {
  return Schedule::parse(text).at({epoch, step, steps});
}

std::string fault(const std::string& text) {
  try {
    Schedule::parse(text);
  } catch (const spar::UserError& error) {
    const std::string sentence = error.what();
    return sentence.substr(0, sentence.find("; a schedule is"));
  }
  return "accepted";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(schedule)

BOOST_AUTO_TEST_CASE(each_form_has_the_values_of_its_formula) {
  BOOST_TEST(at("ramp 0 1 over 5 epochs", 0, 0) == 0.0);
  BOOST_TEST(at("ramp 0 1 over 5 epochs", 2, 5) == 0.5);
  BOOST_TEST(at("ramp 0 1 over 5 epochs", 5, 0) == 1.0);
  BOOST_TEST(at("ramp 0 1 over 5 epochs", 900, 3) == 1.0);
  BOOST_TEST(at("ramp 3 1 over 4 epochs", 1, 0) == 2.5);
  BOOST_TEST(std::abs(at("cosine 1 0.2 over 3 epochs", 1, 0) - 0.8) < 1e-15);
  BOOST_TEST(at("cosine 1 0.2 over 3 epochs", 3, 0) == 0.2);
  BOOST_TEST(std::abs(at("exponential 0.1 0.001 over 2 epochs", 1, 0) - 0.01) < 1e-16);
  BOOST_TEST(at("exponential 0.1 0.001 over 2 epochs", 2, 1) == 0.001);
  BOOST_TEST(at("dann 3 over 4 epochs", 0, 0) == 0.0);
  BOOST_TEST(std::abs(at("dann 3 over 4 epochs", 1, 0) - 3.0 * 0.848283639957513) < 1e-14);
  BOOST_TEST(std::abs(at("dann 3 over 4 epochs", 9, 0) - 3.0 * std::tanh(5.0)) < 1e-14);
  BOOST_TEST(at("step 0.8 times 0.5 every 2 epochs", 1, 9) == 0.8);
  BOOST_TEST(at("step 0.8 times 0.5 every 2 epochs", 2, 0) == 0.4);
  BOOST_TEST(at("step 0.8 times 0.5 every 2 epochs", 6, 7) == 0.1);
  BOOST_TEST(Schedule(0.3).at({4, 5, 6}) == 0.3);
}

BOOST_AUTO_TEST_CASE(steps_stand_for_epochs_and_after_moves_the_start) {
  BOOST_TEST(at("ramp 0 1 over 40 steps", 1, 10, 10) == 0.5);
  BOOST_TEST(at("ramp 0 1 over 40 steps", 2, 0, 10) == 0.5);
  BOOST_TEST(at("ramp 0 1 over 40 steps", 2, 0, 20) == 1.0);
  BOOST_TEST(at("ramp 0 1 over 2 epochs after 3 epochs", 3, 0) == 0.0);
  BOOST_TEST(at("ramp 0 1 over 2 epochs after 3 epochs", 4, 0) == 0.5);
  BOOST_TEST(at("ramp 0 1 over 2 epochs after 5 steps", 1, 5) == 0.5);
  BOOST_TEST(at("ramp 0 1 over 4 steps after 0.5 epochs", 0, 7) == 0.5);
  BOOST_TEST(at("ramp 0.5 1 over 4 steps after 1 epoch", 0, 9) == 0.5);
}

BOOST_AUTO_TEST_CASE(the_text_of_a_schedule_reads_back_and_is_the_same_for_every_spelling) {
  for (const std::string text :
       {"ramp 0 0.2 over 40000 steps", "cosine 0.1 0 over 2.5 epochs after 1 epochs", "exponential 1 0.1 over 3 epochs",
        "dann 10 over 5 epochs", "step 0.1 times 0.5 every 10 epochs after 100 steps"})
    BOOST_TEST(Schedule::parse(text).text() == text);
  BOOST_TEST(Schedule::parse("  ramp 0.0   1.50 over 1 epoch after 0 steps ").text() == "ramp 0 1.5 over 1 epochs");
  BOOST_TEST(Schedule::parse("ramp 2 1 over 3 epochs").first() == 2.0);
  BOOST_TEST(Schedule::parse("ramp 2 1 over 3 epochs").last() == 1.0);
}

BOOST_AUTO_TEST_CASE(what_is_no_schedule_gets_one_sentence) {
  BOOST_TEST(fault("rmap 0 1 over 5 epochs") == "there is no schedule \"rmap\": did you mean ramp?");
  BOOST_TEST(fault("ramp 0 1 over 5") == "\"epochs\" or \"steps\" must stand behind 5");
  BOOST_TEST(fault("ramp 0 one over 5 epochs") == "the last value must be a number, not \"one\"");
  BOOST_TEST(fault("ramp 0 1 in 5 epochs") == "\"over\" is missing before \"in\"");
  BOOST_TEST(fault("ramp 0 1 over -5 epochs") == "its length must be above 0, not -5");
  BOOST_TEST(fault("ramp 0 1 over 5 epochs then 2") == "\"after\" is missing before \"then\"");
  BOOST_TEST(fault("ramp 0 1 over 5 epochs after 2 epochs more") == "nothing may follow, not \"more\"");
  BOOST_TEST(fault("dann 10") == "\"over\" is missing at the end");
  BOOST_TEST(fault("ramp nan 1 over 5 epochs") == "the first value must be a number, not \"nan\"");
  BOOST_TEST(fault("step 1 times 0 every 5 epochs") == "the factor of a step must be above 0 and at most 1, not 0");
  BOOST_TEST(fault("").starts_with("a schedule is \"ramp A B over N epochs\""));
}

BOOST_AUTO_TEST_SUITE_END()
