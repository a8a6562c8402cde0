#include <csignal>
#include <sys/resource.h>

#include "import_fixture.hpp"
#include <boost/test/unit_test.hpp>

using namespace spar;
using namespace spar::test;
using data_tools::ImportOptions;
using data_tools::SplitKind;

namespace {

/// Files cannot grow beyond `bytes` for as long as it lives: the nearest thing to a full disk.
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit before_{};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(import_errors, ImportFixture)

BOOST_AUTO_TEST_CASE(what_is_missing_is_named) {
  BOOST_CHECK_EQUAL(failure(options("delimited", file("no.csv"))), "no.csv does not exist");
  ImportOptions with_test = options("delimited", write("a.csv", "1,2\n"));
  with_test.test = file("no.csv");
  BOOST_CHECK_EQUAL(failure(with_test), "no.csv does not exist");
  std::filesystem::create_directory(file("empty"));
  BOOST_CHECK_EQUAL(failure(options("delimited", file("empty"))), "empty holds no files");
  write("other/u.user", "1|24|M|technician|85711\n");
  BOOST_CHECK_EQUAL(
      failure(options("movielens", file("other"))),
      "other holds none of u.data, ratings.dat, ratings.csv, ratings.tsv (or .gz), the ratings of MovieLens");
  BOOST_CHECK_EQUAL(failure(options("lightgcn", file("other"))), "other holds no train.txt (or train.txt.gz)");
  BOOST_CHECK_EQUAL(
      failure(options("pairs", file("other"))),
      "other holds no training part: NAME.train.rating, NAME.train.tsv or train.tsv (or .gz) was expected");
  BOOST_CHECK_EQUAL(failure(options("recbole", file("other"))), "other holds no .inter file");
}

BOOST_AUTO_TEST_CASE(an_unknown_format_lists_the_known_ones) {
  BOOST_CHECK_EQUAL(failure(options("movielense", file("x"))),
                    "\"movielense\" is no format; did you mean movielens? the formats are movielens, delimited, pairs, "
                    "lightgcn, recbole");
}

BOOST_AUTO_TEST_CASE(an_unreadable_line_is_named_with_file_line_and_column) {
  BOOST_CHECK_EQUAL(failure_of_text("1\t2\t3\n1\t3\tgood\n"),
                    "input.txt, line 2, column 3: the rating \"good\" is not a number");
  BOOST_CHECK_EQUAL(failure_of_text("1\t2\t3\n\n1\t3\n"),
                    "input.txt, line 3, column 3: the line ends here, but column 3 is to be read (tab, columns user 1, "
                    "item 2, rating 3)");
  BOOST_CHECK_EQUAL(failure_of_text("1,2\n,3\n"), "input.txt, line 2, column 1: the user is empty");
  BOOST_CHECK_EQUAL(failure_of_text("1,2\n4, \n"), "input.txt, line 2, column 2: the item is empty");
  BOOST_CHECK_EQUAL(
      failure_of_text("1,2,3,4\n1,2,3,noon\n"),
      "input.txt, line 2, column 4: the time \"noon\" is neither a number nor a date such as 2014-04-01 10:20:30");
  BOOST_CHECK_EQUAL(failure_of_text("1,2\n1,\"3\n"),
                    "input.txt, line 2, column 2: a quoted field does not end on its line");
  BOOST_CHECK_EQUAL(failure_of_text("1,2\n\"1\"x,3\n"),
                    "input.txt, line 2, column 1: text stands between a closing quote and the next separator");
  BOOST_CHECK_EQUAL(failure_of_text("1\t2\t3\n1\t3\tnan\n"),
                    "input.txt, line 2, column 3: the rating \"nan\" is not a number");
  BOOST_CHECK_EQUAL(failure_of_text("1\t2\n" + std::string(300, 'x') + "\t2\n"),
                    "input.txt, line 2, column 1: an id of 300 bytes; at most 255 are allowed");
  BOOST_CHECK_EQUAL(failure_of_text(std::string("1\t2\nx\0y\t2\n", 10)),
                    "input.txt, line 2, column 1: the id holds a NUL byte, so this seems not to be text");
}

BOOST_AUTO_TEST_CASE(the_first_bad_line_is_reported_for_any_number_of_threads) {
  std::string text;
  for (int k = 0; k < 200000; ++k) text += k == 123456 || k == 150000 ? "1\n" : std::to_string(k) + "\t1\n";
  ImportOptions options = unsplit("delimited", write("long.txt", text));
  for (options.threads = 1; options.threads <= 3; ++options.threads) {
    BOOST_CHECK_EQUAL(failure(options),
                      "long.txt, line 123457, column 2: the line ends here, but column 2 is to be read (tab, columns "
                      "user 1, item 2)");
  }
}

BOOST_AUTO_TEST_CASE(columns_that_are_not_there_are_answered_with_those_that_are) {
  const auto with_columns = [&](const std::string& text, const std::string& columns) {
    ImportOptions options = unsplit("delimited", write("input.txt", text));
    options.columns = columns;
    return failure(options);
  };
  const std::string named = "who,what,stars\na,b,3\n";
  BOOST_CHECK_EQUAL(with_columns(named, "user=who,item=thing"),
                    "input.txt, line 1: there is no column \"thing\"; the columns are who, what, stars");
  BOOST_CHECK_EQUAL(with_columns("user,item,rating,clock\na,b,3,4\n", "user,item,time"),
                    "input.txt, line 1: there is no column \"time\"; the columns are user, item, rating, clock");
  BOOST_CHECK_EQUAL(with_columns(named, "1,2,5"),
                    "input.txt has 3 columns (comma between them), but --columns asks for column 5");
  BOOST_CHECK_EQUAL(with_columns("a,b\nc,d\n", "user,item,time"),
                    "input.txt has 2 columns (comma between them), too few for --columns with a time in place 3");
  BOOST_CHECK_EQUAL(with_columns(named, "1,1"),
                    "input.txt: column 1 cannot be both user and item; say which columns are meant with --columns");
  BOOST_CHECK_EQUAL(with_columns(named, "user=1,user=2,item=3"), "--columns names the user column twice");
  BOOST_CHECK_EQUAL(with_columns(named, "rating,time"), "--columns rating,time names no user column");
  BOOST_CHECK_EQUAL(
      with_columns(named, "users=1,item=2"),
      "--columns gives \"users=1\", but only user, item, rating and time can be set, for instance user=1 or user=name");
  BOOST_CHECK_EQUAL(with_columns(named, ""),
                    "input.txt, line 1: no column is known as the user; the columns are who, what, stars: name them, "
                    "for instance --columns user=who,item=stars");
  BOOST_CHECK_EQUAL(failure_of_text("abc\ndef\n"),
                    "input.txt, line 1: one column where at least a user and an item were expected; say with "
                    "--separator what stands between them");
  BOOST_CHECK_EQUAL(
      failure(options("recbole", write("x.inter", "user,item\n"))),
      "x.inter, line 1: a RecBole header such as user_id:token, item_id:token was expected, not \"user,item\"");
}

BOOST_AUTO_TEST_CASE(a_text_without_data_is_refused) {
  BOOST_CHECK_EQUAL(failure_of_text(""), "input.txt holds no line of data");
  BOOST_CHECK_EQUAL(failure_of_text("# only\n\n"), "input.txt holds no line of data");
  BOOST_CHECK_EQUAL(failure_of_text("user,item\n"), "no interactions were read: the input holds none");
}

BOOST_AUTO_TEST_CASE(nothing_left_after_filters_says_which_filter_took_it) {
  ImportOptions options = unsplit("delimited", write("a.csv", "1,1,5\n1,2,2\n2,1,4\n2,1,4\n3,3,1\n"));
  options.rules.min_rating = 3;
  options.rules.k_core = 3;
  BOOST_CHECK_EQUAL(failure(options),
                    "no interactions are left of 5 read: 1 repeated pairs in the training part: the last rating is "
                    "kept; 2 rated below 3; 2 outside the "
                    "3-core (2 users, 1 items)");
}

BOOST_AUTO_TEST_CASE(ids_of_list_formats_must_be_whole_numbers_in_range) {
  write("l/train.txt", "0 1 2\n1 2\n");
  write("l/test.txt", "0 3\n1 -5\n");
  BOOST_CHECK_EQUAL(failure(options("lightgcn", file("l"))),
                    "l/test.txt, line 2, column 2: item \"-5\" is out of range: ids of this format are whole numbers "
                    "from 0 to 4294967294");
  write("l/test.txt", "0 3 4294967296\n");
  BOOST_CHECK_EQUAL(failure(options("lightgcn", file("l"))),
                    "l/test.txt, line 1, column 3: item \"4294967296\" is out of range: ids of this format are whole "
                    "numbers from 0 to 4294967294");
  write("l/train.txt", "user item\n");
  BOOST_CHECK_EQUAL(failure(options("lightgcn", file("l"))),
                    "l/train.txt, line 1, column 1: user \"user\" is out of range: ids of this format are whole "
                    "numbers from 0 to 4294967294");
  ImportOptions pairs = options("pairs", write("p.train.rating", "0\t1\t5\t7\n"));
  write("p.test.rating", "0\tx9\t5\t7\n");
  BOOST_CHECK_EQUAL(failure(pairs),
                    "p.test.rating, line 1, column 2: item \"x9\" is out of range: ids of this format are whole "
                    "numbers from 0 to 4294967294");
}

BOOST_AUTO_TEST_CASE(candidate_lists_must_belong_to_the_test_part) {
  ImportOptions options = this->options("pairs", write("p.train.rating", "0\t1\n0\t2\n1\t2\n"));
  write("p.test.rating", "0\t3\n1\t1\n");
  const auto with = [&](const std::string& lists) {
    write("p.test.negative", lists);
    return failure(options);
  };
  BOOST_CHECK_EQUAL(with("(0,3)\t2\n(1,9)\t2\n"),
                    "p.test.negative, line 2: the test part has no row (1,9), so this list belongs to nothing");
  BOOST_CHECK_EQUAL(with("(0,3)\t2\n(7,3)\t2\n"),
                    "p.test.negative, line 2: the test part has no row (7,3), so this list belongs to nothing");
  BOOST_CHECK_EQUAL(with("0 2\n5 2\n"),
                    "p.test.negative, line 2: the test part has no row of user 5, so this list belongs to nothing");
  BOOST_CHECK_EQUAL(with("(0;3)\t2\n"),
                    "p.test.negative, line 1, column 1: a line must begin with (user,item) or with a user, and go on "
                    "with the candidates");
  BOOST_CHECK_EQUAL(with("(0,3)\t2\tx\n"),
                    "p.test.negative, line 1, column 4: candidate \"x\" is out of range: ids of this format are whole "
                    "numbers from 0 to 4294967294");
  BOOST_CHECK_EQUAL(with("(0,3)\n"), "p.test.negative, line 1, column 2: the line has no candidates");
  write("p.test.negative", "(0,3)\t2\n");
  options.rules.split = SplitKind::ratio;
  BOOST_CHECK_EQUAL(failure(options),
                    "candidate lists belong to a given test part, so they need --split given and a test part");
}

BOOST_AUTO_TEST_CASE(broken_and_foreign_files_are_named) {
  std::string text;
  for (int k = 0; k < 20000; ++k) text += std::to_string(k * 7919) + "\t" + std::to_string(k) + "\n";
  write_gz("whole.gz", text);
  std::string packed = store::read_text(file("whole.gz"));
  BOOST_CHECK_EQUAL(failure(options("delimited", write("cut.gz", packed.substr(0, packed.size() / 2)))),
                    "cut.gz is broken: its gzip data ends too soon");
  packed[packed.size() / 2] = static_cast<char>(packed[packed.size() / 2] ^ 0x55);
  packed[packed.size() / 2 + 1] = static_cast<char>(packed[packed.size() / 2 + 1] ^ 0x55);
  BOOST_CHECK(failure(options("delimited", write("flipped.gz", packed)))
                  .starts_with("flipped.gz is broken: its gzip data cannot be unpacked"));
  BOOST_CHECK_EQUAL(failure(options("delimited", write("a.zip", "PK\x03\x04 more bytes"))),
                    "a.zip is a zip archive: unpack it first");
  BOOST_CHECK_EQUAL(failure(options("delimited", write("a.h5", "\x89HDF\r\n\x1a\n..."))),
                    "a.h5 is an HDF5 file, not text: a data set of spar needs no import");
  BOOST_CHECK_EQUAL(failure(options("delimited", write("a.txt", std::string("\xff\xfe"
                                                                            "1\0\t\0",
                                                                            6)))),
                    "a.txt is UTF-16 text: save it as UTF-8");
}

BOOST_AUTO_TEST_CASE(a_target_that_cannot_be_written_is_named_before_anything_is_read) {
  ImportOptions options = this->options("delimited", write("a.csv", "1,2\n"));
  options.to = file("no/where.h5");
  BOOST_CHECK_EQUAL(failure(options), "cannot write no/where.h5: the folder no does not exist");
  options.to = file("");
  BOOST_CHECK(failure(options).ends_with("is a folder, not a file to write to"));
  options.to = "/proc/sys/x.h5";
  BOOST_CHECK(failure(options).starts_with("cannot write /proc/sys/x.h5: "));
  options.to = "/dev/null";
  BOOST_CHECK_EQUAL(failure(options), "/dev/null is a device or a pipe: a data set needs a file of its own");
  options.to = file("a.csv");
  BOOST_CHECK_EQUAL(failure(options), "a.csv is what is to be read: choose another --to");
  options.to = write("notes.txt", "keep me");
  BOOST_CHECK_EQUAL(failure(options), "notes.txt exists and is no data set of spar: choose another --to, or delete it");
  options.to.clear();
  BOOST_CHECK_EQUAL(failure(options), "there is no file to write to: add --to FILE");
}

BOOST_AUTO_TEST_CASE(a_full_disk_leaves_nothing_behind) {
  std::string text;
  for (int k = 0; k < 60000; ++k) text += std::to_string(k % 1000) + "\t" + std::to_string(k % 777) + "\n";
  ImportOptions options = this->options("delimited", write("rows.tsv", text));
  const SmallDisk disk(100000);
  options.memory = 0;
  for (options.threads = 1; options.threads <= 2; ++options.threads) {
    const std::string sentence = failure(options, ExitCode::environment);
    BOOST_CHECK_MESSAGE(
        sentence.starts_with("temporary data in ") && sentence.ends_with(" cannot be written: File too large"),
        sentence);
  }
  options.memory = -1;
  const std::string sentence = failure(options, ExitCode::environment);
  BOOST_CHECK_MESSAGE(sentence.find("target.h5") != std::string::npos, sentence);
}

BOOST_AUTO_TEST_CASE(options_that_do_not_fit_each_other_are_refused) {
  const std::string plain = write("a.csv", "1,2\n1,3\n");
  const auto with = [&](const auto& change) {
    ImportOptions options = this->options("delimited", plain);
    change(options);
    return failure(options);
  };
  BOOST_CHECK_EQUAL(with([](ImportOptions& o) { o.rules.split = SplitKind::given; }),
                    "--split given needs a test part: name it with --test");
  BOOST_CHECK_EQUAL(with([](ImportOptions& o) { o.rules.split = SplitKind::temporal; }),
                    "a temporal split needs a time for every interaction, which the input lacks");
  BOOST_CHECK_EQUAL(with([](ImportOptions& o) { o.rules.min_rating = 3; }),
                    "--min-rating needs a rating for every interaction, which the input lacks");
  BOOST_CHECK_EQUAL(with([](ImportOptions& o) { o.rules.test_ratio = 1.0; }),
                    "--test-ratio must lie between 0 and 1, not 1");
  BOOST_CHECK_EQUAL(with([](ImportOptions& o) { o.rules.k_core = -1; }), "--k-core must not be negative, but is -1");
  BOOST_CHECK_EQUAL(with([](ImportOptions& o) { o.rules.test_from = 7; }), "--test-from needs --split temporal");
  BOOST_CHECK_EQUAL(with([&](ImportOptions& o) { o.negatives = plain; }), "--negatives belongs to the format pairs");
  BOOST_CHECK_EQUAL(with([](ImportOptions& o) { o.separator = "\n"; }),
                    "--separator must be a text without line ends and quotes, for instance , or :: or tab");
  BOOST_CHECK_EQUAL(
      sentence_of(ExitCode::usage, [] { data_tools::parse_split_kind("--split", "loo"); }),
      "--split loo is unknown; it can be leave-one-out, random-leave-one-out, ratio, temporal, random, given or none");
}

BOOST_AUTO_TEST_SUITE_END()
