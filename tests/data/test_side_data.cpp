#include <algorithm>
#include <fstream>

#include "data/sample_side.hpp"
#include "support/scratch.hpp"
#include "support/sentence.hpp"
#include <boost/test/unit_test.hpp>

#include "spar/data/attributes.hpp"
#include "spar/data/bags.hpp"
#include "spar/data/features.hpp"
#include "spar/data/graphs.hpp"
#include "spar/data/histories.hpp"
#include "spar/data/interactions.hpp"
#include "spar/data/posts.hpp"

using namespace spar;
using namespace spar::data;
using namespace spar::test;

namespace {

/// Prime sizes: fewer rows than groups, and more.
class SideFixture {
 public:
  SideFixture() : sample(SampleSide::random(1511, 997)) { sample.write(path()); }
  std::string path() const { return folder.file("d.h5"); }
  store::ArrayFile open() const { return open_dataset(path()); }

  ScratchFolder folder;
  SampleSide sample;
};

/// The quarters of `rows` rows: blocks of whole groups.
std::vector<std::pair<Index, Index>> quarters(Index rows) {
  std::vector<std::pair<Index, Index>> blocks;
  const Partition parts{rows, 4};
  for (int k = 0; k < 4; ++k) blocks.emplace_back(parts.begin(k), parts.end(k));
  blocks.emplace_back(0, rows);
  blocks.emplace_back(rows, rows);
  return blocks;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(side_data, SideFixture)

BOOST_AUTO_TEST_CASE(a_data_set_says_what_side_data_it_has) {
  const std::vector<SideDescription> all = list_side_data(open());
  BOOST_REQUIRE_EQUAL(all.size(), 5U);
  const auto check = [&](std::size_t k, SideKind kind, Side side, const char* name, Index rows, Index width) {
    BOOST_CHECK(all[k].kind == kind);
    BOOST_CHECK(all[k].side == side);
    BOOST_CHECK_EQUAL(all[k].name, name);
    BOOST_CHECK_EQUAL(all[k].rows, rows);
    BOOST_CHECK_EQUAL(all[k].width, width);
    BOOST_CHECK_EQUAL(all[k].content.size(), 16U);
  };
  check(0, SideKind::features, Side::items, "image", 997, 3);
  check(1, SideKind::attribute, Side::users, "gender", 1511, 4);
  check(2, SideKind::bag, Side::items, "text", 997, 1031);
  check(3, SideKind::graph, Side::users, "trust", 1511, 1511);
  check(4, SideKind::tags, Side::users, "tags", 1511, 7);
  BOOST_CHECK_EQUAL(all[0].entries, 997 - 199);
  BOOST_CHECK(!all[3].weighted);
  BOOST_CHECK(all[4].timed);
  BOOST_CHECK(find_side_data(open(), SideKind::graph, Side::users, "trust").content == all[3].content);
}

BOOST_AUTO_TEST_CASE(side_data_change_nothing_of_the_rest) {
  sample.base.write(folder.file("plain.h5"));
  const store::ArrayFile plain = open_dataset(folder.file("plain.h5"));
  BOOST_CHECK(list_side_data(plain).empty());
  BOOST_CHECK(read_header(plain).counts[0] == read_header(open()).counts[0]);
  for (const std::string& array : plain.arrays()) BOOST_CHECK(plain.checksums(array) == open().checksums(array));
}

BOOST_AUTO_TEST_CASE(features_come_back_by_blocks_of_rows) {
  for (const auto& [begin, end] : quarters(997)) {
    const FeatureRows rows = read_features(open(), Side::items, "image", begin, end);
    BOOST_REQUIRE_EQUAL(rows.rows(), end - begin);
    for (Index k = 0; k < rows.rows(); ++k) {
      BOOST_CHECK_EQUAL(rows.has(k), SampleSide::has_features(begin + k));
      for (Index column = 0; column < 3; ++column)
        BOOST_CHECK_EQUAL(rows.of(k)[static_cast<std::size_t>(column)], SampleSide::feature(begin + k, column));
    }
  }
}

BOOST_AUTO_TEST_CASE(codes_come_back_with_their_categories) {
  for (const auto& [begin, end] : quarters(1511)) {
    const std::vector<std::uint32_t> codes = read_attribute(open(), Side::users, "gender", begin, end);
    BOOST_REQUIRE_EQUAL(static_cast<Index>(codes.size()), end - begin);
    for (std::size_t k = 0; k < codes.size(); ++k)
      BOOST_CHECK_EQUAL(codes[k], SampleSide::code(begin + static_cast<Index>(k)));
  }
  BOOST_TEST(read_attribute_values(open(), Side::users, "gender") == (std::vector<std::string>{"", "F", "M", "é"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(bags_and_graphs_come_back_by_blocks_of_rows) {
  for (const auto& [begin, end] : quarters(997)) {
    const SparseRows rows = read_bags(open(), Side::items, "text", begin, end);
    BOOST_REQUIRE_EQUAL(rows.rows(), end - begin);
    for (Index k = 0; k < rows.rows(); ++k) {
      BOOST_CHECK(std::ranges::equal(rows.columns_of(k), SampleSide::words_of(begin + k)));
      for (std::size_t n = 0; n < rows.columns_of(k).size(); ++n)
        BOOST_CHECK_EQUAL(rows.weights_of(k)[n], SampleSide::weight(rows.columns_of(k)[n]));
    }
  }
  BOOST_CHECK(read_vocabulary(open(), Side::items, "text", 1000, 31) == SampleSide::texts("w", 1000, 1031));
  for (const auto& [begin, end] : quarters(1511)) {
    const SparseRows rows = read_edges(open(), "trust", begin, end);
    for (Index k = 0; k < rows.rows(); ++k) {
      BOOST_CHECK(std::ranges::equal(rows.columns_of(k), sample.friends_of(begin + k)));
      BOOST_CHECK(rows.weights_of(k).empty());
    }
  }
}

BOOST_AUTO_TEST_CASE(posts_come_back_by_users_and_parts) {
  BOOST_CHECK(read_tags(open(), 0, 7) == SampleSide::texts("tag", 0, 7));
  for (const Part part : {Part::train, Part::validation, Part::test}) {
    for (const auto& [begin, end] : quarters(1511)) {
      const Posts posts = read_posts(open(), part, begin, end);
      const auto [offsets, items] =
          SampleDataset::flatten(sample.base.lists[static_cast<std::size_t>(part)], begin, end);
      BOOST_CHECK(std::ranges::equal(posts.offsets, offsets));
      BOOST_CHECK(std::ranges::equal(posts.items, items));
      BOOST_REQUIRE_EQUAL(posts.tag_offsets.size(), items.size() + 1);
      for (std::size_t p = 0; p < items.size(); ++p) {
        BOOST_CHECK(std::ranges::equal(posts.tags_of(static_cast<Index>(p)), SampleSide::tags_of(items[p])));
        const auto first = static_cast<std::size_t>(posts.tag_offsets[p]);
        BOOST_CHECK_EQUAL(posts.times[first], SampleSide::tag_time(items[p], posts.tags[first]));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(posts_are_rows_with_lists_of_tags_and_the_header_counts_them) {
  const auto file = open();
  const DatasetHeader header = read_header(file);
  BOOST_CHECK_EQUAL(header.tags, 7);
  BOOST_CHECK_EQUAL(header.rows(IdSpace::tags), 7);
  for (const Part part : {Part::train, Part::validation, Part::test}) {
    const Posts posts = read_posts(file, part, 0, header.users);
    const PostRows rows = rows_of(posts);
    BOOST_CHECK_EQUAL(header.posts[static_cast<std::size_t>(part)], posts.count());
    BOOST_CHECK_EQUAL(header.assignments[static_cast<std::size_t>(part)], posts.assignments());
    BOOST_CHECK_EQUAL(rows.count(), posts.count());
    for (Index user = 0; user < posts.users(); ++user) {
      for (auto post = posts.offsets[static_cast<std::size_t>(user)];
           post < posts.offsets[static_cast<std::size_t>(user) + 1]; ++post) {
        BOOST_CHECK_EQUAL(rows.users[static_cast<std::size_t>(post)], user);
        BOOST_CHECK_EQUAL(rows.items[static_cast<std::size_t>(post)], posts.items[static_cast<std::size_t>(post)]);
        BOOST_CHECK(std::ranges::equal(rows.tags.of(post), posts.tags_of(post)));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(what_a_file_lacks_is_told_with_what_it_has) {
  const auto sentence = [&](const std::function<void()>& action) {
    return without(sentence_of(ExitCode::usage, action), folder.path() + "/");
  };
  BOOST_CHECK_EQUAL(sentence([&] { read_features(open(), Side::items, "video", 0, 997); }),
                    "d.h5 has no item features \"video\": it has image");
  BOOST_CHECK_EQUAL(sentence([&] { read_attribute(open(), Side::items, "brand", 0, 997); }),
                    "d.h5 has no item attribute \"brand\": it has none; --item-attributes of spar import makes them");
  sample.base.write(path());
  BOOST_CHECK_EQUAL(sentence([&] { read_posts(open(), Part::train, 0, 1511); }),
                    "d.h5 has no tags: --tags of spar import makes them");
  BOOST_CHECK_EQUAL(sentence([&] { read_edges(open(), "trust", 0, 1511); }),
                    "d.h5 has no graph \"trust\": it has none; --user-edges of spar import makes them");
}

BOOST_AUTO_TEST_CASE(no_flipped_bit_of_side_data_is_read) {
  const std::string sound = store::read_text(path());
  const SideDescription before = find_side_data(open(), SideKind::features, Side::items, "image");
  int refused = 0, spoiled_arrays = 0;
  const auto spoil = [&](const std::string& value, const std::function<void()>& read) {
    const std::size_t at = sound.find(value);
    BOOST_REQUIRE(at != std::string::npos);
    std::string spoiled = sound;
    spoiled[at] = static_cast<char>(spoiled[at] ^ 4);
    std::ofstream(path(), std::ios::binary) << spoiled;
    ++spoiled_arrays;
    try {
      read();
    } catch (const UserError& error) {
      refused += std::string(error.what()).find("is damaged") != std::string::npos ? 1 : 0;
    }
  };
  const auto bytes_of = [](const auto& values) {
    return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0]));
  };
  spoil(bytes_of(std::vector<float>{3.0F, 3.25F, 3.5F, 4.0F, 4.25F, 4.5F}),
        [&] { read_features(open(), Side::items, "image", 0, 997); });
  spoil(bytes_of(std::vector<std::uint32_t>{0, 1, 2, 3, 0, 1, 2, 3}),
        [&] { read_attribute(open(), Side::users, "gender", 0, 1511); });
  spoil(bytes_of(std::vector<std::uint32_t>{4, 15, 5, 16, 7, 18}),
        [&] { read_bags(open(), Side::items, "text", 0, 997); });
  spoil("w1000", [&] { read_vocabulary(open(), Side::items, "text", 990, 20); });
  spoil("tag5", [&] { read_tags(open(), 0, 7); });
  BOOST_CHECK_EQUAL(refused, spoiled_arrays);
  BOOST_CHECK_EQUAL(before.width, 3);
}

BOOST_AUTO_TEST_CASE(histories_are_in_the_order_of_time_and_ties_by_item) {
  // Times of the sample rise with the item; ratings do not matter.
  const Histories rising = read_histories(open(), Part::train, 0, 1511);
  const UserLists lists = read_lists(open(), Part::train, 0, 1511);
  BOOST_CHECK(rising.offsets == lists.offsets);
  BOOST_CHECK(std::ranges::equal(rising.items, lists.items));
  sample.base.has_times = false;
  sample.base.write(path());
  BOOST_CHECK_EQUAL(
      without(sentence_of(ExitCode::usage, [&] { read_histories(open(), Part::train, 0, 1511); }), folder.path() + "/"),
      "d.h5 has no times, so the order of a user's interactions is not known: import it with a time column, or with "
      "--ordered where the lines stand oldest first");
}

BOOST_AUTO_TEST_CASE(names_are_plain) {
  for (const char* name : {"image", "a", "ml-1m.v2", "9_lives"}) BOOST_CHECK(is_side_name(name));
  for (const char* name : {"", "_x", "a b", "a/b", "é", ".x", "gender_values"}) BOOST_CHECK(!is_side_name(name));
  BOOST_CHECK(is_side_name(std::string(64, 'x')) && !is_side_name(std::string(65, 'x')));
}

BOOST_AUTO_TEST_SUITE_END()
