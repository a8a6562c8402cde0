#include "import_fixture.hpp"
#include <boost/test/unit_test.hpp>

using namespace spar;
using namespace spar::test;
using data_tools::ImportOptions;
using data_tools::SplitKind;

BOOST_FIXTURE_TEST_SUITE(import_formats, ImportFixture)

BOOST_AUTO_TEST_CASE(movielens_is_known_in_all_its_editions) {
  const Pairs expected{{"196", "242"}, {"186", "302"}};
  const std::string rows[] = {"196\t242\t3\t881250949\n186\t302\t4\t891717742\n",
                              "196::242::3::881250949\n186::302::4::891717742\n",
                              "userId,movieId,rating,timestamp\n196,242,3.0,881250949\n186,302,4.0,891717742\n",
                              "#user\tmovie\trating\tchronological_position\n196\t242\t3\t1\n186\t302\t4\t2\n"};
  const std::string names[] = {"u.data", "ratings.dat", "ratings.csv", "ratings.tsv"};
  for (int k = 0; k < 4; ++k) {
    const std::string folder = "edition" + std::to_string(k);
    const std::string path = write(folder + "/" + names[k], rows[k]);
    write_gz(folder + ".gz/" + names[k] + ".gz", rows[k]);
    for (const std::string& from : {file(folder), path, file(folder + ".gz")}) {
      const Contents contents = import(unsplit("movielens", from));
      BOOST_CHECK((contents.train() == expected));
      BOOST_CHECK_EQUAL(contents.ratings.at({"186", "302"}), 4.0F);
      BOOST_CHECK(contents.header.has_times);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_folder_of_parts_is_one_table) {
  write("parts/part-00000.csv", "user,item\n1,a\n2,b\n");
  write_gz("parts/part-00001.csv.gz", "user,item\n3,c\n1,a\n");
  write("parts/_SUCCESS", "");
  write("parts/.part-00000.csv.crc", "x");
  BOOST_CHECK((import(unsplit("delimited", file("parts"))).train() == Pairs{{"1", "a"}, {"2", "b"}, {"3", "c"}}));
  BOOST_CHECK_EQUAL(report.dropped("repeats.train"), 1);
  ImportOptions several = unsplit("delimited", file("parts/part-00000.csv"));
  several.paths.push_back(write("more.tsv", "9\tz\n"));
  BOOST_CHECK_EQUAL(import(several).train().size(), 3U);
}

BOOST_AUTO_TEST_CASE(a_compressed_file_of_several_members_is_read_to_its_end) {
  write_gz("a.gz", "1\ta\n2\t");
  write_gz("b.gz", "b\n3\tc\n");
  const std::string both = store::read_text(file("a.gz")) + store::read_text(file("b.gz"));
  BOOST_CHECK(
      (import(unsplit("delimited", write("both.gz", both))).train() == Pairs{{"1", "a"}, {"2", "b"}, {"3", "c"}}));
}

BOOST_AUTO_TEST_CASE(pairs_come_with_a_fixed_test_part_and_candidates) {
  write("ncf/toy.train.rating", "0\t31\t4\t10\n0\t22\t5\t20\n1\t22\t3\t30\n");
  write("ncf/toy.test.rating", "0\t25\t5\t978824351\n1\t31\t3\t978300760\n");
  write("ncf/toy.test.negative", "(0,25)\t1064\t174\t25\t22\n(1,31)\t7\t7\t25\n");
  for (const std::string path : {"ncf", "ncf/toy", "ncf/toy.train.rating"}) {
    ImportOptions options = this->options("pairs", file(path));
    options.rules.validation = SplitKind::none;
    const Contents contents = import(options);
    BOOST_CHECK((contents.train() == Pairs{{"0", "31"}, {"0", "22"}, {"1", "22"}}));
    BOOST_CHECK((contents.test() == Pairs{{"0", "25"}, {"1", "31"}}));
    BOOST_CHECK((contents.candidates.at("0") == std::vector<std::string>{"1064", "174", "22"}));
    BOOST_CHECK((contents.candidates.at("1") == std::vector<std::string>{"7", "25"}));
    BOOST_CHECK_EQUAL(contents.items.size(), 6U);
    BOOST_CHECK_EQUAL(report.dropped("negatives.in_test"), 1);
    BOOST_CHECK_EQUAL(report.dropped("negatives.repeats"), 1);
    BOOST_CHECK_EQUAL(report.items_only_in_test, 1);
  }
}

BOOST_AUTO_TEST_CASE(pairs_are_found_under_the_names_that_are_in_use) {
  write_gz("a/train.tsv.gz", "0\t1\n0\t2\n");
  write_gz("a/x.test.rating.gz", "0\t3\n");
  write("b/x.trainingset.tsv", "0\t1\t1\t1\n0\t2\t1\t1\n");
  write("b/x.testset.tsv", "0\t3\t1\t1\n");
  write("b/y.trainingset.tsv", "0\t1\t1\t1\n");
  write("c/x.train", "0 1 5.0\r\n0 2 4.0\r\n");
  write("c/x.test", "0 3 3.0\r\n");
  write("d/x_train.dat", "0\t1\t5.0\n0\t2\t3.0\n");
  write("d/x_test.dat", "0\t3\t3.0\n");
  write("e/u1.base", "0\t1\t5\t7\n0\t2\t3\t8\n");
  write("e/u1.test", "0\t3\t3\t9\n");
  for (const std::string path : {"a", "a/x", "b/x", "c", "c/x", "d/x", "e/u1"}) {
    ImportOptions options = this->options("pairs", file(path));
    options.rules.validation = SplitKind::none;
    const Contents contents = import(options);
    BOOST_TEST_CONTEXT(path) {
      BOOST_CHECK((contents.train() == Pairs{{"0", "1"}, {"0", "2"}}));
      BOOST_CHECK((contents.test() == Pairs{{"0", "3"}}));
    }
  }
  BOOST_CHECK_EQUAL(failure(options("pairs", file("b"))), "b holds several sets of pairs, say which: b/x, b/y");
}

BOOST_AUTO_TEST_CASE(candidate_lists_may_begin_with_the_user_alone) {
  ImportOptions options = this->options("pairs", write("train.txt", "1 5\n1 6\n2 5\n"));
  options.test = write("test.txt", "1 7\n2 6\n");
  options.negatives = write("sample.txt", "1 8 9\n2 9 10\n");
  const Contents contents = import(options);
  BOOST_CHECK((contents.candidates.at("1") == std::vector<std::string>{"8", "9"}));
  BOOST_CHECK_EQUAL(report.negatives, 4);
}

BOOST_AUTO_TEST_CASE(lightgcn_lists_keep_repeats_and_overlaps_out) {
  write("lists/train.txt", "0 2 4 2 0\r\n1 3 \r\n2\r\n3 9\r\n");
  write_gz("lists/test.txt.gz", "0 5 4 5\n1\n3 7 8\n");
  ImportOptions options = this->options("lightgcn", file("lists"));
  options.rules.validation = SplitKind::none;
  const Contents contents = import(options);
  BOOST_CHECK((contents.train() == Pairs{{"0", "2"}, {"0", "4"}, {"0", "0"}, {"1", "3"}, {"3", "9"}}));
  BOOST_CHECK((contents.test() == Pairs{{"0", "5"}, {"3", "7"}, {"3", "8"}}));
  BOOST_CHECK_EQUAL(report.dropped("repeats.train"), 1);
  BOOST_CHECK_EQUAL(report.dropped("repeats.test"), 1);
  BOOST_CHECK_EQUAL(report.dropped("test_in_train"), 1);
  BOOST_CHECK_EQUAL(report.inputs[0].empty_lists, 1);
  BOOST_CHECK_EQUAL(report.inputs[1].empty_lists, 1);
  BOOST_CHECK_EQUAL(report.items_only_in_test, 3);
  BOOST_CHECK_EQUAL(report.users_without_test, 1);
  BOOST_CHECK_EQUAL(report.users, 3);
}

BOOST_AUTO_TEST_CASE(recbole_files_are_read_by_their_typed_header) {
  const std::string header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n";
  write("r/toy.inter", header + "a\tx\t4.0\t100.5\na\ty\t3.0\t200\nb\tx\t5.0\t300\n");
  const Contents whole = import(unsplit("recbole", file("r")));
  BOOST_CHECK_EQUAL(whole.train().size(), 3U);
  BOOST_CHECK_EQUAL(whole.times.at({"a", "x"}), 100);
  write("s/toy.train.inter", header + "a\tx\t4.0\t100\n");
  write("s/toy.valid.inter", header + "a\ty\t4.0\t100\n");
  write("s/toy.test.inter", header + "a\tz\t4.0\t100\n");
  const Contents parts = import(options("recbole", file("s")));
  BOOST_CHECK((parts.train() == Pairs{{"a", "x"}}));
  BOOST_CHECK((parts.validation() == Pairs{{"a", "y"}}));
  BOOST_CHECK((parts.test() == Pairs{{"a", "z"}}));
}

BOOST_AUTO_TEST_CASE(a_column_is_kept_only_where_every_interaction_has_it) {
  write("n/x.train.rating", "0\t1\t4\n0\t2\t5\n");
  write("n/x.test.rating", "0\t3\t5\t978824351\n");
  const Contents contents = import(options("pairs", file("n")));
  BOOST_CHECK(contents.header.has_ratings);
  BOOST_CHECK(!contents.header.has_times);
  BOOST_REQUIRE_EQUAL(report.notes.size(), 1U);
  BOOST_CHECK_EQUAL(without(report.notes[0], file("")),
                    "times are not kept: n/x.test.rating has them, but not every input");
}

BOOST_AUTO_TEST_CASE(the_order_of_the_input_can_stand_for_time) {
  ImportOptions options = this->options("lightgcn", write("seq.txt", "1 10 11 12 13\n2 13 10\n"));
  options.ordered = true;
  const Contents contents = import(options);
  BOOST_CHECK((contents.test() == Pairs{{"1", "13"}, {"2", "10"}}));
  BOOST_CHECK((contents.validation() == Pairs{{"1", "12"}}));
  BOOST_CHECK_EQUAL(contents.times.at({"2", "13"}), 4);
}

BOOST_AUTO_TEST_CASE(the_report_says_what_was_kept_and_dropped) {
  write("lists/train.txt", "0 2 4 2\n1 3\n");
  write("lists/test.txt", "0 5 4\n");
  import(options("lightgcn", file("lists")));
  const std::string text = without(report.text(), file(""));
  BOOST_CHECK_NE(text.find("read     4 train from lists/train.txt (lists of items by user)\n"), std::string::npos);
  BOOST_CHECK_NE(text.find("dropped  1 repeated pairs in the training part: the first occurrence is kept\n"),
                 std::string::npos);
  BOOST_CHECK_NE(text.find("dropped  1 test pairs that are also in the training part\n"), std::string::npos);
  BOOST_CHECK_NE(text.find("kept     2 users, 4 items: 2 train / 1 validation / 1 test\n"), std::string::npos);
  const std::string json = report.json();
  const std::string content = "\"content\":\"" + read_contents(target()).header.content + "\"";
  for (const std::string part : {"\"repeats.train\":1", "\"test_in_train\":1", "\"users\":2", "\"items\":4",
                                 "\"train\":2", "\"validation\":1", "\"test\":1", "\"rows_read\":6", content.c_str()}) {
    BOOST_CHECK_MESSAGE(json.find(part) != std::string::npos, part + " is missing in " + json);
  }
}

BOOST_AUTO_TEST_SUITE_END()
