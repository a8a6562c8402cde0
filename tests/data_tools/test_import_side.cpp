#include <cstring>

#include <boost/test/unit_test.hpp>

#include "data_tools/side_fixture.hpp"

using namespace spar;
using namespace spar::test;
using data::Side;
using data::SideKind;
using data_tools::ImportOptions;

BOOST_FIXTURE_TEST_SUITE(import_side_data, SideImportFixture)

BOOST_AUTO_TEST_CASE(features_of_a_delimited_file_join_by_id) {
  ImportOptions options = sample_options();
  options.side.items.features = {
      "image=" + write("v.csv", "\xef\xbb\xbfid,x,y\r\nb,1.5,-2\r\n\r\nd,0,1e3\r\nnobody,9,9\r\n\" a\",0.25,7\r\n")};
  const SideContents contents = import_side(options);
  BOOST_CHECK(contents.features("image", "a") == (std::vector<float>{0.25F, 7}));
  BOOST_CHECK(contents.features("image", "b") == (std::vector<float>{1.5F, -2}));
  BOOST_CHECK(contents.features("image", "c").empty());
  BOOST_CHECK(contents.features("image", "d") == (std::vector<float>{0, 1000}));
  BOOST_REQUIRE_EQUAL(report.side.size(), 1U);
  BOOST_CHECK_EQUAL(report.side[0].covered, 3);
  BOOST_CHECK_EQUAL(report.side[0].rows, 4);
  BOOST_CHECK_EQUAL(report.side[0].unknown, 1);
  BOOST_CHECK_EQUAL(report.side[0].width, 2);
}

BOOST_AUTO_TEST_CASE(features_of_numpy_join_by_a_file_of_ids_in_any_order) {
  for (const bool doubles : {false, true}) {
    ImportOptions options = sample_options();
    options.side.items.features = {"image=" + write("v.npy", npy(doubles, {{1, 2}, {3, 4}, {5, 6}}))};
    options.side.items.features_ids = {write_gz("ids.txt.gz", "d\nx\na")};
    const SideContents contents = import_side(options);
    BOOST_CHECK(contents.features("image", "d") == (std::vector<float>{1, 2}));
    BOOST_CHECK(contents.features("image", "a") == (std::vector<float>{5, 6}));
    BOOST_CHECK(contents.features("image", "b").empty());
  }
}

BOOST_AUTO_TEST_CASE(each_matrix_may_have_ids_of_its_own) {
  ImportOptions options = sample_options();
  options.side.items.features = {"x=" + write("x.npy", npy(false, {{1}, {2}})), write("y.npy", npy(false, {{3}}))};
  options.side.items.features_ids = {"y=" + write("y.txt", "c\n"), write("ids.txt", "a\nb\n")};
  const SideContents contents = import_side(options);
  BOOST_CHECK(contents.features("x", "b") == (std::vector<float>{2}));
  BOOST_CHECK(contents.features("y", "c") == (std::vector<float>{3}));
}

BOOST_AUTO_TEST_CASE(features_of_numpy_without_ids_count_from_0_or_1_where_that_is_plain) {
  const std::string matrix = write_gz("v.npy.gz", npy(false, {{0}, {1}, {2}, {3}}));
  ImportOptions options = unsplit("delimited", write("i.txt", "u 0\nu 3\nu 2\n"));
  options.side.items.features = {"x=" + matrix};
  SideContents contents = import_side(options);
  BOOST_CHECK(contents.features("x", "3") == (std::vector<float>{3}));
  BOOST_CHECK(contents.features("x", "0") == (std::vector<float>{0}));
  BOOST_CHECK_EQUAL(report.side[0].layout, "a row for each id from 0 on");
  options.paths = {write("i.txt", "u 4\nu 1\nu 2\n")};
  contents = import_side(options);
  BOOST_CHECK(contents.features("x", "4") == (std::vector<float>{3}));
  BOOST_CHECK(contents.features("x", "1") == (std::vector<float>{0}));
  BOOST_CHECK_EQUAL(report.side[0].layout, "a row for each id from 1 on");
}

BOOST_AUTO_TEST_CASE(wide_features_beyond_memory_are_the_same_bytes_as_in_it) {
  std::string interactions, ids;
  std::vector<std::vector<double>> rows;
  for (int k = 0; k < 3000; ++k) {
    interactions += "u" + std::to_string(k % 7) + " i" + std::to_string(k) + "\n";
    ids += "i" + std::to_string((k * 1013) % 3000) + "\n";
    rows.emplace_back(3000, k * 0.5);
  }
  ImportOptions options = unsplit("delimited", write("i.txt", interactions));
  options.side.items.features = {"x=" + write("v.npy", npy(false, rows))};
  options.side.items.features_ids = {write("ids.txt", ids)};
  import_side(options);
  const std::string in_memory = store::read_text(options.to);
  options.memory = 0;
  options.threads = 2;
  const SideContents contents = import_side(options);
  BOOST_CHECK(store::read_text(options.to) == in_memory);
  BOOST_CHECK_EQUAL(contents.features("x", "i1013")[2999], 0.5F);
}

BOOST_AUTO_TEST_CASE(each_column_is_an_attribute_with_sorted_categories) {
  ImportOptions options = sample_options();
  options.side.users.attributes = {write(
      "u.txt", "uid|Age Group|gender|city\r\n2|9|F|M\xfcnchen\r\n1|10|M|\r\n7|1|M|x\r\n3|10||M\xc3\xbcnchen\r\n")};
  const SideContents contents = import_side(options);
  BOOST_TEST(contents.values("Age_Group") == (std::vector<std::string>{"", "9", "10"}),
             boost::test_tools::per_element());
  BOOST_TEST(contents.values("gender") == (std::vector<std::string>{"", "F", "M"}), boost::test_tools::per_element());
  BOOST_CHECK_EQUAL(contents.attribute("Age_Group", "1"), "10");
  BOOST_CHECK_EQUAL(contents.attribute("gender", "2"), "F");
  BOOST_CHECK_EQUAL(contents.attribute("gender", "3"), "");
  BOOST_CHECK_EQUAL(contents.attribute("city", "1"), "");
  BOOST_CHECK_EQUAL(contents.attribute("city", "2"), "München");
  BOOST_CHECK_EQUAL(contents.attribute("city", "3"), "München");
  BOOST_CHECK_EQUAL(report.side[0].unknown, 1);
}

BOOST_AUTO_TEST_CASE(columns_may_be_named_passed_over_and_hold_lists) {
  ImportOptions options = sample_options();
  options.side.items.attributes = {write("m.dat", "a::A, film::Drama|War::7\nc::C::War::8\nb::B::::7\n")};
  options.side.items.attributes_columns = {"id,-,genres,year"};
  options.side.items.attributes_lists = "|";
  const SideContents contents = import_side(options);
  BOOST_CHECK(contents.bag(Side::items, "genres", "a") == (Words{{"Drama", 1}, {"War", 1}}));
  BOOST_CHECK(contents.bag(Side::items, "genres", "c") == (Words{{"War", 1}}));
  BOOST_CHECK(contents.bag(Side::items, "genres", "b").empty());
  BOOST_CHECK(!contents.has(SideKind::attribute, Side::items, "genres"));
  BOOST_CHECK(contents.has(SideKind::attribute, Side::items, "year"));
  BOOST_CHECK_EQUAL(report.side.size(), 2U);
}

BOOST_AUTO_TEST_CASE(names_in_a_comment_above_the_data_name_the_attributes) {
  ImportOptions options = sample_options();
  options.side.items.attributes = {write("m.tsv", "#item\tgroup\na\tx\nb\ty\n")};
  const SideContents contents = import_side(options);
  BOOST_CHECK(contents.has(SideKind::attribute, Side::items, "group"));
  BOOST_CHECK_EQUAL(report.side[0].covered, 2);
}

BOOST_AUTO_TEST_CASE(words_add_up_and_the_vocabulary_is_dealt_by_rows_that_have_them) {
  ImportOptions options = sample_options();
  options.side.items.bags = {"text=" + write("w.csv", "item,word,count\na,x,2\nb,x,1\na,y,0.5\na,x,1\nzz,q,1\n")};
  options.side.users.bags = {write("likes.tsv", "1\tjazz\n3\tjazz\n3\trock\n")};
  const SideContents contents = import_side(options);
  BOOST_CHECK(contents.bag(Side::items, "text", "a") == (Words{{"x", 3}, {"y", 0.5F}}));
  BOOST_CHECK(contents.bag(Side::items, "text", "b") == (Words{{"x", 1}}));
  BOOST_CHECK(contents.bag(Side::users, "likes", "3") == (Words{{"jazz", 1}, {"rock", 1}}));
  const data::RowDealing dealing(2);
  BOOST_CHECK_EQUAL(data::read_vocabulary(contents.file, Side::items, "text", dealing.row_of_place(0), 1)[0], "x");
  BOOST_CHECK_EQUAL(data::read_vocabulary(contents.file, Side::items, "text", dealing.row_of_place(1), 1)[0], "y");
}

BOOST_AUTO_TEST_CASE(lists_of_counts_are_known_by_their_form) {
  ImportOptions options = unsplit("delimited", write("i.txt", "u 0\nu 2\nu 3\n"));
  options.side.items.bags = {write_gz("mult.dat.gz", "2 7:1 0:3\n1 5:1\n0\n1 7:4")};
  const SideContents contents = import_side(options);
  BOOST_CHECK(contents.bag(Side::items, "mult", "0") == (Words{{"7", 1}, {"0", 3}}));
  BOOST_CHECK(contents.bag(Side::items, "mult", "2").empty());
  BOOST_CHECK(contents.bag(Side::items, "mult", "3") == (Words{{"7", 4}}));
  BOOST_CHECK_EQUAL(report.side[0].unknown, 1);
  BOOST_CHECK_EQUAL(report.side[0].width, 2);
}

BOOST_AUTO_TEST_CASE(edges_are_directed_without_repeats_and_loops) {
  ImportOptions options = sample_options();
  options.side.user_edges = {"trust=" + write("t.txt", "1 2 0.5\n2 1 1\n1 2 0.75\n3 3 1\n1 9 1\n3 1 2\n")};
  SideContents contents = import_side(options);
  BOOST_CHECK(contents.edges("trust", "1") == (Words{{"2", 0.5F}}));
  BOOST_CHECK(contents.edges("trust", "2") == (Words{{"1", 1}}));
  BOOST_CHECK(contents.edges("trust", "3") == (Words{{"1", 2}}));
  BOOST_CHECK_EQUAL(report.side[0].repeated, 1);
  BOOST_CHECK_EQUAL(report.side[0].loops, 1);
  BOOST_CHECK_EQUAL(report.side[0].unknown, 1);
  options.side.undirected = true;
  contents = import_side(options);
  BOOST_CHECK(contents.edges("trust", "1") == (Words{{"2", 0.5F}, {"3", 2}}));
}

BOOST_AUTO_TEST_CASE(tags_make_posts_of_which_one_a_user_is_held_out) {
  ImportOptions options = sample_options();
  options.side.tags = {write("t.csv",
                             "userId,movieId,tag,timestamp\n1,a,funny,5\n1,a,\"so, so\",6\n1,b,funny,7\n1,c,dull,8\n"
                             "1,a,funny,9\n3,a,funny,1\n9,a,funny,1\n2,zz,funny,1\n")};
  const SideContents contents = import_side(options);
  using Post = std::map<std::string, std::int64_t>;
  BOOST_CHECK((contents.posts("1", "a") == Post{{"funny", 5}, {"so, so", 6}}));
  BOOST_CHECK((contents.posts("1", "c") == Post{{"dull", 8}}));
  BOOST_CHECK((contents.posts("3", "a") == Post{{"funny", 1}}));
  BOOST_CHECK_EQUAL(report.side[0].repeated, 1);
  BOOST_CHECK_EQUAL(report.side[0].unknown, 2);
  BOOST_CHECK_EQUAL(report.side[0].entries, 5);
  const auto count = [&](data::Part part) { return data::read_posts(contents.file, part, 0, 3).count(); };
  // User 1 has three posts: one is tested, one validates; user 3 has one.
  BOOST_CHECK_EQUAL(count(data::Part::train), 2);
  BOOST_CHECK_EQUAL(count(data::Part::validation), 1);
  BOOST_CHECK_EQUAL(count(data::Part::test), 1);
  BOOST_CHECK_EQUAL(contents.part_of_post("3", "a"), 0);
}

BOOST_AUTO_TEST_CASE(the_held_out_post_depends_on_seed_and_ids_only) {
  std::string forward, backward, interactions;
  for (int user = 0; user < 40; ++user) {
    for (int item = 0; item < 4; ++item) {
      const std::string pair = "u" + std::to_string(user) + "\ti" + std::to_string((user + item) % 9);
      interactions += pair + "\n";
      forward += pair + "\tt" + std::to_string(item) + "\n";
      backward.insert(0, pair + "\tt" + std::to_string(item) + "\n");
    }
  }
  ImportOptions options = unsplit("delimited", write("i.txt", interactions));
  options.side.tags = {write("t.txt", forward)};
  import_side(options);
  const std::string content = report.content;
  options.side.tags = {write("t.txt", backward)};
  const SideContents contents = import_side(options);
  BOOST_CHECK_EQUAL(report.content, content);
  BOOST_CHECK_EQUAL(data::read_posts(contents.file, data::Part::test, 0, 40).count(), 40);
  BOOST_CHECK_EQUAL(data::read_posts(contents.file, data::Part::validation, 0, 40).count(), 40);
  options.rules.seed = 2;
  import_side(options);
  BOOST_CHECK(report.content != content);
  options.side.split_tags = false;
  const SideContents whole = import_side(options);
  BOOST_CHECK_EQUAL(data::read_posts(whole.file, data::Part::train, 0, 40).count(), 160);
}

BOOST_AUTO_TEST_CASE(movielens_brings_attributes_and_genres_of_its_own) {
  write("100k/u.data", "1\t10\t5\t1\n2\t20\t4\t2\n2\t10\t1\t3\n");
  write("100k/u.user", "1|24|M|technician|85711\n2|53|F|other|94043\n3|1|F|x|0\n");
  write("100k/u.item", "10|L\xe9on|1994||url|0|1|1\n20|GoldenEye|1995||url|1|0|0\n30|None|1||u|0|0|1\n");
  write("100k/u.genre", "unknown|0\nAction|1\nDrama|2\n\n");
  ImportOptions options = unsplit("movielens", file("100k"));
  SideContents contents = import_side(options);
  BOOST_CHECK_EQUAL(contents.attribute("gender", "2"), "F");
  BOOST_CHECK_EQUAL(contents.attribute("age", "1"), "24");
  BOOST_CHECK_EQUAL(contents.attribute("zip", "1"), "85711");
  BOOST_CHECK(contents.bag(Side::items, "genres", "10") == (Words{{"Action", 1}, {"Drama", 1}}));
  BOOST_CHECK(contents.bag(Side::items, "genres", "20") == (Words{{"unknown", 1}}));
  options.paths = {file("100k/u.data")};
  contents = import_side(options);
  BOOST_CHECK(contents.has(SideKind::bag, Side::items, "genres"));
  options.side.movielens = false;
  contents = import_side(options);
  BOOST_CHECK(data::list_side_data(contents.file).empty());

  write("20m/ratings.csv", "userId,movieId,rating,timestamp\n1,1,4,5\n1,2,4,6\n");
  write("20m/movies.csv", "movieId,title,genres\n1,\"Story, A\",Comedy|War\n2,B,(no genres listed)\n");
  contents = import_side(unsplit("movielens", file("20m")));
  BOOST_CHECK(contents.bag(Side::items, "genres", "1") == (Words{{"Comedy", 1}, {"War", 1}}));
  BOOST_CHECK(contents.bag(Side::items, "genres", "2").empty());
}

BOOST_AUTO_TEST_CASE(the_order_of_the_input_is_kept_as_time_and_read_back_as_histories) {
  ImportOptions options = options_of_sequences("u z\nu a\nu m\nv m\nu b\nu c\n");
  const SideContents contents = import_side(options);
  const auto names = [&](data::Part part, Index user) {
    std::vector<std::string> list;
    const data::Histories histories = data::read_histories(contents.file, part, 0, 2);
    for (const ItemId item : histories.of(user))
      list.push_back(data::read_ids(contents.file, "/items/ids", item, 1)[0]);
    return list;
  };
  const Index u = data::read_ids(contents.file, "/users/ids", 0, 1)[0] == "u" ? 0 : 1;
  BOOST_TEST(names(data::Part::train, u) == (std::vector<std::string>{"z", "a", "m"}),
             boost::test_tools::per_element());
  BOOST_TEST(names(data::Part::validation, u) == (std::vector<std::string>{"b"}), boost::test_tools::per_element());
  BOOST_TEST(names(data::Part::test, u) == (std::vector<std::string>{"c"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(equal_times_are_read_back_by_item_row) {
  ImportOptions options = unsplit("delimited", write("i.txt", "u,b,1,5\nu,a,1,5\nu,c,1,4\nw,b,1,9\n"));
  const SideContents contents = import_side(options);
  const data::Histories histories = data::read_histories(contents.file, data::Part::train, 0, 2);
  const Index u = data::read_ids(contents.file, "/users/ids", 0, 1)[0] == "u" ? 0 : 1;
  const auto of_u = histories.of(u);
  BOOST_REQUIRE_EQUAL(of_u.size(), 3U);
  BOOST_CHECK_EQUAL(data::read_ids(contents.file, "/items/ids", of_u[0], 1)[0], "c");
  BOOST_CHECK(of_u[1] < of_u[2]);
}

BOOST_AUTO_TEST_CASE(a_new_split_carries_side_data_over_to_the_same_checksums) {
  ImportOptions options = everything();
  import_side(options);
  const auto before = data::list_side_data(data::open_dataset(options.to));
  BOOST_REQUIRE_EQUAL(before.size(), 6U);
  data_tools::SplitOptions split;
  split.from = options.to;
  split.to = file("again.h5");
  split.rules.split = data_tools::SplitKind::random_leave_one_out;
  data_tools::split_dataset(split);
  const auto after = data::list_side_data(data::open_dataset(split.to));
  BOOST_REQUIRE_EQUAL(after.size(), before.size());
  for (std::size_t k = 0; k < before.size(); ++k) BOOST_CHECK_EQUAL(after[k].content, before[k].content);
}

BOOST_AUTO_TEST_CASE(users_and_items_that_a_filter_drops_take_their_side_data_along) {
  ImportOptions options = everything();
  import_side(options);
  data_tools::SplitOptions split;
  split.from = options.to;
  split.to = file("fewer.h5");
  split.rules.split = split.rules.validation = data_tools::SplitKind::none;
  split.rules.min_item = 2;
  data_tools::split_dataset(split);
  const SideContents contents = read_side(split.to);
  BOOST_REQUIRE_EQUAL(contents.items.size(), 2U);  // a and b
  BOOST_CHECK(contents.features("image", "b") == (std::vector<float>{1.5F, -2}));
  BOOST_CHECK(contents.bag(Side::items, "text", "a") == (Words{{"x", 3}, {"y", 0.5F}}));
  BOOST_CHECK_EQUAL(data::find_side_data(contents.file, SideKind::bag, Side::items, "text").width, 2);
  BOOST_CHECK_EQUAL(contents.attribute("gender", "2"), "F");
  BOOST_CHECK(contents.edges("trust", "1") == (Words{{"2", 1}, {"3", 1}}));
  BOOST_CHECK(contents.posts("1", "b").size() == 2);
  // Items have counts of their own here, so an import with that filter gives them the same rows.
  options.rules.min_item = 2;
  import_side(options);
  const store::ArrayFile direct = data::open_dataset(options.to);
  for (const auto& [kind, name] : {std::pair{SideKind::features, "image"}, std::pair{SideKind::bag, "text"}}) {
    BOOST_CHECK_EQUAL(data::find_side_data(direct, kind, Side::items, name).content,
                      data::find_side_data(contents.file, kind, Side::items, name).content);
  }
}

BOOST_AUTO_TEST_CASE(the_bytes_depend_neither_on_threads_nor_on_memory) {
  ImportOptions options = everything();
  import_side(options);
  const std::string bytes = store::read_text(options.to);
  options.threads = 3;
  options.memory = 0;
  import_side(options);
  BOOST_CHECK(store::read_text(options.to) == bytes);
}

BOOST_AUTO_TEST_SUITE_END()
