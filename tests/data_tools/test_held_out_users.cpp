#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "import_fixture.hpp"
#include <boost/test/unit_test.hpp>

using namespace spar;
using namespace spar::test;
using data_tools::HeldOutUsers;
using data_tools::ImportOptions;
using data_tools::SplitKind;
using data_tools::SplitOptions;

namespace {

constexpr int users = 211;

std::string line(int user, int item, int rating) {
  return "u" + std::to_string(user) + "\t" + std::to_string(item) + "\t" + std::to_string(rating) + "\n";
}

// User k has 1 + k % 17 items, the last of which nobody else has.
std::string activity(bool backwards) {
  std::string text;
  for (int n = 0; n < users; ++n) {
    const int user = backwards ? users - 1 - n : n;
    const int count = 1 + user % 17;
    for (int m = 0; m < count; ++m) {
      const int k = backwards ? count - 1 - m : m;
      text += line(user, k + 1 == count && count > 1 ? 1000 + user : (user * 7 + k * 13) % 97, k % 5 + 1);
    }
  }
  return text;
}

std::map<std::string, std::set<std::string>> by_user(const Pairs& pairs) {
  std::map<std::string, std::set<std::string>> lists;
  for (const auto& [user, item] : pairs) lists[user].insert(item);
  return lists;
}

class HeldOutFixture : public ImportFixture {
 public:
  ImportOptions held_out(const std::string& path, std::int64_t validation, std::int64_t test, double fold_in = 0.8) {
    ImportOptions options = this->options("delimited", path);
    options.rules.held_out = HeldOutUsers{validation, test, fold_in};
    return options;
  }
  std::string input() { return write("a.tsv", activity(false)); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(held_out_users, HeldOutFixture)

BOOST_AUTO_TEST_CASE(training_never_meets_a_held_out_user_whose_list_is_parted_into_known_and_to_find) {
  const Contents whole = import(unsplit("delimited", input()));
  const Contents contents = import(held_out(file("a.tsv"), 23, 41));
  BOOST_CHECK(contents.all() == whole.all());
  BOOST_CHECK(contents.ratings == whole.ratings);
  const auto train = by_user(contents.train());
  const auto validation = by_user(contents.validation());
  const auto test = by_user(contents.test());
  const auto known = by_user(contents.fold_in());
  const auto all = by_user(whole.train());
  BOOST_CHECK_EQUAL(validation.size(), 23);
  BOOST_CHECK_EQUAL(test.size(), 41);
  BOOST_CHECK_EQUAL(known.size(), 23 + 41);
  BOOST_CHECK_EQUAL(train.size(), users - 23 - 41);
  for (const auto& [user, items] : known) {
    BOOST_CHECK(!train.contains(user));
    BOOST_CHECK(validation.contains(user) != test.contains(user));
    const auto& to_find = validation.contains(user) ? validation.at(user) : test.at(user);
    const std::size_t n = all.at(user).size();
    BOOST_CHECK_EQUAL(items.size() + to_find.size(), n);
    BOOST_CHECK_EQUAL(to_find.size(), std::max<std::size_t>(1, n / 5));
    std::set<std::string> both;
    std::set_intersection(items.begin(), items.end(), to_find.begin(), to_find.end(), std::inserter(both, both.end()));
    BOOST_CHECK(both.empty());
  }
  BOOST_CHECK_EQUAL(report.fold_in, static_cast<std::int64_t>(contents.fold_in().size()));
  BOOST_CHECK_EQUAL(report.held_out_validation, 23);
  BOOST_CHECK_EQUAL(report.held_out_test, 41);
  BOOST_CHECK_EQUAL(report.users_without_train, 0);
  BOOST_CHECK_EQUAL(contents.header.split,
                    "test: 41 users held out of training; validation: 23 such users; 0.8 of each folded in; seed 1");
}

BOOST_AUTO_TEST_CASE(the_choice_depends_on_the_seed_and_the_ids_alone) {
  const Contents contents = import(held_out(input(), 23, 41, 0.5));
  BOOST_CHECK(import(held_out(write("b.tsv", activity(true)), 23, 41, 0.5)).pairs == contents.pairs);
  ImportOptions other = held_out(file("a.tsv"), 23, 41, 0.5);
  other.rules.seed = 2;
  BOOST_CHECK(import(other).pairs != contents.pairs);
  ImportOptions threads = held_out(file("a.tsv"), 23, 41, 0.5);
  threads.threads = 3;
  threads.to = file("threads.h5");
  import(held_out(file("a.tsv"), 23, 41, 0.5));
  const auto content = report.content;
  import(threads);
  BOOST_CHECK_EQUAL(report.content, content);
}

BOOST_AUTO_TEST_CASE(split_makes_what_import_makes_and_undoes_it) {
  const Contents imported = import(held_out(input(), 20, 30));
  ImportOptions plain = unsplit("delimited", file("a.tsv"));
  plain.to = file("plain.h5");
  const Contents whole = import(plain);
  SplitOptions split;
  split.from = file("plain.h5");
  split.to = file("held.h5");
  split.rules.held_out = HeldOutUsers{20, 30};
  report = data_tools::split_dataset(split);
  const Contents held = read_contents(file("held.h5"));
  BOOST_CHECK(held.pairs == imported.pairs);
  BOOST_CHECK(held.ratings == whole.ratings);

  SplitOptions back;
  back.from = file("held.h5");
  back.to = file("back.h5");
  back.rules.split = back.rules.validation = SplitKind::none;
  data_tools::split_dataset(back);
  const Contents again = read_contents(file("back.h5"));
  BOOST_CHECK(again.train() == whole.train());
  BOOST_CHECK(!again.header.holds_out_users);

  // Another validation part leaves the test users, and what is told of them, as they are.
  SplitOptions validation;
  validation.from = file("held.h5");
  validation.to = file("validation.h5");
  validation.rules.validation = SplitKind::random_leave_one_out;
  data_tools::split_dataset(validation);
  const Contents mixed = read_contents(file("validation.h5"));
  BOOST_CHECK(mixed.test() == held.test());
  BOOST_CHECK(mixed.all() == whole.all());
  const auto tested = by_user(held.test());
  const auto trained = by_user(mixed.train());
  for (const auto& [user, items] : by_user(mixed.fold_in())) {
    BOOST_CHECK(tested.contains(user));
    BOOST_CHECK(!trained.contains(user));
  }
  BOOST_CHECK(by_user(mixed.fold_in()).size() == tested.size());
}

BOOST_AUTO_TEST_CASE(items_that_no_training_user_has_are_kept_or_dropped_before_lists_are_parted) {
  const Contents kept = import(held_out(input(), 23, 41));
  ImportOptions options = held_out(file("a.tsv"), 23, 41);
  options.rules.held_out->drop_unseen = true;
  const Contents dropped = import(options);
  std::set<std::string> seen;
  for (const auto& [user, item] : kept.train()) seen.insert(item);
  std::set<std::string> left(dropped.items.begin(), dropped.items.end());
  BOOST_CHECK(left == seen);
  BOOST_CHECK(dropped.train() == kept.train());
  Pairs expected;
  std::int64_t gone = 0;
  for (const auto& pair : kept.all()) {
    if (seen.contains(pair.second)) {
      expected.insert(pair);
    } else {
      ++gone;
    }
  }
  BOOST_CHECK(dropped.all() == expected);
  BOOST_CHECK_GT(gone, 40);
  BOOST_CHECK_EQUAL(report.dropped("unseen_items"), gone);
  const auto known = by_user(dropped.fold_in());
  for (const auto& [user, items] : by_user(dropped.test()))
    BOOST_CHECK_EQUAL(items.size(), std::max<std::size_t>(1, (items.size() + known.at(user).size()) / 5));
}

BOOST_AUTO_TEST_CASE(filters_come_before_users_are_chosen) {
  ImportOptions options = held_out(input(), 10, 10);
  options.rules.min_rating = 4;
  options.rules.min_user = 5;
  const Contents contents = import(options);
  std::map<std::string, int> counts;
  for (const auto& [user, item] : contents.all()) ++counts[user];
  for (const auto& [user, count] : counts) BOOST_CHECK_GE(count, 5);
  for (const auto& [pair, rating] : contents.ratings) BOOST_CHECK_GE(rating, 4.0F);
  BOOST_CHECK_EQUAL(by_user(contents.test()).size(), 10);
}

BOOST_AUTO_TEST_CASE(a_random_split_takes_each_interaction_by_itself) {
  ImportOptions options = this->options("delimited", input());
  options.rules.split = SplitKind::random;
  options.rules.validation = SplitKind::none;
  options.rules.test_ratio = 0.25;
  const Contents contents = import(options);
  const auto all = static_cast<double>(contents.all().size());
  const double share = static_cast<double>(contents.test().size()) / all;
  BOOST_CHECK_SMALL(share - 0.25, 4.0 * std::sqrt(0.25 * 0.75 / all));
  BOOST_CHECK_EQUAL(contents.header.split, "test: 0.25 of all at random; validation: none; seed 1");
  // Other splits never take the only interaction of a user.
  std::set<std::string> trained;
  for (const auto& [user, item] : contents.train()) trained.insert(user);
  BOOST_CHECK_LT(trained.size(), contents.users.size());
}

BOOST_AUTO_TEST_CASE(mistakes_get_one_sentence) {
  const std::string path = input();
  BOOST_CHECK_EQUAL(failure(held_out(path, 100, 99)),
                    "--held-out-users 100,99 leaves nobody to train on: 198 users have two or more interactions");
  BOOST_CHECK_EQUAL(failure(held_out(path, 0, 0)),
                    "--held-out-users 0,0 holds nobody out: it takes two numbers, for validation and test");
  BOOST_CHECK_EQUAL(failure(held_out(path, 1, 1, 1.0)), "--fold-in must lie between 0 and 1, not 1");
  ImportOptions both = held_out(path, 1, 1);
  both.rules.split = SplitKind::ratio;
  BOOST_CHECK_EQUAL(failure(both),
                    "--held-out-users makes the test part and the validation part: leave --split and --validation out");
  ImportOptions moment = held_out(path, 1, 1);
  moment.rules.test_from = 5;
  BOOST_CHECK_EQUAL(failure(moment),
                    "--test-from and --validation-from need a temporal split, which --held-out-users is not");
}

BOOST_AUTO_TEST_CASE(only_files_that_hold_users_out_need_a_reader_that_knows_of_them) {
  import(held_out(input(), 5, 5));
  BOOST_CHECK_EQUAL(data::open_dataset(target()).integer_attribute("/", "version"), 2);
  import(options("delimited", file("a.tsv")));
  BOOST_CHECK_EQUAL(data::open_dataset(target()).integer_attribute("/", "version"), 1);
}

BOOST_AUTO_TEST_SUITE_END()
