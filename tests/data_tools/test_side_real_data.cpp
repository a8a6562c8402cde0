#include <sstream>

#include "real_data.hpp"
#include "side_fixture.hpp"
#include <boost/test/unit_test.hpp>

/// Counts of side data of public data sets.
using namespace spar;
using namespace spar::test;
using data::Side;
using data::SideKind;
using data_tools::ImportOptions;

namespace {

class RealSide : public SideImportFixture {
 public:
  static std::string real(const std::string& path) { return data_folder() + "/" + path; }
  /// A text of `path`, unpacked.
  static std::string text_of(const std::string& path) {
    std::string text;
    std::vector<char> buffer(1 << 20);
    const gzFile gz = gzopen(real(path).c_str(), "rb");
    for (int got = 1; got > 0;) {
      got = gzread(gz, buffer.data(), static_cast<unsigned>(buffer.size()));
      text.append(buffer.data(), static_cast<std::size_t>(std::max(got, 0)));
    }
    gzclose(gz);
    return text;
  }
  const data_tools::ImportReport::SideData& side(const std::string& name) const {
    for (const auto& one : report.side) {
      if (one.name == name) return one;
    }
    BOOST_FAIL("there is no side data of that name");
    return report.side.front();
  }
  /// Rows by category.
  static std::map<std::string, int> histogram(const SideContents& contents, const std::string& name) {
    const std::vector<std::string> values = contents.values(name);
    std::map<std::string, int> counts;
    for (const std::uint32_t code :
         data::read_attribute(contents.file, Side::users, name, 0, contents.rows(Side::users)))
      ++counts[values[code]];
    return counts;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(side_real_data, RealSide)

BOOST_AUTO_TEST_CASE(ml_100k_has_four_attributes_and_genres, *needs("ml-100k")) {
  const SideContents contents = import_side(options("movielens", real("ml-100k")));
  BOOST_CHECK((histogram(contents, "gender") == std::map<std::string, int>{{"F", 273}, {"M", 670}}));
  BOOST_CHECK_EQUAL(side("age").width, 61 + 1);
  BOOST_CHECK_EQUAL(side("occupation").width, 21 + 1);
  BOOST_CHECK_EQUAL(side("zip").width, 795 + 1);
  BOOST_CHECK_EQUAL(contents.attribute("zip", "74"), "T8H1N");
  BOOST_CHECK_EQUAL(contents.attribute("occupation", "1"), "technician");
  BOOST_CHECK_EQUAL(side("genres").entries, 2893);
  BOOST_CHECK_EQUAL(side("genres").width, 19);
  BOOST_CHECK(contents.bag(Side::items, "genres", "1") == (Words{{"Animation", 1}, {"Children's", 1}, {"Comedy", 1}}));
  BOOST_CHECK(contents.bag(Side::items, "genres", "267") == (Words{{"unknown", 1}}));
}

BOOST_AUTO_TEST_CASE(ml_1m_has_four_attributes_and_genres, *needs("ml-1m")) {
  const SideContents contents = import_side(options("movielens", real("ml-1m")));
  BOOST_CHECK((histogram(contents, "gender") == std::map<std::string, int>{{"F", 1709}, {"M", 4331}}));
  BOOST_CHECK_EQUAL(histogram(contents, "age")["25"], 2096);
  BOOST_TEST(contents.values("age") == (std::vector<std::string>{"", "1", "18", "25", "35", "45", "50", "56"}),
             boost::test_tools::per_element());
  BOOST_CHECK_EQUAL(side("occupation").width, 21 + 1);
  BOOST_CHECK_EQUAL(side("genres").width, 18);
  BOOST_CHECK_EQUAL(side("genres").lines, 3883);
  BOOST_CHECK_EQUAL(side("genres").unknown, 177);
  BOOST_CHECK_EQUAL(side("genres").covered, 3706);
}

BOOST_AUTO_TEST_CASE(ml_latest_small_has_genres_and_tags, *needs("ml-latest-small")) {
  ImportOptions options = this->options("movielens", real("ml-latest-small"));
  options.side.tags = {real("ml-latest-small/tags.csv.gz")};
  import_side(options);
  BOOST_CHECK_EQUAL(side("tags").entries + side("tags").unknown + side("tags").repeated, 1296);
  BOOST_CHECK_EQUAL(side("genres").lines, 9125);
}

BOOST_AUTO_TEST_CASE(citeulike_t_has_word_bags, *needs("citeulike-t")) {
  std::istringstream libraries(text_of("citeulike-t/users.dat.gz"));
  std::string lists, line, count;
  for (int user = 0; std::getline(libraries, line); ++user) {
    std::istringstream words(line);
    words >> count;
    std::string items;
    std::getline(words, items);
    lists += std::to_string(user) + items + "\n";
  }
  ImportOptions options = unsplit("lightgcn", write("users.txt", lists));
  options.side.items.bags = {"text=" + real("citeulike-t/mult.dat.gz")};
  const SideContents contents = import_side(options);
  BOOST_CHECK_EQUAL(side("text").lines, 25975);
  BOOST_CHECK_EQUAL(side("text").unknown, 391);
  BOOST_CHECK(side("text").width > 19900 && side("text").width <= 20000);
  const Words first = contents.bag(Side::items, "text", "0");
  BOOST_CHECK_EQUAL(first.size(), 21U);
  BOOST_CHECK_EQUAL(first.at("3879"), 2.0F);
  BOOST_CHECK_EQUAL(first.at("15112"), 4.0F);
}

BOOST_AUTO_TEST_CASE(filmtrust_has_directed_trust, *needs("filmtrust")) {
  ImportOptions options = unsplit("delimited", real("filmtrust/ratings.txt.gz"));
  options.side.user_edges = {"trust=" + real("filmtrust/trust.txt.gz")};
  const SideContents contents = import_side(options);
  const auto& trust = side("trust");
  BOOST_CHECK_EQUAL(trust.lines, 1853);
  BOOST_CHECK_EQUAL(trust.entries + trust.unknown + trust.repeated + trust.loops, 1853);
  BOOST_CHECK(contents.edges("trust", "2").contains("104"));
}

BOOST_AUTO_TEST_CASE(last_fm_has_friends_and_tags, *needs("lastfm-hetrec")) {
  ImportOptions options = unsplit("delimited", real("lastfm-hetrec/user_artists.dat.gz"));
  options.side.user_edges = {"friends=" + real("lastfm-hetrec/user_friends.dat.gz")};
  options.side.tags = {real("lastfm-hetrec/user_taggedartists.dat.gz")};
  SideContents contents = import_side(options);
  BOOST_CHECK_EQUAL(side("friends").entries, 25434);
  BOOST_CHECK_EQUAL(side("friends").covered, 1892);
  BOOST_CHECK_EQUAL(side("tags").lines, 186478);
  // Both directions of each friendship are in the file.
  for (const auto& [other, weight] : contents.edges("friends", "2"))
    BOOST_CHECK(contents.edges("friends", other).contains("2"));
  // The relation by itself: the pairs of user and tagged artist are the interactions.
  options.paths = options.side.tags;
  options.columns = "user,item";
  options.side.user_edges.clear();
  contents = import_side(options);
  BOOST_CHECK_EQUAL(side("tags").unknown, 0);
  BOOST_CHECK_EQUAL(side("tags").entries, 186478);
  BOOST_CHECK_EQUAL(report.items, 12523);
  std::int64_t posts = 0;
  for (const data::Part part : {data::Part::train, data::Part::validation, data::Part::test})
    posts += data::read_posts(contents.file, part, 0, report.users).count();
  BOOST_CHECK_EQUAL(posts, report.train);
}

BOOST_AUTO_TEST_CASE(sasrec_sequences_keep_their_order, *needs("ml-1m-sasrec")) {
  ImportOptions options = this->options("delimited", real("ml-1m-sasrec/ml-1m.txt.gz"));
  options.columns = "user,item";
  options.ordered = true;
  const SideContents contents = import_side(options);
  BOOST_CHECK_EQUAL(report.users, 6040);
  BOOST_CHECK_EQUAL(report.items, 3416);
  BOOST_CHECK_EQUAL(report.rows_read, 999611);
  std::map<std::string, std::vector<std::string>> expected, found;
  std::istringstream lines(text_of("ml-1m-sasrec/ml-1m.txt.gz"));
  for (std::string user, item; lines >> user >> item;) expected[user].push_back(item);
  for (const data::Part part : {data::Part::train, data::Part::validation, data::Part::test}) {
    const data::Histories histories = data::read_histories(contents.file, part, 0, 6040);
    for (Index user = 0; user < 6040; ++user) {
      if (part != data::Part::train) BOOST_CHECK_EQUAL(histories.of(user).size(), 1U);
      for (const ItemId item : histories.of(user))
        found[contents.users[static_cast<std::size_t>(user)]].push_back(contents.items[item]);
    }
  }
  BOOST_CHECK(found == expected);
}

BOOST_AUTO_TEST_CASE(item_groups_of_dpr_are_lists, *needs("dpr")) {
  ImportOptions options = unsplit("delimited", real("dpr/ml1m-2.train.tsv.gz"));
  options.side.items.attributes = {real("dpr/ml1m-2.items.tsv.gz")};
  options.side.items.attributes_lists = "|";
  const SideContents contents = import_side(options);
  BOOST_CHECK(contents.has(SideKind::attribute, Side::items, "original_id"));
  BOOST_CHECK(contents.has(SideKind::bag, Side::items, "key_groups"));
  BOOST_CHECK_EQUAL(side("key_groups").width, 2);
}

BOOST_AUTO_TEST_SUITE_END()
