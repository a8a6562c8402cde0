#include <cstdlib>

#include <boost/test/unit_test.hpp>

#include "spar/base/progress.hpp"

using spar::Progress;
using spar::ProgressMode;

namespace {

struct Screen {
  std::string text;
  double now = 0;
  spar::ProgressOutput output(int columns) {
    return {[this](std::string_view written) { text += written; }, [this] { return now; }, columns};
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(progress)

BOOST_AUTO_TEST_CASE(modes_have_the_names_of_the_option) {
  BOOST_TEST((spar::progress_mode("auto") == ProgressMode::automatic));
  BOOST_TEST((spar::progress_mode("none") == ProgressMode::none));
  BOOST_TEST(!spar::progress_mode("loud").has_value());
}

BOOST_AUTO_TEST_CASE(automatic_is_a_bar_on_a_terminal_and_plain_elsewhere) {
  Screen screen;
  BOOST_TEST((Progress(ProgressMode::automatic, true, screen.output(100)).mode() == ProgressMode::bar));
  BOOST_TEST((Progress(ProgressMode::automatic, true, screen.output(0)).mode() == ProgressMode::plain));
  BOOST_TEST((Progress(ProgressMode::plain, true, screen.output(100)).mode() == ProgressMode::plain));
}

BOOST_AUTO_TEST_CASE(the_real_terminal_is_told_by_the_environment) {
  setenv("SPAR_TERMINAL", "132", 1);
  BOOST_TEST(spar::terminal_columns() == 132);
  setenv("SPAR_TERMINAL", "0", 1);
  BOOST_TEST(spar::terminal_columns() == 0);
  setenv("SPAR_TERMINAL", "-7", 1);
  BOOST_TEST(spar::terminal_columns() == 0);
  unsetenv("SPAR_TERMINAL");
}

BOOST_AUTO_TEST_CASE(ranks_that_do_not_speak_and_mode_none_print_nothing) {
  Screen screen;
  for (const bool speaks : {true, false}) {
    Progress progress(speaks ? ProgressMode::none : ProgressMode::bar, speaks, screen.output(80));
    progress.line("a");
    progress.status("b");
    progress.keep("c");
    BOOST_TEST(!progress.visible());
  }
  BOOST_TEST(screen.text.empty());
}

BOOST_AUTO_TEST_CASE(a_bar_is_refreshed_in_place_cut_to_the_width_and_makes_way_for_lines) {
  Screen screen;
  {
    Progress progress(ProgressMode::bar, true, screen.output(10));
    progress.status("0123456789abc");
    screen.now = 0.05;
    progress.status("too soon");
    screen.now = 0.2;
    progress.status("second");
    progress.line("warning");
    screen.now = 0.4;
    progress.status("third");
    progress.keep("last");
    progress.status("again");
  }
  BOOST_TEST(screen.text ==
             "\r012345678\x1b[K\rsecond\x1b[K\r\x1b[Kwarning\n\rthird\x1b[K\r\x1b[Klast\n\ragain\x1b[K\n");
}

BOOST_AUTO_TEST_CASE(plain_prints_whole_lines_at_most_every_ten_seconds_and_always_what_is_kept) {
  Screen screen;
  {
    Progress progress(ProgressMode::plain, true, screen.output(10));
    progress.status("a first state, longer than ten columns");
    screen.now = 9.9;
    progress.status("too soon");
    progress.keep("stage 1 done");
    progress.status("stage 2 begins");
    screen.now = 20;
    progress.status("stage 2 goes on");
  }
  BOOST_TEST(screen.text == "a first state, longer than ten columns\nstage 1 done\nstage 2 begins\nstage 2 goes on\n");
}

BOOST_AUTO_TEST_CASE(training_rows_stand_under_their_titles) {
  spar::TrainingRow row{"apr", 141, 200, 0.25141, 0.21981, 131, 2.13e6, 3.2};
  BOOST_TEST(spar::training_titles("ndcg@100") == "stage  epoch      loss     ndcg@100  best    examples/s  left");
  BOOST_TEST(spar::training_row(row, "ndcg@100") == "apr    141/200    0.2514   0.2198    @131    2.1 M       0:03");
  row.examples_per_second = 43210;
  BOOST_TEST(spar::training_row(row, "ndcg@100") == "apr    141/200    0.2514   0.2198    @131    43.2 k      0:03");
  row.examples_per_second = 312;
  BOOST_TEST(spar::training_row(row, "ndcg@100") == "apr    141/200    0.2514   0.2198    @131    312         0:03");
  BOOST_TEST(spar::training_row({"bpr", 1, 2, {}, {}, {}, {}, {}}, "ndcg@100") ==
             "bpr    1/2        -        -         -       -           -");
}

BOOST_AUTO_TEST_CASE(work_of_known_and_unknown_amount_shows_its_rate) {
  BOOST_TEST(spar::work_status("reading", 4.5e6, 1e7, 1.5, "rows") == "reading  45%  3.0 Mrows/s  0:02 left");
  BOOST_TEST(spar::work_status("reading", 4.5e6, 0, 1.5, "rows") == "reading  3.0 Mrows/s");
  BOOST_TEST(spar::work_status("scoring", 0, 10, 0, "users") == "scoring  0%  0.0 users/s");
}

BOOST_AUTO_TEST_CASE(numbers_and_times_are_easy_to_read) {
  BOOST_TEST(spar::with_commas(0) == "0");
  BOOST_TEST(spar::with_commas(999) == "999");
  BOOST_TEST(spar::with_commas(98114) == "98,114");
  BOOST_TEST(spar::with_commas(1000000000) == "1,000,000,000");
  BOOST_TEST(spar::with_commas(-123456) == "-123,456");
  BOOST_TEST(spar::clock_text(5.6) == "0:06");
  BOOST_TEST(spar::clock_text(754) == "12:34");
  BOOST_TEST(spar::clock_text(3723) == "1:02:03");
  BOOST_TEST(spar::clock_text(-4) == "0:00");
}

BOOST_AUTO_TEST_SUITE_END()
