#include <boost/test/unit_test.hpp>

#include "data_tools/side_fixture.hpp"

using namespace spar;
using namespace spar::test;
using data_tools::ImportOptions;
using data_tools::SideOptions;

namespace {

class SideErrors : public SideImportFixture {
 public:
  /// What import says of side data; the interactions are the sample's unless others are given.
  std::string refusal(const std::function<void(SideOptions&)>& change, const std::string& interactions = {}) const {
    ImportOptions options = sample_options();
    if (!interactions.empty()) options.paths = {write("i.txt", interactions)};
    change(options.side);
    return failure(options);
  }
  std::string of_features(const std::string& text) const {
    return refusal([&](SideOptions& side) { side.items.features = {"x=" + write("v.csv", text)}; });
  }
  std::string of_matrix(const std::string& bytes, const std::string& ids = "a\nb\n") const {
    return refusal([&](SideOptions& side) {
      side.items.features = {"x=" + write("v.npy", bytes)};
      side.items.features_ids = {write("ids.txt", ids)};
    });
  }
  std::string of_bare_matrix(Index rows, const std::string& interactions) const {
    const std::string path =
        write("v.npy", npy(false, std::vector<std::vector<double>>(static_cast<std::size_t>(rows), {1})));
    return refusal([&](SideOptions& side) { side.items.features = {"x=" + path}; }, interactions);
  }
  std::string of_attributes(const std::string& text, const std::string& columns = {}) const {
    return refusal([&](SideOptions& side) {
      side.users.attributes = {write("u.csv", text)};
      if (!columns.empty()) side.users.attributes_columns = {columns};
    });
  }
  std::string of_bag(const std::string& text, const std::string& interactions = {}) const {
    return refusal([&](SideOptions& side) { side.items.bags = {"text=" + write("w.txt", text)}; }, interactions);
  }
  std::string of_edges(const std::string& text) const {
    return refusal([&](SideOptions& side) { side.user_edges = {"trust=" + write("e.txt", text)}; });
  }
  std::string of_tags(const std::string& text, const std::string& columns = {}) const {
    return refusal([&](SideOptions& side) {
      side.tags = {write("t.txt", text)};
      side.tags_columns = columns;
    });
  }
  static std::string with_header(const std::string& from, const std::string& to) {
    std::string bytes = npy(false, {{1, 2}, {3, 4}});
    bytes.replace(bytes.find(from), from.size(), to);
    return bytes;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(side_errors, SideErrors)

BOOST_AUTO_TEST_CASE(what_is_missing_is_named_before_anything_is_read) {
  BOOST_CHECK_EQUAL(refusal([&](SideOptions& side) { side.items.features = {file("no.npy")}; }),
                    "no.npy does not exist (--item-features)");
  BOOST_CHECK_EQUAL(refusal([&](SideOptions& side) { side.users.bags = {"text=" + file("no.txt")}; }),
                    "no.txt does not exist (--user-bags)");
  BOOST_CHECK_EQUAL(refusal([&](SideOptions& side) { side.tags = {""}; }),
                    "--tags lacks a file: write FILE or NAME=FILE");
  BOOST_CHECK_EQUAL(refusal([&](SideOptions& side) { side.user_edges = {"/dev/null"}; }),
                    "/dev/null is no regular file: side data cannot come from a folder or a pipe (--user-edges)");
  BOOST_CHECK_EQUAL(refusal([](SideOptions& side) { side.undirected = true; }), "--undirected needs --user-edges");
  BOOST_CHECK_EQUAL(refusal([](SideOptions& side) { side.items.features_ids = {"x"}; }),
                    "--item-features-ids needs --item-features");
  BOOST_CHECK_EQUAL(refusal([](SideOptions& side) { side.tags_columns = "user"; }), "--tags-columns needs --tags");
}

BOOST_AUTO_TEST_CASE(a_matrix_of_another_kind_is_refused_with_what_would_be_right) {
  BOOST_CHECK_EQUAL(of_matrix(with_header("<f4", "<i8")),
                    "v.npy holds elements of type \"<i8\" where float32 (<f4) or float64 (<f8) belong: save "
                    "x.astype('float32')");
  BOOST_CHECK_EQUAL(of_matrix(with_header("False", "True,")),
                    "v.npy is stored column by column (Fortran order) where rows belong: save "
                    "numpy.ascontiguousarray(x)");
  BOOST_CHECK_EQUAL(of_matrix(with_header("(2, 2), }", "(2,1,2)}")),
                    "v.npy has the shape (2,1,2) where rows x columns belong, a row of numbers for each id");
  BOOST_CHECK_EQUAL(of_matrix(with_header("(2, 2)", "(2, 0)")),
                    "v.npy has the shape (2, 0) where rows x columns belong, a row of numbers for each id");
  BOOST_CHECK_EQUAL(of_matrix(with_header("(2, 2), }", "(2,2222222)}")),
                    "v.npy has rows of 2222222 numbers; at most 1048576 are allowed");
  BOOST_CHECK_EQUAL(of_matrix("\x93NUMPY\x01"), "v.npy has a .npy header that cannot be read");
  const std::string sound = npy(false, {{1, 2}, {3, 4}});
  BOOST_CHECK_EQUAL(of_matrix(sound.substr(0, sound.size() - 1)),
                    "v.npy is truncated: it ends within row 1 of 2 (counted from 0)");
  BOOST_CHECK_EQUAL(of_matrix(sound + "x"), "v.npy goes on behind the 2 rows that its header announces");
  BOOST_CHECK_EQUAL(of_matrix(npy(true, {{1, 2}, {3, 1e300}})),
                    "v.npy, row 1, column 1 (counted from 0): the feature inf is not a finite number as float32");
}

BOOST_AUTO_TEST_CASE(no_spoiled_matrix_is_more_than_a_sentence) {
  ImportOptions options = sample_options();
  options.side.items.features_ids = {write("ids.txt", "a\nb\n")};
  const std::string sound = npy(false, {{1, 2}, {3, 4}});
  int refused = 0;
  for (std::size_t at = 0; at < sound.size(); ++at) {
    for (const char change : {'\x01', '\x10', '\x80'}) {
      std::string spoiled = sound;
      spoiled[at] = static_cast<char>(spoiled[at] ^ change);
      options.side.items.features = {"x=" + write("v.npy", spoiled)};
      try {
        import_side(options);
      } catch (const UserError& error) {
        ++refused;
      }
    }
  }
  BOOST_TEST(refused > 50);
}

BOOST_AUTO_TEST_CASE(rows_of_a_matrix_must_have_ids_and_each_its_own) {
  const std::string matrix = npy(false, {{1, 2}, {3, 4}});
  BOOST_CHECK_EQUAL(of_matrix(matrix, "a\n"), "ids.txt names 1 rows, but v.npy has 2");
  BOOST_CHECK_EQUAL(of_matrix(matrix, "a\nb\nc\n"), "ids.txt names more rows than the 2 that v.npy has");
  BOOST_CHECK_EQUAL(of_matrix(matrix, "a\na\n"), "ids.txt, line 2: this id has features in an earlier row");
  BOOST_CHECK_EQUAL(of_matrix(matrix, "x\ny\n"),
                    "v.npy holds nothing of the data set: its first item is \"x\", one of the data set is \"a\"");
  BOOST_CHECK_EQUAL(of_bare_matrix(4, "1 a\n1 b\n"),
                    "v.npy has no ids, and the items of the interactions are not whole numbers, so which row is whose "
                    "is not known: name the id of each row with --item-features-ids");
  BOOST_CHECK_EQUAL(of_bare_matrix(2, "1 0\n1 2\n"),
                    "v.npy has 2 rows, too few for the items 0 to 2 of the interactions: name the id of each row with "
                    "--item-features-ids");
  BOOST_CHECK_EQUAL(of_bare_matrix(4, "1 1\n1 3\n"),
                    "v.npy has 4 rows and the items of the interactions are 1 to 3, so it is not clear whether they "
                    "count from 0 or from 1: name the id of each row with --item-features-ids");
}

BOOST_AUTO_TEST_CASE(a_bad_line_of_features_is_named_with_file_line_and_column) {
  BOOST_CHECK_EQUAL(of_features("a,1,2\nb,1\n"),
                    "v.csv, line 2: 2 columns (comma between them) where 3 belong: an id and 2 numbers");
  BOOST_CHECK_EQUAL(of_features("id,x\na,1\n\nb,good\n"),
                    "v.csv, line 4, column 2: the feature \"good\" is not a finite number");
  BOOST_CHECK_EQUAL(of_features("a,1\nb,nan\n"), "v.csv, line 2, column 2: the feature \"nan\" is not a finite number");
  BOOST_CHECK_EQUAL(of_features("a,1\nb,1e39\n"),
                    "v.csv, line 2, column 2: the feature \"1e39\" is not a finite number");
  BOOST_CHECK_EQUAL(of_features("a,1,bad\nb,1,2\n"),
                    "v.csv, line 1, column 3: the feature \"bad\" is not a finite number");
  BOOST_CHECK_EQUAL(of_features("a,1\na,2\n"), "v.csv, line 2, column 1: \"a\" has features in an earlier line");
  BOOST_CHECK_EQUAL(of_features("a,1\n,2\n"), "v.csv, line 2, column 1: the item is empty");
  BOOST_CHECK_EQUAL(of_features("a,1\n\"b,2\n"), "v.csv, line 2, column 1: a quoted field does not end on its line");
  BOOST_CHECK_EQUAL(of_features("alone\n"),
                    "v.csv has one column (blanks between columns) where an id and numbers were expected; say with "
                    "--side-separator what stands between them");
  BOOST_CHECK_EQUAL(of_features("# nothing\n\n"), "v.csv holds no line of data");
  BOOST_CHECK_EQUAL(of_features("x,1\ny,2\n"),
                    "v.csv holds nothing of the data set: its first item is \"x\", one of the data set is \"a\"");
  BOOST_CHECK_EQUAL(refusal([&](SideOptions& side) {
                      side.items.features = {"x=" + write("v.csv", "a,1\n")};
                      side.items.features_ids = {write("ids.txt", "a\n")};
                    }),
                    "v.csv has ids of its own: --item-features-ids is for .npy files");
}

BOOST_AUTO_TEST_CASE(attributes_need_names_and_whole_lines) {
  BOOST_CHECK_EQUAL(of_attributes("1,24,M\n2,53,F\n"),
                    "u.csv has no line of column names: give them with --user-attributes-columns, for instance "
                    "id,gender,age, with - for a column to pass over");
  BOOST_CHECK_EQUAL(of_attributes("1,24\n", "id,age,gender"),
                    "u.csv has 2 columns (comma between them), but --user-attributes-columns names 3");
  BOOST_CHECK_EQUAL(of_attributes("id,gender\n1,M\n2\n"),
                    "u.csv, line 3: 1 column (comma between them) where 2 belong: as in the first line");
  BOOST_CHECK_EQUAL(of_attributes("id,gender\n1,M\n1,F\n"), "u.csv, line 3, column 1: \"1\" stands in an earlier line");
  BOOST_CHECK_EQUAL(of_attributes("id,story\n1," + std::string(300, 'x') + "\n"),
                    "u.csv, line 2, column 2: a value of 300 bytes; a category has at most 255: pass over columns of "
                    "text with - in --user-attributes-columns");
  BOOST_CHECK_EQUAL(of_attributes("id,a,a\n1,M,x\n"),
                    "user attribute \"a\" is given twice, by u.csv and by u.csv: give one of them another name");
  BOOST_CHECK_EQUAL(
      of_attributes("1,M\n", "id,gender_values"),
      "\"gender_values\" (u.csv) is no name for side data: take letters, digits, '_', '-' and '.', at most "
      "64 of them and not ending in _values, for instance NAME=FILE");
  BOOST_CHECK_EQUAL(of_attributes("1\n2\n", "id"),
                    "u.csv has no column of attributes behind the id (blanks between columns); say with "
                    "--side-separator what stands between them");
  BOOST_CHECK_EQUAL(refusal([&](SideOptions& side) {
                      side.users.attributes = {write("u.csv", "1,M\n"), write("v.csv", "1,M\n"), file("u.csv")};
                      side.users.attributes_columns = {"id,a", "id,b"};
                    }),
                    "--user-attributes-columns is given 2 times for 3 files: give it once, or once for each file");
}

BOOST_AUTO_TEST_CASE(an_attribute_with_one_value_is_noted) {
  ImportOptions options = sample_options();
  options.side.users.attributes = {write("u.csv", "id,planet\n1,earth\n2,earth\n")};
  import_side(options);
  BOOST_TEST(report.notes == std::vector<std::string>{"user attribute \"planet\" has one value only, so nothing can be "
                                                      "learnt from it"},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(bad_words_and_lists_are_named) {
  BOOST_CHECK_EQUAL(of_bag("a,x,1\nb,y,much\n"), "w.txt, line 2, column 3: the weight \"much\" is not a finite number");
  BOOST_CHECK_EQUAL(of_bag("a,x\nb,\n"), "w.txt, line 2, column 2: the word is empty");
  BOOST_CHECK_EQUAL(of_bag("a,x\nb," + std::string(256, 'y') + "\n"),
                    "w.txt, line 2, column 2: a word of 256 bytes; at most 255 are allowed");
  BOOST_CHECK_EQUAL(of_bag("a,x\nb\n"),
                    "w.txt, line 2: 1 column (comma between them) where 2 belong: an id and a word");
  BOOST_CHECK_EQUAL(
      of_bag("a,x,1,1\n"),
      "w.txt has 4 columns (comma between them) where an id, a word and perhaps a weight were expected; say "
      "with --side-separator what stands between them");
  const std::string counted = "u 0\nu 101\n";
  std::string lists;
  for (int k = 0; k < 101; ++k) lists += "1 w:1\n";
  BOOST_CHECK_EQUAL(of_bag(lists + "2 w:1 v\n", counted),
                    "w.txt, line 102, column 3: \"v\" is not of the form word:count");
  BOOST_CHECK_EQUAL(of_bag(lists + "2 w:1\n", counted),
                    "w.txt, line 102, column 1: the line announces \"2\" words and has 1");
  BOOST_CHECK_EQUAL(
      of_bag("1 w:1\n"),
      "w.txt has no ids, and the items of the interactions are not whole numbers, so which row is whose is "
      "not known: write lines of id, word and count instead");
}

BOOST_AUTO_TEST_CASE(bad_edges_and_tags_are_named) {
  BOOST_CHECK_EQUAL(
      of_edges("1 2 3 4\n"),
      "e.txt has 4 columns (blanks between them) where a user, a user and perhaps a weight were expected; "
      "say with --side-separator what stands between them");
  BOOST_CHECK_EQUAL(of_edges("1 2 1\n2 3 x\n"), "e.txt, line 2, column 3: the weight \"x\" is not a finite number");
  BOOST_CHECK_EQUAL(of_edges("8 9\n9 8\n"),
                    "e.txt holds nothing of the data set: its first user is \"8\", one of the data set is \"3\"");
  BOOST_CHECK_EQUAL(of_tags("1,a\n"),
                    "t.txt has 2 columns (comma between them) where a user, an item, a tag and perhaps a time were "
                    "expected; say with --side-separator what stands between them");
  BOOST_CHECK_EQUAL(of_tags("who,what,why\n1,a,7\n"),
                    "t.txt: the columns who, what, why do not say which are user, item and tag: name them with "
                    "--tags-columns, for instance user,item,tag,time, with - for a column to pass over");
  BOOST_CHECK_EQUAL(of_tags("1,a,fun\n", "user,tag"),
                    "--tags-columns user,tag must consist of user, item, tag, perhaps time, and - for columns to pass "
                    "over");
  BOOST_CHECK_EQUAL(of_tags("1,a,fun\n", "user,item,tag,time"), "t.txt has 3 columns, but --tags-columns names 4");
  BOOST_CHECK_EQUAL(of_tags("1,a,fun,noon\n"),
                    "t.txt, line 1, column 4: the time \"noon\" is neither a number nor a date such as 2014-04-01 "
                    "10:20:30");
  BOOST_CHECK_EQUAL(of_tags("user,item,tag,time\n1,a,7\n"),
                    "t.txt, line 2: 3 columns (comma between them) where 4 belong: as in the first line");
  BOOST_CHECK_EQUAL(of_tags("1,a,fun\n1,b,\n"), "t.txt, line 2, column 3: the tag is empty");
}

BOOST_AUTO_TEST_CASE(a_name_belongs_to_one_set_of_its_kind) {
  BOOST_CHECK_EQUAL(refusal([&](SideOptions& side) {
                      side.items.features = {"x=" + write("v.csv", "a,1\n"), write("x.csv", "a,2\n")};
                    }),
                    "item features \"x\" is given twice, by v.csv and by x.csv: give one of them another name");
  BOOST_CHECK_EQUAL(refusal([&](SideOptions& side) { side.items.features = {write("....csv", "a,1\n")}; }),
                    "--item-features ....csv: the file's name makes no name for side data: write NAME=FILE");
}

BOOST_AUTO_TEST_CASE(strict_import_refuses_unknown_ids_and_rows_without_data) {
  const auto strictly = [&](const std::string& text) {
    return refusal([&](SideOptions& side) {
      side.strict = true;
      side.items.features = {"x=" + write("v.csv", text)};
    });
  };
  BOOST_CHECK_EQUAL(strictly("a,1\nq,2\n"), "v.csv, line 2, column 1: item \"q\" occurs in no interaction");
  BOOST_CHECK_EQUAL(strictly("a,1\nb,2\n"),
                    "item features \"x\" (v.csv) lacks 2 of the 4 items of the data set, which --strict-side forbids");
}

BOOST_AUTO_TEST_SUITE_END()
