#include <algorithm>
#include <cmath>

#include "import_fixture.hpp"
#include <boost/test/unit_test.hpp>

#include "data_tools/candidates.hpp"

using namespace spar;
using namespace spar::test;
using data_tools::ImportOptions;
using data_tools::SplitKind;
using data_tools::SplitOptions;

namespace {

class ResplitFixture : public ImportFixture {
 public:
  ResplitFixture() {
    std::string text;
    for (int user = 0; user < 300; ++user) {
      for (int k = 0; k < 1 + user % 9; ++k) {
        text += "user " + std::to_string(user) + "\t" + std::to_string((user * 7 + k * 13) % 97) + "\t" +
                std::to_string(k % 5 + 1) + "\t" + std::to_string(user * 10 + k) + "\n";
      }
    }
    ImportOptions options = this->options("delimited", write("a.tsv", text));
    options.to = from();
    original = import(options);
  }
  std::string from() const { return file("from.h5"); }
  SplitOptions resplit(SplitKind split, SplitKind validation) const {
    SplitOptions options;
    options.from = from();
    options.to = target();
    options.threads = 1;
    options.rules.split = split;
    options.rules.validation = validation;
    return options;
  }
  Contents run(const SplitOptions& options) {
    report = data_tools::split_dataset(options);
    return read_contents(options.to);
  }
  Contents original;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(split_dataset, ResplitFixture)

BOOST_AUTO_TEST_CASE(another_split_keeps_interactions_values_and_rows) {
  const Contents contents = run(resplit(SplitKind::ratio, SplitKind::none));
  BOOST_CHECK(contents.all() == original.all());
  BOOST_CHECK(contents.users == original.users);
  BOOST_CHECK(contents.items == original.items);
  BOOST_CHECK(contents.ratings == original.ratings);
  BOOST_CHECK(contents.times == original.times);
  BOOST_CHECK(contents.validation().empty());
  BOOST_CHECK_EQUAL(contents.header.split, "test: 0.2 of each user at random; validation: none; seed 1");
}

BOOST_AUTO_TEST_CASE(a_split_by_draws_is_the_one_that_import_makes) {
  ImportOptions options = this->options("delimited", file("a.tsv"));
  options.rules.split = options.rules.validation = SplitKind::ratio;
  const Contents imported = import(options);
  BOOST_CHECK(run(resplit(SplitKind::ratio, SplitKind::ratio)).pairs == imported.pairs);
}

BOOST_AUTO_TEST_CASE(a_split_by_distinct_times_is_the_one_that_import_makes) {
  BOOST_CHECK(run(resplit(SplitKind::leave_one_out, SplitKind::leave_one_out)).pairs == original.pairs);
}

BOOST_AUTO_TEST_CASE(asked_for_validation_alone_the_test_part_stays) {
  const Contents contents = run(resplit(SplitKind::automatic, SplitKind::ratio));
  BOOST_CHECK(contents.test() == original.test());
  BOOST_CHECK(contents.validation() != original.validation());
  const Contents unchanged = run(resplit(SplitKind::automatic, SplitKind::automatic));
  BOOST_CHECK(unchanged.pairs == original.pairs);
}

BOOST_AUTO_TEST_CASE(a_file_without_a_test_part_gets_a_validation_part_only) {
  ImportOptions options = unsplit("delimited", file("a.tsv"));
  options.to = from();
  import(options);
  const Contents contents = run(resplit(SplitKind::automatic, SplitKind::leave_one_out));
  BOOST_CHECK(contents.test().empty());
  BOOST_CHECK(!contents.validation().empty());
}

BOOST_AUTO_TEST_CASE(filters_work_on_a_data_set_too) {
  SplitOptions options = resplit(SplitKind::leave_one_out, SplitKind::none);
  options.rules.min_rating = 2;
  options.rules.k_core = 3;
  const Contents contents = run(options);
  ImportOptions same = this->options("delimited", file("a.tsv"));
  same.rules = options.rules;
  BOOST_CHECK(import(same).pairs == contents.pairs);
  for (const auto& [pair, rating] : contents.ratings) BOOST_TEST(rating >= 2);
  BOOST_TEST(contents.users.size() < original.users.size());
}

BOOST_AUTO_TEST_CASE(candidates_follow_the_test_part_they_belong_to) {
  write("p.train.rating", "0\t1\n0\t2\n0\t4\n1\t2\n1\t1\n");
  write("p.test.rating", "0\t3\n1\t5\n");
  write("p.test.negative", "(0,3)\t5\t1\t77\n(1,5)\t3\t78\n");
  ImportOptions options = this->options("pairs", file("p"));
  options.to = from();
  const Contents before = import(options);
  const Contents kept = run(resplit(SplitKind::automatic, SplitKind::none));
  BOOST_CHECK(kept.candidates == before.candidates);
  BOOST_CHECK((kept.candidates.at("0") == std::vector<std::string>{"5", "1", "77"}));
  const Contents dropped = run(resplit(SplitKind::ratio, SplitKind::none));
  BOOST_CHECK(dropped.candidates.empty());
  BOOST_CHECK_EQUAL(report.notes.at(0), "the candidate lists belong to the old test part and are left out");
}

BOOST_AUTO_TEST_CASE(drawn_candidates_are_different_items_that_a_test_user_lacks) {
  SplitOptions options = resplit(SplitKind::leave_one_out, SplitKind::leave_one_out);
  options.rules.candidates = 20;
  const Contents contents = run(options);
  BOOST_CHECK(contents.pairs == original.pairs);
  BOOST_CHECK_EQUAL(contents.header.split,
                    "test: leave-one-out by time; validation: leave-one-out by time; 20 candidates "
                    "drawn; seed 1");
  std::set<std::string> tested;
  for (const auto& [user, item] : contents.test()) tested.insert(user);
  BOOST_TEST(contents.candidates.size() == tested.size());
  BOOST_TEST(report.negatives == static_cast<std::int64_t>(20 * tested.size()));
  for (const auto& [user, items] : contents.candidates) {
    BOOST_TEST(tested.contains(user));
    BOOST_TEST(items.size() == 20U);
    BOOST_TEST(std::set(items.begin(), items.end()).size() == items.size());
    for (const std::string& item : items) BOOST_TEST(contents.part_of(user, item) == -1);
  }
  BOOST_CHECK(run(options).candidates == contents.candidates);
  options.rules.seed = 2;
  BOOST_CHECK(run(options).candidates != contents.candidates);
}

BOOST_AUTO_TEST_CASE(whoever_lacks_fewer_items_than_are_asked_for_gets_all_of_them) {
  SplitOptions options = resplit(SplitKind::leave_one_out, SplitKind::none);
  options.rules.candidates = 1000;
  const Contents contents = run(options);
  for (const auto& [user, items] : contents.candidates) {
    std::size_t own = 0;
    for (const std::string& item : contents.items) own += contents.part_of(user, item) >= 0 ? 1 : 0;
    BOOST_TEST(items.size() == contents.items.size() - own);
  }
}

BOOST_AUTO_TEST_CASE(candidates_are_drawn_uniformly_among_the_others) {
  data_tools::CandidateDrawer drawer(40, 5, 3);
  const std::vector<std::uint32_t> own{39, 7, 0, 7};
  std::vector<int> drawn(40);
  constexpr std::uint32_t users = 20000;
  for (std::uint32_t user = 0; user < users; ++user)
    for (const std::uint32_t item : drawer.draw(user, own)) ++drawn[item];
  constexpr double expected = 5.0 * users / 37;
  double chi_square = 0.0;
  for (std::uint32_t item = 0; item < 40; ++item) {
    if (std::ranges::count(own, item) > 0) {
      BOOST_TEST(drawn[item] == 0);
    } else {
      chi_square += (drawn[item] - expected) * (drawn[item] - expected) / expected;
    }
  }
  BOOST_TEST(chi_square < 36 + 4 * std::sqrt(2.0 * 36));
}

BOOST_AUTO_TEST_CASE(drawn_candidates_take_the_place_of_those_that_came) {
  write("p.train.rating", "0\t1\n0\t2\n0\t4\n1\t2\n1\t1\n");
  write("p.test.rating", "0\t3\n1\t5\n");
  write("p.test.negative", "(0,3)\t5\t1\t77\n(1,5)\t3\t78\n");
  ImportOptions options = this->options("pairs", file("p"));
  options.to = from();
  import(options);
  SplitOptions again = resplit(SplitKind::automatic, SplitKind::none);
  again.rules.candidates = 2;
  const Contents contents = run(again);
  BOOST_TEST(contents.candidates.at("1").size() == 2U);
  BOOST_CHECK_EQUAL(report.notes.at(0), "the candidate lists of the data set are left out: others are drawn");
  options.rules.candidates = 2;
  BOOST_CHECK_EQUAL(failure(options),
                    "--candidates draws lists for the test part, but the input brings its own: leave one of them out");
}

BOOST_AUTO_TEST_CASE(the_bytes_do_not_depend_on_threads) {
  SplitOptions options = resplit(SplitKind::ratio, SplitKind::random_leave_one_out);
  options.rules.candidates = 10;
  run(options);
  const std::string one = store::read_text(target());
  options.threads = 2;
  options.memory = 0;
  run(options);
  BOOST_CHECK(store::read_text(target()) == one);
}

BOOST_AUTO_TEST_CASE(candidates_without_anybody_to_test_get_one_sentence) {
  SplitOptions options = resplit(SplitKind::none, SplitKind::none);
  options.rules.candidates = 10;
  BOOST_CHECK_EQUAL(sentence_of(ExitCode::usage, [&] { data_tools::split_dataset(options); }),
                    "--candidates are drawn for the users of a test part, and this split has none");
  BOOST_CHECK(!std::filesystem::exists(target()));
}

BOOST_AUTO_TEST_CASE(wrong_input_gets_one_sentence) {
  SplitOptions options = resplit(SplitKind::given, SplitKind::none);
  options.from = file("a.tsv");
  BOOST_CHECK(without(sentence_of(ExitCode::usage, [&] { data_tools::split_dataset(options); }), file(""))
                  .starts_with("a.tsv "));
  BOOST_CHECK(!std::filesystem::exists(target()));
}

BOOST_AUTO_TEST_SUITE_END()
