#include <algorithm>
#include <fstream>

#include "sample_dataset.hpp"
#include "support/scratch.hpp"
#include "support/sentence.hpp"
#include <boost/test/unit_test.hpp>
#include <rapidcheck.h>

#include "spar/data/interactions.hpp"
#include "spar/store/durable.hpp"

using namespace spar;
using namespace spar::data;
using spar::test::SampleDataset;
using spar::test::ScratchFolder;
using spar::test::sentence_of;

namespace {

constexpr std::array<Part, 3> all_parts = {Part::train, Part::validation, Part::test};

bool holds(const store::ArrayFile& file, const SampleDataset& sample, Index first, Index end) {
  for (const Part part : all_parts) {
    const auto [offsets, flat] = SampleDataset::flatten(sample.lists[static_cast<std::size_t>(part)], first, end);
    const UserLists lists = read_lists(file, part, first, end);
    if (lists.first_user != first || !std::ranges::equal(lists.offsets, offsets) ||
        !std::ranges::equal(lists.items, flat))
      return false;
    const std::vector<float> ratings = read_ratings(file, part, first, end);
    const std::vector<std::int64_t> times = read_times(file, part, first, end);
    if (ratings.size() != (sample.has_ratings ? flat.size() : 0) ||
        times.size() != (sample.has_times ? flat.size() : 0))
      return false;
    for (std::size_t k = 0; k < ratings.size(); ++k) {
      if (ratings[k] != SampleDataset::rating(flat[k]) || times[k] != SampleDataset::time(flat[k])) return false;
    }
  }
  if (!sample.has_negatives) return true;
  const auto [offsets, flat] = SampleDataset::flatten(sample.negatives, first, end);
  const UserLists negatives = read_negatives(file, first, end);
  return std::ranges::equal(negatives.offsets, offsets) && std::ranges::equal(negatives.items, flat);
}

void flip_byte_of(const std::string& path, const void* bytes, std::size_t size, std::size_t place) {
  std::string text = store::read_text(path);
  const std::size_t start = text.find(std::string(static_cast<const char*>(bytes), size));
  BOOST_REQUIRE(start != std::string::npos);
  text[start + place] = static_cast<char>(text[start + place] ^ 1);
  std::ofstream(path, std::ios::binary) << text;
}

std::string reading(const std::string& path) {
  return sentence_of(ExitCode::usage, [&] {
    const store::ArrayFile file = open_dataset(path);
    read_lists(file, Part::train, 0, read_header(file).users);
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(dataset)

BOOST_AUTO_TEST_CASE(the_header_says_what_the_file_holds) {
  const ScratchFolder folder;
  const SampleDataset sample = SampleDataset::random(53, 31, 1, true);
  sample.write(folder.file("d.h5"));
  const DatasetHeader header = read_header(open_dataset(folder.file("d.h5")));
  BOOST_TEST(header.path == folder.file("d.h5"));
  BOOST_TEST(header.name == "sample");
  BOOST_TEST(header.split == "at random");
  BOOST_TEST(header.users == 53);
  BOOST_TEST(header.items == 31);
  BOOST_TEST(header.has_ratings);
  BOOST_TEST(header.has_times);
  BOOST_TEST(header.has_negatives);
  BOOST_TEST(header.content.size() == 16U);
  for (std::size_t part = 0; part < 3; ++part) {
    std::size_t count = 0;
    for (const auto& list : sample.lists[part]) count += list.size();
    BOOST_TEST(header.counts[part] == static_cast<Index>(count));
  }
}

BOOST_AUTO_TEST_CASE(a_data_set_without_a_name_has_its_files_name) {
  const ScratchFolder folder;
  DatasetPlan plan;
  DatasetWriter writer = DatasetWriter::create(folder.file("some.data.h5"), plan);
  for (const Part part : all_parts) {
    for (int group = 0; group < row_groups; ++group)
      writer.write_group(part, group, {std::vector<std::int64_t>{0}, {}, {}, {}});
  }
  writer.commit();
  BOOST_TEST(read_header(open_dataset(folder.file("some.data.h5"))).name == "some.data");
}

BOOST_AUTO_TEST_CASE(any_data_set_comes_back_whole_and_shard_by_shard) {
  const bool held = rc::check("round trip", [] {
    const ScratchFolder folder;
    const auto users = *rc::gen::element<Index>(0, 1, 5, 127, 1023, 1024, 1500);
    const auto items = *rc::gen::inRange<Index>(0, 12);
    const SampleDataset sample =
        SampleDataset::random(users, items, *rc::gen::arbitrary<std::uint64_t>(), *rc::gen::arbitrary<bool>());
    sample.write(folder.file("d.h5"));
    const store::ArrayFile file = open_dataset(folder.file("d.h5"));
    RC_ASSERT(holds(file, sample, 0, users));
    const Partition shards{users, *rc::gen::element(2, 8, 64)};
    for (int shard = 0; shard < shards.parts; ++shard)
      RC_ASSERT(holds(file, sample, shards.begin(shard), shards.end(shard)));
    const auto first = *rc::gen::inRange<Index>(0, users + 1);
    const std::vector<std::string> ids = read_ids(file, "/users/ids", first, users - first);
    for (std::size_t k = 0; k < ids.size(); ++k)
      RC_ASSERT(ids[k] == SampleDataset::user_id(first + static_cast<Index>(k)));
    const std::vector<std::string> item_ids = read_ids(file, "/items/ids", 0, items);
    for (std::size_t k = 0; k < item_ids.size(); ++k)
      RC_ASSERT(item_ids[k] == SampleDataset::item_id(static_cast<Index>(k)));
  });
  BOOST_TEST(held);
}

BOOST_AUTO_TEST_CASE(lists_answer_whether_they_contain_an_item) {
  UserLists lists;
  lists.first_user = 10;
  lists.offsets = {0, 3, 3};
  lists.items = {2, 5, 9};
  BOOST_TEST(lists.users() == 2);
  BOOST_TEST(lists.count() == 3);
  BOOST_TEST(lists.contains(0, 5));
  BOOST_TEST(!lists.contains(0, 4));
  BOOST_TEST(!lists.contains(1, 5));
}

BOOST_AUTO_TEST_CASE(equal_data_are_equal_bytes) {
  const ScratchFolder folder;
  const SampleDataset sample = SampleDataset::random(200, 40, 3, true);
  sample.write(folder.file("a.h5"));
  sample.write(folder.file("b.h5"));
  BOOST_TEST(store::read_text(folder.file("a.h5")) == store::read_text(folder.file("b.h5")));
  SampleDataset::random(200, 40, 4, true).write(folder.file("c.h5"));
  BOOST_TEST(read_header(open_dataset(folder.file("c.h5"))).content !=
             read_header(open_dataset(folder.file("a.h5"))).content);
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_in_items_or_offsets_is_found) {
  const ScratchFolder folder;
  const std::string path = folder.file("d.h5");
  SampleDataset sample = SampleDataset::random(300, 4, 5, false);
  const auto flat = SampleDataset::flatten(sample.lists[0], 0, 300);
  sample.write(path);
  flip_byte_of(path, flat.second.data(), flat.second.size() * sizeof(ItemId), 0);
  const std::string sentence = reading(path);
  BOOST_TEST(sentence.find(path + " is damaged: the checksum of array /train/items does not match in rows 0 to ") == 0U,
             sentence);
  sample.write(path);
  flip_byte_of(path, flat.first.data(), flat.first.size() * sizeof(std::int64_t), 8 * 17);
  BOOST_TEST(reading(path) == path +
                                  " is damaged: the checksum of array /train/offsets does not match in rows 17 to 17; "
                                  "make the file again or take a sound copy");
}

BOOST_AUTO_TEST_CASE(items_that_do_not_belong_are_told_with_their_user) {
  const ScratchFolder folder;
  const std::string path = folder.file("d.h5");
  SampleDataset sample = SampleDataset::random(5, 4, 6, false);
  sample.lists[0][3] = {1, 4};
  sample.write(path);
  BOOST_TEST(reading(path) == path + " is damaged: user 3 in /train/items has item 4, but there are 4 items");
  sample.lists[0][3] = {2, 1};
  sample.write(path);
  BOOST_TEST(reading(path) == path + " is damaged: the items of user 3 in /train/items are not ascending and distinct");
  sample.lists[0][3] = {2, 2};
  sample.write(path);
  BOOST_TEST(reading(path) == path + " is damaged: the items of user 3 in /train/items are not ascending and distinct");
}

BOOST_AUTO_TEST_CASE(arrays_that_contradict_the_header_are_told) {
  const ScratchFolder folder;
  const std::string path = folder.file("d.h5");
  SampleDataset sample = SampleDataset::random(5, 4, 6, false);
  const DatasetPlan plan = sample.plan();
  store::ArraySpec ids;
  ids.path = "/users/ids";
  ids.type = store::ElementType::text;
  ids.text_size = 3;
  ids.rows = 4;
  ids.segment_rows = store::group_boundaries(4);
  const auto write_with = [&](std::int64_t users) {
    using store::Attribute;
    const std::vector<Attribute> attributes = {Attribute::of("/", "format", "spar-dataset"),
                                               Attribute::of("/", "version", std::int64_t{1}),
                                               Attribute::of("/", "name", "x"),
                                               Attribute::of("/", "split", "x"),
                                               Attribute::of("/", "users", users),
                                               Attribute::of("/", "items", std::int64_t{1}),
                                               Attribute::of("/", "train", std::int64_t{0}),
                                               Attribute::of("/", "validation", std::int64_t{0}),
                                               Attribute::of("/", "test", std::int64_t{0})};
    store::ArrayFileWriter writer = store::ArrayFileWriter::create(path, {ids}, attributes, store::make_nonce());
    for (int group = 0; group < row_groups; ++group) writer.write_segment("/users/ids", group, "abc");
    writer.commit();
  };
  const auto heading = [&] { return sentence_of(ExitCode::usage, [&] { read_header(open_dataset(path)); }); };
  write_with(5);
  BOOST_TEST(heading() == path + " is damaged: array /users/ids has 4 rows where 5 belong");
  write_with(4);
  BOOST_TEST(heading() == path + " is damaged: its array /items/ids is missing");
}

BOOST_AUTO_TEST_CASE(a_catalogue_beyond_the_item_type_is_refused) {
  DatasetPlan plan;
  plan.items = Index{1} << 32;
  BOOST_TEST(sentence_of(ExitCode::usage, [&] { DatasetWriter::create("/nowhere/d.h5", plan); }) ==
             "4294967296 items are too many: a catalogue ends at 4294967295");
}

BOOST_AUTO_TEST_CASE(a_data_set_that_is_not_finished_leaves_nothing) {
  const ScratchFolder folder;
  const SampleDataset sample = SampleDataset::random(5, 4, 6, false);
  {
    DatasetWriter writer = DatasetWriter::create(folder.file("d.h5"), sample.plan());
    sample.write_group(writer, 7);
  }
  BOOST_TEST(folder.names().empty());
}

BOOST_AUTO_TEST_SUITE_END()
