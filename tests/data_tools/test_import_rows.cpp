#include "import_fixture.hpp"
#include <boost/test/unit_test.hpp>

using namespace spar;
using namespace spar::test;
using data_tools::ImportOptions;

BOOST_FIXTURE_TEST_SUITE(import_rows, ImportFixture)

BOOST_AUTO_TEST_CASE(every_separator_is_detected) {
  for (const std::string separator : {"\t", "::", ",", ";", " ", "   ", " , ", ", "}) {
    std::string text;
    for (const char* row : {"1|10|5|100", "1|20|4|200", "2|10|3|300"}) {
      for (const char* c = row; *c != 0; ++c) text += *c == '|' ? separator : std::string(1, *c);
      text += '\n';
    }
    const Contents contents = import_text(text);
    BOOST_TEST_CONTEXT("separator \"" << separator << "\"") {
      BOOST_CHECK((contents.train() == Pairs{{"1", "10"}, {"1", "20"}, {"2", "10"}}));
      BOOST_CHECK_EQUAL(contents.ratings.at({"1", "20"}), 4.0F);
      BOOST_CHECK_EQUAL(contents.times.at({"2", "10"}), 300);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_separator_may_have_any_length) {
  for (const std::string separator : {"|", " , ", "<=>", "--::--"}) {
    ImportOptions options = unsplit("delimited", write("a.txt", "u" + separator + "x\nu" + separator + "y\n"));
    options.separator = separator;
    BOOST_CHECK((import(options).train() == Pairs{{"u", "x"}, {"u", "y"}}));
  }
  ImportOptions options = unsplit("delimited", write("a.txt", "u\tx\nu\ty\n"));
  for (const std::string word : {"tab", "\\t", "blanks"}) {
    options.separator = word;
    BOOST_CHECK_EQUAL(import(options).train().size(), 2U);
  }
}

BOOST_AUTO_TEST_CASE(line_ends_and_blanks_do_not_matter) {
  const Pairs expected{{"1", "a"}, {"2", "b"}, {"3", "c"}};
  BOOST_CHECK((import_text("1\ta\r\n2\tb\r\n3\tc\r\n").train() == expected));
  BOOST_CHECK((import_text("1\ta\r\n2\tb\r\n3\tc").train() == expected));
  BOOST_CHECK((import_text("1\ta\n2\tb\n3\tc").train() == expected));
  BOOST_CHECK((import_text(" 1 \t a\n2\tb  \n\n  \t\n3 \tc \r\n").train() == expected));
  BOOST_CHECK_EQUAL(report.inputs[0].empty_lines, 2);
  BOOST_CHECK((import_text("  1   a\n2 b  \n\t3\tc\r\n").train() == expected));
  BOOST_CHECK((import_text("\xef\xbb\xbf"
                           "1,a\n2,b\n3,c\n")
                   .train() == expected));
}

BOOST_AUTO_TEST_CASE(ids_that_differ_by_blanks_around_them_are_one) {
  const Contents contents = import_text("u\t 0330299891\t3\nv\t0330299891\t5\nu\t0330299891 \t4\n");
  BOOST_CHECK((contents.train() == Pairs{{"u", "0330299891"}, {"v", "0330299891"}}));
  BOOST_CHECK_EQUAL(contents.ratings.at({"u", "0330299891"}), 4.0F);
  BOOST_CHECK_EQUAL(report.dropped("repeats.train"), 1);
}

BOOST_AUTO_TEST_CASE(ids_are_texts_even_where_they_look_like_numbers) {
  const Contents contents = import_text(
      "7\t1\n07\t1\n+7\t1\n7.0\t1\n-"
      "7\t1\n123456789012345678\t1\n1234567890123456789\t1\n12345678901234567890123\t1\n0\t1\n00\t1\n");
  BOOST_CHECK_EQUAL(contents.users.size(), 10U);
  for (const std::string id : {"7", "07", "+7", "7.0", "-7", "123456789012345678", "1234567890123456789",
                               "12345678901234567890123", "0", "00"}) {
    BOOST_CHECK_EQUAL(contents.part_of(id, "1"), 0);
  }
}

BOOST_AUTO_TEST_CASE(whole_numbers_of_every_length_are_read_exactly) {
  std::string text;
  Pairs expected;
  std::string user = "1", item = "9";
  for (int length = 1; length <= 20; ++length) {
    text += user + "," + item + "\n";
    expected.insert({user, item});
    user += static_cast<char>('0' + length % 10);
    item += static_cast<char>('0' + (length * 7) % 10);
  }
  BOOST_CHECK((import_text(text).train() == expected));
}

BOOST_AUTO_TEST_CASE(bytes_that_are_not_utf8_are_kept_apart_and_stored_as_latin1) {
  const Contents contents = import_text("caf\xe9\t1\ncaf\xe8\t1\ncaf\xc3\xa9s\t1\n");
  BOOST_CHECK((contents.train() == Pairs{{"caf\xc3\xa9", "1"}, {"caf\xc3\xa8", "1"}, {"caf\xc3\xa9s", "1"}}));
}

BOOST_AUTO_TEST_CASE(quoted_fields_may_hold_separators_and_quotes) {
  const Contents contents =
      import_text("userId,title,itemId\n1,\"Toys, \"\"R\"\" us\",\"a,b\"\n\"2\",x,\"say \"\"hi\"\"\"\n3,,\" c \"\n");
  BOOST_CHECK((contents.train() == Pairs{{"1", "a,b"}, {"2", "say \"hi\""}, {"3", "c"}}));
}

BOOST_AUTO_TEST_CASE(quotes_are_ordinary_between_tabs) {
  BOOST_CHECK((import_text("1\t\"a\n2\tb\"\n").train() == Pairs{{"1", "\"a"}, {"2", "b\""}}));
}

BOOST_AUTO_TEST_CASE(headers_are_found_by_their_names) {
  const Pairs expected{{"1", "31"}, {"2", "51"}};
  for (const std::string text : {"userId,movieId,rating,timestamp\n1,31,2.5,100\n2,51,3.0,200\n",
                                 "#user,movie,rating,chronological_position\n1,31,2.5,100\n2,51,3.0,200\n",
                                 "rating,time,item,user\n2.5,100,31,1\n3.0,200,51,2\n",
                                 "# made by a tool\n#\n\nUser ID,Item-ID,Score,ts\n1,31,2.5,100\n2,51,3.0,200\n"}) {
    const Contents contents = import_text(text);
    BOOST_TEST_CONTEXT(text) {
      BOOST_CHECK((contents.train() == expected));
      BOOST_CHECK_EQUAL(contents.ratings.at({"1", "31"}), 2.5F);
      BOOST_CHECK_EQUAL(contents.times.at({"2", "51"}), 200);
    }
  }
  BOOST_CHECK((import_text("userID\tartistID\tweight\t\r\n1\t31\t13883\t\r\n2\t51\t1\t\r\n").train() == expected));
}

BOOST_AUTO_TEST_CASE(a_first_row_of_texts_is_no_header) {
  BOOST_CHECK_EQUAL(import_text("C08-3004 , A00-1002\nD09-1141 , A00-1002\n").train().size(), 2U);
  BOOST_CHECK_EQUAL(import_text("034545104X,B1\n0155061224,B2\n").train().size(), 2U);
  BOOST_CHECK_EQUAL(import_text("anna,bread\nbert,milk\n").train().size(), 2U);
  ImportOptions options = unsplit("delimited", write("a.csv", "citing,cited\nP1,P2\n"));
  options.header = true;
  options.columns = "1,2";
  BOOST_CHECK((import(options).train() == Pairs{{"P1", "P2"}}));
}

BOOST_AUTO_TEST_CASE(only_lines_at_the_head_are_comments) {
  BOOST_CHECK((import_text("# a comment\n1\t2\n#3\t4\n").train() == Pairs{{"1", "2"}, {"#3", "4"}}));
}

BOOST_AUTO_TEST_CASE(columns_are_chosen_by_name_by_place_or_by_role) {
  const std::string named = write("named.csv", "when,who,what,stars\n5,u,i,4\n6,u,j,2\n");
  const std::string plain = write("plain.csv", "5,u,i,4\n6,u,j,2\n");
  const auto read = [&](const std::string& path, const std::string& columns) {
    ImportOptions options = unsplit("delimited", path);
    options.columns = columns;
    return import(options);
  };
  for (const std::string columns :
       {"who,what,stars,when", "user=who,item=what,rating=stars,time=when", "user=2,item=3,rating=4,time=1", "2,3,4,1",
        "time,user,item,rating", "user=Who,item=3,time=when,rating=4"}) {
    const Contents contents = read(named, columns);
    BOOST_TEST_CONTEXT(columns) {
      BOOST_CHECK((contents.train() == Pairs{{"u", "i"}, {"u", "j"}}));
      BOOST_CHECK_EQUAL(contents.ratings.at({"u", "j"}), 2.0F);
      BOOST_CHECK_EQUAL(contents.times.at({"u", "i"}), 5);
    }
  }
  for (const std::string columns : {"2,3,4,1", "time,user,item,rating"})
    BOOST_CHECK_EQUAL(read(plain, columns).times.at({"u", "j"}), 6);
  BOOST_CHECK(!read(plain, "-,user,item").header.has_ratings);
}

BOOST_AUTO_TEST_CASE(roles_in_place_of_names_fit_the_output_of_a_query) {
  ImportOptions options =
      unsplit("delimited", write("q.csv", "user,item,ts\na,x,2014-04-01 10:20:30\nb,y,2014-04-01 10:20:31.75\n"));
  options.columns = "user,item,time";
  const Contents contents = import(options);
  BOOST_CHECK_EQUAL(contents.times.at({"a", "x"}), 1396347630);
  BOOST_CHECK_EQUAL(contents.times.at({"b", "y"}), 1396347631);
}

BOOST_AUTO_TEST_CASE(numbers_and_times_come_in_many_forms) {
  const Contents contents = import_text(
      "a\t1\t3.5\t881250949\nb\t1\t5.0\t881250949.75\nc\t1\t.5\t-3\nd\t1\t-2\t8.8e8\ne\t1\t1e1\t1970-01-"
      "02\nf\t1\t12345678.5\t1970-01-01T00:01:00Z\n"
      "g\t1\t123456789\t1970-01-01T01:00:00+01:00\n");
  const auto rating = [&](const char* user) { return contents.ratings.at({user, "1"}); };
  const auto time = [&](const char* user) { return contents.times.at({user, "1"}); };
  BOOST_CHECK_EQUAL(rating("a"), 3.5F);
  BOOST_CHECK_EQUAL(rating("b"), 5.0F);
  BOOST_CHECK_EQUAL(rating("c"), 0.5F);
  BOOST_CHECK_EQUAL(rating("d"), -2.0F);
  BOOST_CHECK_EQUAL(rating("e"), 10.0F);
  BOOST_CHECK_EQUAL(rating("f"), 12345678.5F);
  BOOST_CHECK_EQUAL(rating("g"), 123456789.0F);
  BOOST_CHECK_EQUAL(time("a"), 881250949);
  BOOST_CHECK_EQUAL(time("b"), 881250949);
  BOOST_CHECK_EQUAL(time("c"), -3);
  BOOST_CHECK_EQUAL(time("d"), 880000000);
  BOOST_CHECK_EQUAL(time("e"), 86400);
  BOOST_CHECK_EQUAL(time("f"), 60);
  BOOST_CHECK_EQUAL(time("g"), 0);
}

BOOST_AUTO_TEST_CASE(a_file_longer_than_a_chunk_is_read_whole) {
  std::string text;
  for (int k = 0; k < 60000; ++k) text += "user" + std::to_string(k % 977) + "\t" + std::to_string(k) + "\r\n";
  BOOST_TEST(text.size() > 700000U);
  const Contents contents = import_text(text);
  BOOST_CHECK_EQUAL(contents.train().size(), 60000U);
  BOOST_CHECK_EQUAL(contents.part_of("user" + std::to_string(59999 % 977), "59999"), 0);
}

BOOST_AUTO_TEST_SUITE_END()
