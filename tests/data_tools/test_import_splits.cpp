#include <algorithm>
#include <cmath>

#include "import_fixture.hpp"
#include <boost/test/unit_test.hpp>

using namespace spar;
using namespace spar::test;
using data_tools::ImportOptions;
using data_tools::SplitKind;

namespace {

/// `users` users of 1, 2, 3 ... interactions with times.
std::string rising_users(int users) {
  std::string text;
  for (int user = 1; user <= users; ++user) {
    for (int k = 0; k < user; ++k) {
      text += "u" + std::to_string(user) + "\ti" + std::to_string((user * 31 + k * 17) % 101) + "\t" +
              std::to_string(1 + k % 5) + "\t" + std::to_string(1000 + (k * 7) % 13 * 100 + user) + "\n";
    }
  }
  return text;
}

std::map<std::string, int> counts_by_user(const Pairs& pairs) {
  std::map<std::string, int> counts;
  for (const auto& [user, item] : pairs) ++counts[user];
  return counts;
}

class SplitFixture : public ImportFixture {
 public:
  ImportOptions splitting(const std::string& text, SplitKind split, SplitKind validation) const {
    ImportOptions result = options("delimited", write("rows.tsv", text));
    result.rules.split = split;
    result.rules.validation = validation;
    return result;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(import_splits, SplitFixture)

BOOST_AUTO_TEST_CASE(leave_one_out_takes_the_last_by_time_and_the_later_row_of_equal_times) {
  const Contents contents = import(options(
      "delimited",
      write("a.tsv", "1\ta\t5\t30\n1\tb\t5\t10\n1\tc\t5\t30\n1\td\t5\t20\n2\ta\t5\t1\n3\ta\t5\t9\n3\tb\t5\t8\n")));
  BOOST_CHECK((contents.test() == Pairs{{"1", "c"}, {"3", "a"}}));
  BOOST_CHECK((contents.validation() == Pairs{{"1", "a"}}));
  BOOST_CHECK((contents.train() == Pairs{{"1", "b"}, {"1", "d"}, {"2", "a"}, {"3", "b"}}));
  BOOST_CHECK_EQUAL(contents.header.split, "test: leave-one-out by time; validation: leave-one-out by time");
}

BOOST_AUTO_TEST_CASE(times_that_say_nothing_are_told) {
  const std::string said =
      "all times are equal, so a user's last interaction is the one that comes last in the input: --split "
      "random-leave-one-out draws one";
  std::string text;
  for (int k = 0; k < 30; ++k) text += std::to_string(k % 5) + "\t" + std::to_string(k) + "\t1\t77\n";
  import(splitting(text, SplitKind::leave_one_out, SplitKind::none));
  BOOST_CHECK(std::ranges::count(report.notes, said) == 1);
  import(splitting(text + "9\t1\t1\t78\n", SplitKind::leave_one_out, SplitKind::none));
  BOOST_CHECK(std::ranges::count(report.notes, said) == 0);
  import(splitting(text, SplitKind::ratio, SplitKind::none));
  BOOST_CHECK(std::ranges::count(report.notes, said) == 0);
}

BOOST_AUTO_TEST_CASE(without_times_leave_one_out_draws) {
  std::string text;
  for (int user = 0; user < 400; ++user) {
    for (int item = 0; item < 5; ++item) text += std::to_string(user) + "," + std::to_string(item) + "\n";
  }
  const Contents contents = import(options("delimited", write("a.csv", text)));
  BOOST_CHECK_EQUAL(contents.header.split, "test: random leave-one-out; validation: random leave-one-out; seed 1");
  BOOST_CHECK_EQUAL(contents.test().size(), 400U);
  BOOST_CHECK_EQUAL(contents.validation().size(), 400U);
  // Each of the five items is drawn 80 times on average, with a standard deviation of 8.
  std::map<std::string, int> drawn;
  for (const auto& [user, item] : contents.test()) ++drawn[item];
  for (const auto& [item, count] : drawn) BOOST_TEST(std::abs(count - 80) < 40);
  ImportOptions other = options("delimited", file("a.csv"));
  other.rules.seed = 2;
  BOOST_CHECK(import(other).test() != contents.test());
}

BOOST_AUTO_TEST_CASE(a_draw_depends_on_the_ids_and_the_seed_only) {
  const std::string forwards = "a,1\na,2\na,3\nb,1\nb,2\nb,3\nc,1\nc,2\nc,3\n";
  const std::string backwards = "c,3\nc,2\nc,1\nb,3\nb,2\nb,1\na,3\na,2\na,1\n";
  const std::string fewer = "c,3\nc,2\nc,1\n";
  const Contents first = import(splitting(forwards, SplitKind::ratio, SplitKind::ratio));
  const Contents second = import(splitting(backwards, SplitKind::ratio, SplitKind::ratio));
  const Contents third = import(splitting(fewer, SplitKind::ratio, SplitKind::ratio));
  BOOST_CHECK(first.pairs == second.pairs);
  for (const char* item : {"1", "2", "3"}) BOOST_CHECK_EQUAL(third.part_of("c", item), first.part_of("c", item));
}

BOOST_AUTO_TEST_CASE(ratio_takes_the_floor_of_each_users_share_and_at_least_one_of_two) {
  ImportOptions options = splitting(rising_users(60), SplitKind::ratio, SplitKind::ratio);
  options.rules.test_ratio = 0.3;
  options.rules.validation_ratio = 0.25;
  const Contents contents = import(options);
  const auto test = counts_by_user(contents.test());
  const auto validation = counts_by_user(contents.validation());
  for (int n = 1; n <= 60; ++n) {
    const std::string user = "u" + std::to_string(n);
    const auto of = [&](const std::map<std::string, int>& counts) {
      return counts.contains(user) ? counts.at(user) : 0;
    };
    const int expected_test = n < 2 ? 0 : std::max(1, n * 3 / 10);
    const int rest = n - expected_test;
    BOOST_CHECK_EQUAL(of(test), expected_test);
    BOOST_CHECK_EQUAL(of(validation), rest < 2 ? 0 : std::max(1, rest / 4));
  }
}

BOOST_AUTO_TEST_CASE(temporal_cuts_at_one_moment_for_all_users) {
  ImportOptions options = splitting(rising_users(40), SplitKind::temporal, SplitKind::temporal);
  options.rules.test_from = 1900;
  options.rules.validation_from = 1500;
  const Contents fixed = import(options);
  for (const auto& [pair, time] : fixed.times) {
    BOOST_CHECK_EQUAL(fixed.part_of(pair.first, pair.second), time >= 1900 ? 2 : time >= 1500 ? 1 : 0);
  }
  options.rules.test_from.reset();
  options.rules.validation_from.reset();
  const Contents shares = import(options);
  std::int64_t last_train = 0, first_validation = 1 << 30, last_validation = 0, first_test = 1 << 30;
  for (const auto& [pair, time] : shares.times) {
    const int part = shares.part_of(pair.first, pair.second);
    if (part == 0) last_train = std::max(last_train, time);
    if (part == 1)
      first_validation = std::min(first_validation, time), last_validation = std::max(last_validation, time);
    if (part == 2) first_test = std::min(first_test, time);
  }
  BOOST_TEST(last_train < first_validation);
  BOOST_TEST(last_validation < first_test);
  const auto total = static_cast<double>(shares.all().size());
  BOOST_TEST(static_cast<double>(shares.test().size()) >= 0.2 * total);
  BOOST_TEST(static_cast<double>(shares.test().size()) < 0.2 * total + 20);
}

BOOST_AUTO_TEST_CASE(the_cut_is_the_latest_moment_that_gives_the_share) {
  std::string text;
  for (int k = 0; k < 1000; ++k)
    text += std::to_string(k % 50) + "\t" + std::to_string(k) + "\t1\t" +
            std::to_string(-5000000000LL + k * 12345678LL) + "\n";
  ImportOptions options = splitting(text, SplitKind::temporal, SplitKind::none);
  options.rules.test_ratio = 0.137;
  BOOST_CHECK_EQUAL(import(options).test().size(), 137U);
  ImportOptions same = splitting("1\t1\t1\t5\n2\t2\t1\t5\n", SplitKind::temporal, SplitKind::none);
  BOOST_CHECK_EQUAL(failure(same), "--split temporal finds no moment to cut at: all times are the same");
  ImportOptions all = splitting("1\t1\t1\t5\n2\t2\t1\t5\n2\t3\t1\t6\n", SplitKind::temporal, SplitKind::none);
  all.rules.test_ratio = 0.5;
  BOOST_CHECK_EQUAL(failure(all), "--split temporal would leave nothing before the cut at time 5");
}

BOOST_AUTO_TEST_CASE(a_given_test_part_stays_and_one_validation_item_a_user_is_drawn) {
  write("l/train.txt", "0 1 2 3\n1 4\n2 5 6\n");
  write("l/test.txt", "0 4\n1 9\n");
  const Contents contents = import(options("lightgcn", file("l")));
  BOOST_CHECK((contents.test() == Pairs{{"0", "4"}, {"1", "9"}}));
  BOOST_CHECK((counts_by_user(contents.validation()) == std::map<std::string, int>{{"0", 1}, {"2", 1}}));
  BOOST_CHECK_EQUAL(contents.header.split, "test: given; validation: random leave-one-out; seed 1");
  ImportOptions none = options("lightgcn", file("l"));
  none.rules.validation = SplitKind::none;
  BOOST_CHECK(import(none).validation().empty());
}

BOOST_AUTO_TEST_CASE(a_given_test_part_can_be_split_anew) {
  write("l/train.txt", "0 1 2 3\n1 4\n");
  write("l/test.txt", "0 4 1\n1 9\n");
  ImportOptions options = this->options("lightgcn", file("l"));
  options.rules.split = SplitKind::random_leave_one_out;
  options.rules.validation = SplitKind::none;
  const Contents contents = import(options);
  BOOST_CHECK_EQUAL(contents.all().size(), 6U);
  BOOST_CHECK_EQUAL(contents.test().size(), 2U);
  BOOST_CHECK_EQUAL(report.dropped("repeats.train"), 1);
}

BOOST_AUTO_TEST_CASE(pairs_in_several_parts_stay_in_the_first) {
  ImportOptions options = this->options("delimited", write("train.csv", "1,a\n1,b\n"));
  options.validation = write("valid.csv", "1,b\n1,c\n");
  options.test = write("test.csv", "1,a\n1,c\n1,d\n");
  const Contents contents = import(options);
  BOOST_CHECK((contents.train() == Pairs{{"1", "a"}, {"1", "b"}}));
  BOOST_CHECK((contents.validation() == Pairs{{"1", "c"}}));
  BOOST_CHECK((contents.test() == Pairs{{"1", "d"}}));
  BOOST_CHECK_EQUAL(report.dropped("validation_in_train"), 1);
  BOOST_CHECK_EQUAL(report.dropped("test_in_train"), 1);
  BOOST_CHECK_EQUAL(report.dropped("test_in_validation"), 1);
}

BOOST_AUTO_TEST_CASE(repeats_keep_the_last_rating_or_the_first_occurrence) {
  const Contents rated = import_text("1\ta\t5\n1\tb\t1\n1\ta\t2\n");
  BOOST_CHECK_EQUAL(rated.ratings.at({"1", "a"}), 2.0F);
  const Contents timed = import_text("1\ta\t5\t200\n1\ta\t2\t100\n2\ta\t1\t7\n2\ta\t3\t7\n");
  BOOST_CHECK_EQUAL(timed.ratings.at({"1", "a"}), 5.0F);
  BOOST_CHECK_EQUAL(timed.times.at({"1", "a"}), 200);
  BOOST_CHECK_EQUAL(timed.ratings.at({"2", "a"}), 3.0F);
  ImportOptions implicit = unsplit("delimited", write("c.tsv", "1\ta\t200\n1\ta\t100\n"));
  implicit.columns = "user,item,time";
  BOOST_CHECK_EQUAL(import(implicit).times.at({"1", "a"}), 200);
}

BOOST_AUTO_TEST_CASE(the_rating_threshold_looks_at_the_rating_that_is_kept) {
  ImportOptions options = unsplit("delimited", write("a.tsv", "1\ta\t5\n1\ta\t2\n1\tb\t4\n2\tc\t3.5\n2\tb\t4.5\n"));
  options.rules.min_rating = 4;
  BOOST_CHECK((import(options).train() == Pairs{{"1", "b"}, {"2", "b"}}));
  BOOST_CHECK_EQUAL(report.dropped("min_rating"), 2);
  BOOST_CHECK_EQUAL(report.items, 1);
}

BOOST_AUTO_TEST_CASE(minimum_counts_look_once_and_the_core_until_nothing_falls) {
  // A chain: dropping d makes u3 fall below 2, which makes c fall, and so on; a and b hold each other.
  const std::string text = "u1,a\nu1,b\nu2,a\nu2,b\nu2,c\nu3,c\nu3,d\n";
  ImportOptions once = unsplit("delimited", write("a.csv", text));
  once.rules.min_user = once.rules.min_item = 2;
  BOOST_CHECK(
      (import(once).train() == Pairs{{"u1", "a"}, {"u1", "b"}, {"u2", "a"}, {"u2", "b"}, {"u2", "c"}, {"u3", "c"}}));
  BOOST_CHECK_EQUAL(report.dropped("min_count"), 1);
  ImportOptions core = unsplit("delimited", file("a.csv"));
  core.rules.k_core = 2;
  BOOST_CHECK((import(core).train() == Pairs{{"u1", "a"}, {"u1", "b"}, {"u2", "a"}, {"u2", "b"}}));
  BOOST_CHECK_EQUAL(report.dropped("k_core"), 3);
  BOOST_CHECK_EQUAL(report.users, 2);
  BOOST_CHECK_EQUAL(report.items, 2);
}

BOOST_AUTO_TEST_CASE(filters_come_before_the_split) {
  ImportOptions options = splitting("1\ta\t5\t1\n1\tb\t5\t2\n1\tc\t1\t3\n2\ta\t5\t1\n2\tb\t5\t2\n2\td\t5\t3\n",
                                    SplitKind::leave_one_out, SplitKind::none);
  options.rules.min_rating = 3;
  options.rules.k_core = 2;
  const Contents contents = import(options);
  BOOST_CHECK((contents.test() == Pairs{{"1", "b"}, {"2", "b"}}));
  BOOST_CHECK((contents.train() == Pairs{{"1", "a"}, {"2", "a"}}));
}

BOOST_AUTO_TEST_CASE(rows_are_dealt_by_falling_counts) {
  const Contents contents = import_text("a,1\nb,1\nb,2\nc,1\nc,2\nc,3\n");
  const std::vector<Index> users = data::deal_rows({1, 2, 3});
  const std::vector<Index> items = data::deal_rows({3, 2, 1});
  for (std::size_t row = 0; row < 3; ++row) {
    BOOST_CHECK_EQUAL(contents.users[row], std::string(1, static_cast<char>('a' + users[row])));
    BOOST_CHECK_EQUAL(contents.items[row], std::to_string(items[row] + 1));
  }
}

BOOST_AUTO_TEST_SUITE_END()
