#include "import_fixture.hpp"
#include "real_data.hpp"
#include <boost/test/unit_test.hpp>

/// Counts of public data sets.
using namespace spar;
using namespace spar::test;
using data_tools::ImportOptions;
using data_tools::SplitKind;

namespace {

class RealData : public ImportFixture {
 public:
  ImportOptions real(const std::string& format, const std::string& path) const {
    ImportOptions result = options(format, data_folder() + "/" + path);
    result.rules.validation = SplitKind::none;
    result.threads = 2;
    return result;
  }
  void check(Index users, Index items, std::int64_t train, std::int64_t test) const {
    BOOST_CHECK_EQUAL(report.users, users);
    BOOST_CHECK_EQUAL(report.items, items);
    BOOST_CHECK_EQUAL(report.train, train);
    BOOST_CHECK_EQUAL(report.test, test);
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(import_real_data, RealData)

BOOST_AUTO_TEST_CASE(ml_100k, *needs("ml-100k")) {
  const Contents contents = import(options("movielens", data_folder() + "/ml-100k"));
  check(943, 1682, 98114, 943);
  BOOST_CHECK_EQUAL(report.validation, 943);
  BOOST_CHECK_EQUAL(contents.ratings.at({"196", "242"}), 3.0F);
  BOOST_CHECK_EQUAL(contents.times.at({"196", "242"}), 881250949);
  // Each user's test interaction is none of the earlier ones.
  std::map<std::string, std::int64_t> latest;
  for (const auto& [pair, time] : contents.times) latest[pair.first] = std::max(latest[pair.first], time);
  for (const auto& pair : contents.test()) BOOST_CHECK_EQUAL(contents.times.at(pair), latest.at(pair.first));

  ImportOptions given = real("movielens", "ml-100k/u1.base.gz");
  given.test = data_folder() + "/ml-100k/u1.test.gz";
  import(given);
  check(943, 1682, 80000, 20000);
  BOOST_CHECK_EQUAL(report.users_without_test, 943 - 459);
  BOOST_CHECK_EQUAL(report.items_only_in_test, 32);
}

BOOST_AUTO_TEST_CASE(ml_1m, *needs("ml-1m")) {
  const Contents contents = import(real("movielens", "ml-1m"));
  check(6040, 3706, 1000209 - 6040, 6040);
  std::map<float, int> counts;
  for (const auto& [pair, rating] : contents.ratings) ++counts[rating];
  BOOST_CHECK((counts == std::map<float, int>{{1, 56174}, {2, 107557}, {3, 261197}, {4, 348971}, {5, 226310}}));
}

BOOST_AUTO_TEST_CASE(ml_latest_small, *needs("ml-latest-small")) {
  import(real("movielens", "ml-latest-small"));
  check(671, 9066, 100004 - 671, 671);
}

BOOST_AUTO_TEST_CASE(ml_1m_ncf, *needs("ml-1m-ncf")) {
  const Contents contents = import(real("pairs", "ml-1m-ncf/ml-1m"));
  check(6040, 3706, 994169, 6040);
  BOOST_CHECK_EQUAL(report.dropped("negatives.in_test"), 156);
  BOOST_CHECK_EQUAL(report.negatives, 6040 * 99 - 156);
  BOOST_CHECK_EQUAL(report.items_only_in_test, 2);
  BOOST_CHECK_EQUAL(contents.part_of("0", "25"), 2);
  BOOST_CHECK_EQUAL(contents.candidates.at("0").front(), "1064");
}

BOOST_AUTO_TEST_CASE(apr_leave_one_out, *needs("apr-loo")) {
  import(real("pairs", "apr-loo/amazon"));
  check(3915, 2549, 77328 - 3915, 3915);
  import(real("pairs", "apr-loo/lastfm"));
  check(1892, 17632, 90942, 1892);
  BOOST_CHECK_EQUAL(report.users_without_train, 8);
  BOOST_CHECK_EQUAL(report.items_only_in_test, 1181);
  import(real("pairs", "apr-loo/movielens100k"));
  check(943, 1682, 99056, 943);
  BOOST_CHECK_EQUAL(report.items_only_in_test, 4);
}

BOOST_AUTO_TEST_CASE(pinterest, *needs("pinterest-lightgcn-form")) {
  import(real("lightgcn", "pinterest-lightgcn-form"));
  check(37501, 9836, 805742 - 15736, 219967 - 1076 - 8743);
  BOOST_CHECK_EQUAL(report.dropped("repeats.train"), 15736);
  BOOST_CHECK_EQUAL(report.dropped("repeats.test"), 1076);
  BOOST_CHECK_EQUAL(report.dropped("test_in_train"), 8743);
  BOOST_CHECK_EQUAL(report.items_only_in_test, 40);
}

BOOST_AUTO_TEST_CASE(amazon_book, *needs("amazon-book-kgat")) {
  import(real("lightgcn", "amazon-book-kgat"));
  check(70679, 24915, 652514, 193920);
  BOOST_CHECK_EQUAL(report.inputs[1].empty_lists, 88);
  BOOST_CHECK_EQUAL(report.users_without_test, 88);
}

BOOST_AUTO_TEST_CASE(amazon_cds, *needs("amazon-cds-lightgcn-form")) {
  import(real("lightgcn", "amazon-cds-lightgcn-form"));
  check(43169, 35648, 604475, 172951);
}

BOOST_AUTO_TEST_CASE(filmtrust, *needs("filmtrust")) {
  import(real("delimited", "filmtrust/ratings.txt.gz"));
  BOOST_CHECK_EQUAL(report.users, 1508);
  BOOST_CHECK_EQUAL(report.items, 2071);
  BOOST_CHECK_EQUAL(report.train + report.test, 35494);
  BOOST_CHECK_EQUAL(report.dropped("repeats.train"), 3);
}

BOOST_AUTO_TEST_CASE(book_crossing, *needs("book-crossing")) {
  import(real("delimited", "book-crossing/ratings.tsv.gz"));
  BOOST_CHECK_EQUAL(report.users, 105283);
  BOOST_CHECK_EQUAL(report.items, 340544);
  BOOST_CHECK_EQUAL(report.rows_read, 1149778);
}

BOOST_AUTO_TEST_CASE(cfgan, *needs("cfgan")) {
  import(real("pairs", "cfgan/ML100K"));
  check(943, 1653, 80000, 19963);
  import(real("pairs", "cfgan/Ciao"));
  check(662, 1347, 13464, 3357);
}

BOOST_AUTO_TEST_CASE(foursquare, *needs("foursquare-sg")) {
  ImportOptions options = real("delimited", "foursquare-sg/trainData.txt.gz");
  options.test = data_folder() + "/foursquare-sg/testData.txt.gz";
  const Contents contents = import(options);
  check(2321, 5596, 69159, 29099);
  BOOST_CHECK_EQUAL(report.users_without_train, 3);
  BOOST_CHECK_EQUAL(report.items_only_in_test, 22);
  BOOST_CHECK_EQUAL(contents.part_of("USER_894", "LOC_5032"), 0);
}

BOOST_AUTO_TEST_CASE(citations, *needs("aan")) {
  ImportOptions options = real("delimited", "aan/acl.txt.gz");
  import(options);
  const std::string content = report.content;
  BOOST_CHECK_EQUAL(report.train + report.test, 94973);
  options.separator = " , ";
  import(options);
  BOOST_CHECK_EQUAL(report.content, content);
}

BOOST_AUTO_TEST_CASE(last_fm, *needs("lastfm-hetrec")) {
  import(real("delimited", "lastfm-hetrec/user_artists.dat.gz"));
  BOOST_CHECK_EQUAL(report.users, 1892);
  BOOST_CHECK_EQUAL(report.items, 17632);
  BOOST_CHECK_EQUAL(report.train + report.test, 92834);
}

BOOST_AUTO_TEST_CASE(sequences_in_order, *needs("sequences")) {
  ImportOptions options = real("lightgcn", "sequences/Yelp.txt.gz");
  options.ordered = true;
  import(options);
  BOOST_CHECK_EQUAL(report.users, 30431);
  BOOST_CHECK_EQUAL(report.items, 20033);
  BOOST_CHECK_EQUAL(report.rows_read, 316354);
  BOOST_CHECK_EQUAL(report.dropped("repeats.train"), 11830);
}

BOOST_AUTO_TEST_SUITE_END()
