#include "import_fixture.hpp"
#include "real_data.hpp"
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "data_tools/inspect.hpp"
#include "spar/data/dislikes.hpp"
#include "spar/data/side_data.hpp"

using namespace spar;
using namespace spar::test;
using data_tools::ImportOptions;
using data_tools::SplitKind;
using data_tools::SplitOptions;

namespace {

class DislikeFixture : public ImportFixture {
 public:
  ImportOptions below(double threshold, const std::string& text, SplitKind split = SplitKind::none) const {
    ImportOptions result = options("delimited", write("rows.tsv", text));
    result.rules.split = split;
    result.rules.validation = SplitKind::none;
    result.rules.dislikes_below = threshold;
    return result;
  }

  /// The dislikes of the last import or split, with original ids.
  Pairs disliked(const Contents& contents) const {
    const store::ArrayFile file = data::open_dataset(report.to);
    const data::UserLists lists = data::read_dislikes(file, 0, contents.header.users);
    Pairs pairs;
    for (Index user = 0; user < lists.users(); ++user) {
      for (const ItemId item : lists.of(user))
        pairs.insert({contents.users[static_cast<std::size_t>(user)], contents.items[item]});
    }
    BOOST_CHECK_EQUAL(static_cast<std::int64_t>(pairs.size()), report.dislikes);
    BOOST_CHECK_EQUAL(contents.header.dislikes, report.dislikes);
    return pairs;
  }
  static std::set<std::string> users(const Contents& contents) {
    return {contents.users.begin(), contents.users.end()};
  }
  std::vector<std::int64_t> times(const Contents& contents) const {
    return data::read_dislike_times(data::open_dataset(report.to), 0, contents.header.users);
  }
};

/// Five users, six items: user e and item z occur below 3 only.
const char* const small =
    "a\tx\t5\t10\na\ty\t2\t20\na\tz\t1\t30\n"
    "b\tx\t4\t40\nb\tw\t2.5\t50\nb\ty\t3\t60\n"
    "c\tw\t5\t70\nc\tx\t1\t80\nc\tv\t3\t90\n"
    "d\ty\t4\t100\ne\tx\t2\t110\n";

}  // namespace

BOOST_FIXTURE_TEST_SUITE(import_dislikes, DislikeFixture)

BOOST_AUTO_TEST_CASE(what_is_rated_lower_is_a_dislike_and_no_interaction) {
  const Contents contents = import(below(3, small));
  BOOST_CHECK((contents.train() == Pairs{{"a", "x"}, {"b", "x"}, {"b", "y"}, {"c", "w"}, {"c", "v"}, {"d", "y"}}));
  BOOST_CHECK((disliked(contents) == Pairs{{"a", "y"}, {"b", "w"}, {"c", "x"}}));
  BOOST_CHECK((users(contents) == std::set<std::string>{"a", "b", "c", "d"}));
  BOOST_CHECK_EQUAL(report.dropped("dislikes.without_interactions"), 2);
  std::vector<std::int64_t> moments = times(contents);
  std::ranges::sort(moments);
  BOOST_TEST(moments == (std::vector<std::int64_t>{20, 50, 80}), boost::test_tools::per_element());
  const std::string text = report.text();
  BOOST_TEST(text.find("dropped  2 dislikes of users or items that have no interaction (1 users, 1 items)\n") !=
             std::string::npos);
  BOOST_TEST(text.find("side     dislikes: 3 items by 3 of 4 users, from ") != std::string::npos);
  BOOST_TEST(text.find("rows.tsv (rated below 3)\n") != std::string::npos);
  const auto json = nlohmann::json::parse(report.json());
  BOOST_TEST(json["dislikes"] == 3);
  BOOST_TEST(json["liked_and_disliked"] == 0);
  BOOST_TEST(json["dropped"]["dislikes.without_interactions"] == 2);
  BOOST_TEST(json["side"][0]["kind"] == "dislikes");
}

BOOST_AUTO_TEST_CASE(interactions_are_those_of_an_import_that_drops_the_low_ratings) {
  ImportOptions dropping = below(3, small, SplitKind::leave_one_out);
  dropping.rules.dislikes_below.reset();
  dropping.rules.min_rating = 3;
  const Contents without = import(dropping);
  BOOST_CHECK_EQUAL(report.dropped("min_rating"), 5);
  const Contents with = import(below(3, small, SplitKind::leave_one_out));
  BOOST_CHECK(with.pairs == without.pairs);
  BOOST_CHECK(with.users == without.users);
  BOOST_CHECK(with.items == without.items);
  BOOST_CHECK(with.ratings == without.ratings);
}

BOOST_AUTO_TEST_CASE(between_the_two_thresholds_ratings_are_neither) {
  ImportOptions both = below(3, small);
  both.rules.min_rating = 4;
  const Contents contents = import(both);
  BOOST_CHECK((contents.train() == Pairs{{"a", "x"}, {"b", "x"}, {"c", "w"}, {"d", "y"}}));
  BOOST_CHECK((disliked(contents) == Pairs{{"a", "y"}, {"b", "w"}, {"c", "x"}}));
  BOOST_CHECK_EQUAL(report.dropped("min_rating"), 2);
}

BOOST_AUTO_TEST_CASE(dislikes_count_for_no_filter_and_go_with_the_users_and_items_that_filters_drop) {
  ImportOptions filtered = below(3, small);
  filtered.rules.min_user = 2;
  const Contents contents = import(filtered);
  BOOST_CHECK((users(contents) == std::set<std::string>{"b", "c"}));
  BOOST_CHECK((disliked(contents) == Pairs{{"b", "w"}, {"c", "x"}}));
  BOOST_CHECK_EQUAL(report.dropped("dislikes.without_interactions"), 3);
}

BOOST_AUTO_TEST_CASE(of_repeated_ratings_the_last_decides_and_the_report_counts_those_of_both_kinds) {
  const Contents contents = import(
      below(3, "a\tx\t5\t20\na\tx\t1\t10\na\ty\t4\t10\na\ty\t2\t10\na\tz\t1\t5\na\tz\t2\t4\nb\ty\t5\t1\nb\tz\t5\t1\n"));
  BOOST_CHECK((contents.train() == Pairs{{"a", "x"}, {"b", "y"}, {"b", "z"}}));
  BOOST_CHECK((disliked(contents) == Pairs{{"a", "y"}, {"a", "z"}}));
  BOOST_CHECK_EQUAL(report.liked_and_disliked, 2);
  BOOST_CHECK_EQUAL(report.dropped("repeats.train"), 3);
  BOOST_TEST(report.text().find("         2 pairs liked and disliked: the rating that is kept decides\n") !=
             std::string::npos);
  // With a gap between the thresholds, what lies in it is not liked.
  ImportOptions gap = below(3, "a\tx\t5\t1\na\ty\t3\t10\na\ty\t2\t20\nb\ty\t5\t1\n");
  gap.rules.min_rating = 4;
  import(gap);
  BOOST_CHECK_EQUAL(report.liked_and_disliked, 0);
}

BOOST_AUTO_TEST_CASE(training_knows_no_dislikes_of_given_other_parts) {
  ImportOptions given = below(3, "a\tx\t5\na\ty\t1\nb\ty\t5\nb\tz\t4\n", SplitKind::automatic);
  given.test = write("test.tsv", "a\tz\t2\nb\tx\t5\n");
  const Contents contents = import(given);
  BOOST_CHECK((disliked(contents) == Pairs{{"a", "y"}}));
  BOOST_CHECK((contents.test() == Pairs{{"b", "x"}}));
  BOOST_CHECK_EQUAL(report.dropped("dislikes.other_parts"), 1);
  given.rules.split = SplitKind::ratio;
  const Contents merged = import(given);
  BOOST_CHECK((disliked(merged) == Pairs{{"a", "y"}, {"a", "z"}}));
}

BOOST_AUTO_TEST_CASE(behind_the_moment_of_a_temporal_split_no_dislike_is_known) {
  ImportOptions later = below(3, small, SplitKind::temporal);
  later.rules.test_from = 60;
  Contents contents = import(later);
  BOOST_CHECK((disliked(contents) == Pairs{{"a", "y"}, {"b", "w"}}));
  BOOST_CHECK_EQUAL(report.dropped("dislikes.later"), 1);
  later.rules.validation = SplitKind::temporal;
  later.rules.validation_from = 40;
  contents = import(later);
  BOOST_CHECK((disliked(contents) == Pairs{{"a", "y"}}));
  BOOST_CHECK_EQUAL(report.dropped("dislikes.later"), 2);
}

BOOST_AUTO_TEST_CASE(every_format_with_ratings_brings_dislikes) {
  ImportOptions recbole = unsplit("recbole", write("d.inter",
                                                   "user_id:token\titem_id:token\trating:float\n"
                                                   "1\t7\t5\n1\t8\t1\n2\t8\t4\n"));
  ImportOptions movielens = unsplit("movielens", write("ratings.dat", "1::7::5::10\n1::8::1::20\n2::8::4::30\n"));
  ImportOptions pairs = unsplit("pairs", write("d.train.rating", "1\t7\t5\n1\t8\t1\n2\t8\t4\n"));
  for (ImportOptions* options : {&recbole, &movielens, &pairs}) {
    options->rules.dislikes_below = 2;
    const Contents contents = import(*options);
    BOOST_CHECK((contents.train() == Pairs{{"1", "7"}, {"2", "8"}}));
    BOOST_CHECK((disliked(contents) == Pairs{{"1", "8"}}));
  }
}

BOOST_AUTO_TEST_CASE(threads_and_memory_change_no_byte) {
  std::string text;
  for (int user = 0; user < 700; ++user) {
    for (int k = 0; k < 1 + user % 13; ++k)
      text += std::to_string(user) + "\t" + std::to_string((user * 7 + k * 13) % 97) + "\t" +
              std::to_string((user + k) % 5 + 1) + "\t" + std::to_string(user * 10 + k) + "\n";
  }
  ImportOptions options = below(3, text, SplitKind::leave_one_out);
  import(options);
  const std::string content = report.content;
  BOOST_CHECK_GT(report.dislikes, 1000);
  options.threads = 3;
  options.memory = 0;
  import(options);
  BOOST_CHECK_EQUAL(report.content, content);
}

BOOST_AUTO_TEST_CASE(another_split_carries_dislikes_along) {
  ImportOptions options = below(3, small);
  options.to = file("from.h5");
  const Contents original = import(options);
  const Pairs before = disliked(original);
  SplitOptions split;
  split.from = options.to;
  split.to = target();
  split.threads = 1;
  split.rules.split = SplitKind::leave_one_out;
  const auto resplit = [&] {
    report = data_tools::split_dataset(split);
    return read_contents(split.to);
  };
  Contents contents = resplit();
  BOOST_CHECK(contents.users == original.users);
  BOOST_CHECK(disliked(contents) == before);
  BOOST_CHECK(times(contents) == data::read_dislike_times(data::open_dataset(split.from), 0, 4));
  const auto of = [](const std::string& path) {
    return data::find_side_data(data::open_dataset(path), data::SideKind::dislikes, data::Side::users, "dislikes");
  };
  BOOST_CHECK_EQUAL(of(split.to).content, of(split.from).content);
  split.rules.split = SplitKind::temporal;
  split.rules.validation = SplitKind::none;
  split.rules.test_from = 45;
  contents = resplit();
  BOOST_CHECK((disliked(contents) == Pairs{{"a", "y"}}));
  split.rules = {};
  split.rules.min_user = 2;
  contents = resplit();
  BOOST_CHECK((disliked(contents) == Pairs{{"b", "w"}, {"c", "x"}}));
  BOOST_CHECK_EQUAL(report.dropped("dislikes.without_interactions"), 1);
}

BOOST_AUTO_TEST_CASE(inspect_shows_how_many_there_are) {
  import(below(3, small));
  const auto object = nlohmann::json::parse(data_tools::inspect(target(), true));
  BOOST_TEST(object["dislikes"] == 3);
  BOOST_TEST(object["side"][0]["covered"] == 3);
  BOOST_TEST(
      data_tools::inspect(target(), false).find("side        dislikes: 3 items with times; 3 of 4 users (75%)") !=
      std::string::npos);
}

BOOST_AUTO_TEST_CASE(thresholds_that_make_no_sense_get_one_sentence) {
  ImportOptions crossed = below(4, small);
  crossed.rules.min_rating = 3.5;
  BOOST_CHECK_EQUAL(failure(crossed),
                    "--dislikes-below 4 is above --min-rating 3.5: what is rated from 3.5 to below 4 would be an "
                    "interaction and a dislike");
  BOOST_CHECK_EQUAL(failure(below(1, small)), "--dislikes-below 1 finds no dislikes: the lowest rating is 1");
  BOOST_CHECK_EQUAL(failure(below(6, small)), "no interactions are left of 11 read: 11 kept as dislikes");
  BOOST_CHECK_EQUAL(failure(below(3, "a\tx\na\ty\n")),
                    "--dislikes-below needs a rating for every interaction, which the input lacks");
  ImportOptions lists = unsplit("lightgcn", write("l.txt", "1 2 3\n"));
  lists.rules.dislikes_below = 3;
  BOOST_CHECK_EQUAL(failure(lists), "--dislikes-below needs a rating for every interaction, which the input lacks");
  ImportOptions given = below(3, "a\tx\t5\na\ty\t4\n", SplitKind::given);
  given.test = write("test.tsv", "a\tz\t2\n");
  BOOST_CHECK_EQUAL(failure(given),
                    "--dislikes-below 3 finds no dislikes: only the validation or test part has lower ratings, which "
                    "training must not know");
}

BOOST_AUTO_TEST_CASE(movielens_100k_parts_into_likes_and_dislikes, *needs("ml-100k")) {
  ImportOptions options = unsplit("movielens", data_folder() + "/ml-100k");
  options.rules.dislikes_below = 3;
  const Contents contents = import(options);
  BOOST_CHECK_EQUAL(report.train, 82520);
  // 6,110 are rated 1 and 11,370 are rated 2.
  BOOST_CHECK_EQUAL(report.dislikes + report.dropped("dislikes.without_interactions"), 17480);
}

BOOST_AUTO_TEST_SUITE_END()
