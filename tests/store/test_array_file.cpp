#include <cstring>
#include <fstream>
#include <numeric>

#include "support/scratch.hpp"
#include "support/sentence.hpp"
#include <boost/test/unit_test.hpp>
#include <rapidcheck.h>

#include "spar/store/array_file.hpp"
#include "spar/store/durable.hpp"

using namespace spar;
using namespace spar::store;
using spar::test::ScratchFolder;
using spar::test::sentence_of;

namespace {

ArraySpec spec(const std::string& path, ElementType type, std::vector<Index> segment_rows, Index columns = 1,
               std::size_t text_size = 0) {
  ArraySpec array;
  array.path = path;
  array.type = type;
  array.text_size = text_size;
  array.rows = segment_rows.back();
  array.columns = columns;
  array.segment_rows = std::move(segment_rows);
  return array;
}

std::vector<ArraySpec> sample_specs() {
  return {spec("/matrix", ElementType::f32, {0, 3, 3, 7}, 5), spec("/names", ElementType::text, {0, 2, 4}, 1, 6),
          spec("/deep/below/counts", ElementType::i64, {0, 9}), spec("/nothing", ElementType::u32, {0, 0, 0})};
}

std::vector<Attribute> sample_attributes() {
  return {Attribute::of("/", "format", "spar-sample"), Attribute::of("/", "version", std::int64_t{1}),
          Attribute::of("/", "share", 0.25), Attribute::of("/deep", "note", "déjà vu"),
          Attribute::of("/", "empty", "")};
}

std::vector<float> sample_matrix() {
  std::vector<float> values(35);
  std::iota(values.begin(), values.end(), 0.5F);
  return values;
}

void write_sample(ArrayFileWriter& writer) {
  const std::vector<float> matrix = sample_matrix();
  writer.write_segment("/matrix", 2, matrix.data() + 15);
  writer.write_segment("/matrix", 0, matrix.data());
  writer.write_segment("/names", 0, "ab\0\0\0\0abcdef");
  writer.write_segment("/names", 1, "\0\0\0\0\0\0xyz\0\0\0");
  const std::vector<std::int64_t> counts = {1, -2, 3, -4, 5, -6, 7, -8, std::int64_t{1} << 60};
  writer.write("/deep/below/counts", 0, 4, counts.data());
  writer.write("/deep/below/counts", 4, 5, counts.data() + 4);
  writer.write_checksum("/deep/below/counts", 0, checksum(counts.data(), counts.size() * 8));
}

void make_sample(const std::string& path) {
  ArrayFileWriter writer = ArrayFileWriter::create(path, sample_specs(), sample_attributes(), make_nonce());
  write_sample(writer);
  writer.commit();
}

ArrayFile open_sample(const std::string& path) {
  return ArrayFile::open(path, "spar-sample", 1);
}

void overwrite(const std::string& path, std::size_t place, char value) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(place));
  file.put(value);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(array_file)

BOOST_AUTO_TEST_CASE(what_is_written_is_read_again) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.h5");
  make_sample(path);
  const ArrayFile file = open_sample(path);

  BOOST_TEST(file.arrays() == (std::vector<std::string>{"/deep/below/counts", "/matrix", "/names", "/nothing"}),
             boost::test_tools::per_element());
  BOOST_TEST(file.rows("/matrix") == 7);
  BOOST_TEST(file.columns("/matrix") == 5);
  BOOST_TEST((file.type("/names") == ElementType::text));
  BOOST_TEST(file.text_size("/names") == 6U);
  BOOST_TEST(file.segments("/matrix") == 3);
  BOOST_TEST(file.rows("/nothing") == 0);
  BOOST_TEST(!file.has("/absent"));

  std::vector<float> matrix(35);
  file.read_segments("/matrix", {0, 3, 3, 7}, 0, 3, matrix.data());
  BOOST_TEST(matrix == sample_matrix(), boost::test_tools::per_element());
  std::vector<float> rows(10);
  file.read("/matrix", 4, 2, rows.data());
  BOOST_TEST(rows[0] == 20.5F);
  std::string names(24, 'x');
  file.read("/names", 0, 4, names.data());
  BOOST_TEST(names == std::string("ab\0\0\0\0abcdef\0\0\0\0\0\0xyz\0\0\0", 24));
  std::int64_t last = 0;
  file.read("/deep/below/counts", 8, 1, &last);
  BOOST_TEST(last == std::int64_t{1} << 60);

  BOOST_TEST(file.text_attribute("/", "format") == "spar-sample");
  BOOST_TEST(file.integer_attribute("/", "version") == 1);
  BOOST_TEST(file.real_attribute("/", "share") == 0.25);
  BOOST_TEST(file.text_attribute("/deep", "note") == "déjà vu");
  BOOST_TEST(file.text_attribute("/", "empty").empty());
  BOOST_TEST(!file.has_attribute("/", "absent"));
  BOOST_TEST(file.text_attribute("/", "content").size() == 16U);
  BOOST_TEST(file.text_attribute("/", "content") == file.content_of_checksums());
}

BOOST_AUTO_TEST_CASE(equal_contents_are_equal_bytes_and_other_contents_another_content) {
  const ScratchFolder folder;
  make_sample(folder.file("a.h5"));
  make_sample(folder.file("b.h5"));
  BOOST_TEST(read_text(folder.file("a.h5")) == read_text(folder.file("b.h5")));

  ArrayFileWriter writer =
      ArrayFileWriter::create(folder.file("c.h5"), sample_specs(), sample_attributes(), make_nonce());
  write_sample(writer);
  const std::vector<float> other(15, 1.0F);
  writer.write_segment("/matrix", 0, other.data());
  writer.commit();
  BOOST_TEST(open_sample(folder.file("c.h5")).text_attribute("/", "content") !=
             open_sample(folder.file("a.h5")).text_attribute("/", "content"));
}

BOOST_AUTO_TEST_CASE(several_writers_make_the_bytes_of_one) {
  const ScratchFolder folder;
  make_sample(folder.file("a.h5"));
  const std::string nonce = make_nonce();
  ArrayFileWriter creator = ArrayFileWriter::create(folder.file("b.h5"), sample_specs(), sample_attributes(), nonce);
  {
    ArrayFileWriter other = ArrayFileWriter::open_existing(folder.file("b.h5"), sample_specs(), nonce);
    write_sample(other);
    other.flush();
  }
  creator.commit();
  BOOST_TEST(read_text(folder.file("a.h5")) == read_text(folder.file("b.h5")));
}

BOOST_AUTO_TEST_CASE(any_shape_and_any_segments_come_back) {
  const bool held = rc::check("round trip", [] {
    const ScratchFolder folder;
    const auto columns = *rc::gen::inRange<Index>(1, 5);
    const auto sizes = *rc::gen::nonEmpty(rc::gen::container<std::vector<Index>>(rc::gen::inRange<Index>(0, 300)));
    std::vector<Index> boundaries{0};
    for (const Index size : sizes) boundaries.push_back(boundaries.back() + size);
    std::vector<std::int32_t> values(static_cast<std::size_t>(boundaries.back() * columns));
    std::iota(values.begin(), values.end(), *rc::gen::arbitrary<std::int16_t>());
    const std::vector<ArraySpec> specs = {spec("/part/values", ElementType::i32, boundaries, columns)};
    const std::string path = folder.file("a.h5");
    ArrayFileWriter writer = ArrayFileWriter::create(path, specs, sample_attributes(), make_nonce());
    const int segments = static_cast<int>(sizes.size());
    for (int k = segments - 1; k >= 0; --k) {
      writer.write_segment("/part/values", k, values.data() + boundaries[static_cast<std::size_t>(k)] * columns);
    }
    writer.commit();
    const ArrayFile file = open_sample(path);
    std::vector<std::int32_t> read(values.size());
    file.read_segments("/part/values", boundaries, 0, segments, read.data());
    RC_ASSERT(read == values);
    RC_ASSERT(file.content_of_checksums() == file.text_attribute("/", "content"));
  });
  BOOST_TEST(held);
}

BOOST_AUTO_TEST_CASE(nothing_of_the_final_name_stands_before_commit_and_nothing_stays_without_it) {
  const ScratchFolder folder;
  {
    ArrayFileWriter writer =
        ArrayFileWriter::create(folder.file("a.h5"), sample_specs(), sample_attributes(), "0123456789abcdef");
    write_sample(writer);
    BOOST_TEST(folder.names() == std::vector<std::string>{"a.h5.partial-0123456789abcdef"},
               boost::test_tools::per_element());
  }
  BOOST_TEST(folder.names().empty());
  make_sample(folder.file("a.h5"));
  BOOST_TEST(folder.names() == std::vector<std::string>{"a.h5"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_segment_that_nobody_wrote_is_a_bug_and_no_file) {
  const ScratchFolder folder;
  {
    ArrayFileWriter writer =
        ArrayFileWriter::create(folder.file("a.h5"), sample_specs(), sample_attributes(), make_nonce());
    BOOST_CHECK_THROW(writer.commit(), Bug);
  }
  BOOST_TEST(folder.names().empty());
}

BOOST_AUTO_TEST_CASE(every_flipped_bit_of_the_values_is_found) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.h5");
  make_sample(path);
  const std::string bytes = read_text(path);
  const std::vector<float> matrix = sample_matrix();
  const std::size_t start = bytes.find(std::string(reinterpret_cast<const char*>(matrix.data()), matrix.size() * 4));
  BOOST_REQUIRE(start != std::string::npos);
  std::vector<float> values(35);
  for (const std::size_t place : {std::size_t{0}, std::size_t{59}, std::size_t{60}, std::size_t{139}}) {
    overwrite(path, start + place, static_cast<char>(bytes[start + place] ^ 16));
    const ArrayFile file = open_sample(path);
    const std::string rows = place < 60 ? "0 to 2" : "3 to 6";
    BOOST_TEST(sentence_of(ExitCode::usage,
                           [&] {
                             file.read_segments("/matrix", {0, 3, 3, 7}, 0, 3, values.data());
                           }) == path + " is damaged: the checksum of array /matrix does not match in rows " + rows +
                                     "; make the file again or take a sound copy");
    overwrite(path, start + place, bytes[start + place]);
  }
}

BOOST_AUTO_TEST_CASE(a_missing_or_foreign_file_is_told_in_one_sentence) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.h5");
  const auto refusal = [&] { return sentence_of(ExitCode::usage, [&] { open_sample(path); }); };
  BOOST_TEST(refusal() == "cannot read " + path + ": no such file or directory");

  std::ofstream(path) << "user,item\n";
  BOOST_TEST(refusal() == path + " is not an HDF5 file (spar-sample is needed)");
  std::ofstream(path) << "";
  BOOST_TEST(refusal() == path + " is not an HDF5 file (spar-sample is needed)");
  BOOST_TEST(sentence_of(ExitCode::usage, [&] { open_sample(folder.path()); }) ==
             folder.path() + " is a directory, where a spar-sample file is needed");

  ArrayFileWriter::create(path, {spec("/a", ElementType::f32, {0, 0})}, {}, make_nonce()).commit();
  BOOST_TEST(
      refusal() ==
      path + " is an HDF5 file of another program: its attribute \"format\" is missing (\"spar-sample\" is needed)");
  ArrayFileWriter::create(path, {spec("/a", ElementType::f32, {0, 0})}, {Attribute::of("/", "format", "spar-other")},
                          make_nonce())
      .commit();
  BOOST_TEST(refusal() == path + " is a \"spar-other\" file, where a \"spar-sample\" file is needed");
}

BOOST_AUTO_TEST_CASE(a_newer_version_is_told_with_both_numbers) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.h5");
  ArrayFileWriter::create(path, {spec("/a", ElementType::f32, {0, 0})},
                          {Attribute::of("/", "format", "spar-sample"), Attribute::of("/", "version", std::int64_t{3})},
                          make_nonce())
      .commit();
  BOOST_TEST(
      sentence_of(ExitCode::usage, [&] { open_sample(path); }) ==
      path + " has version 3 of the \"spar-sample\" format, but this program knows versions up to 1: use a newer spar");
}

BOOST_AUTO_TEST_CASE(a_file_cut_off_anywhere_is_told) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.h5");
  make_sample(path);
  const auto whole = std::filesystem::file_size(path);
  for (const std::uintmax_t size : {whole - 1, whole / 2, std::uintmax_t{100}, std::uintmax_t{52}}) {
    std::filesystem::resize_file(path, size);
    BOOST_TEST(sentence_of(ExitCode::usage, [&] { open_sample(path); }) ==
               path + " is truncated: it has " + std::to_string(size) + " of its " + std::to_string(whole) + " bytes");
  }
}

BOOST_AUTO_TEST_CASE(damaged_structure_is_never_read_in_silence) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.h5");
  make_sample(path);
  const std::string bytes = read_text(path);
  const std::size_t root = bytes.find("OHDR");
  BOOST_REQUIRE(root != std::string::npos);
  overwrite(path, root + 30, static_cast<char>(bytes[root + 30] ^ 1));
  BOOST_TEST(sentence_of(ExitCode::usage, [&] { open_sample(path); }) ==
             path + " is damaged: the HDF5 library cannot read its structure");
}

BOOST_AUTO_TEST_CASE(missing_arrays_and_attributes_are_told) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.h5");
  make_sample(path);
  const ArrayFile file = open_sample(path);
  BOOST_TEST(sentence_of(ExitCode::usage, [&] { file.rows("/train/items"); }) ==
             path + " is damaged: its array /train/items is missing");
  BOOST_TEST(sentence_of(ExitCode::usage, [&] { file.integer_attribute("/", "users"); }) ==
             path + " is damaged: attribute \"users\" of / is missing");
  BOOST_TEST(sentence_of(ExitCode::usage, [&] { file.text_attribute("/", "version"); }) ==
             path + " is damaged: attribute \"version\" of / is of another type");
}

BOOST_AUTO_TEST_SUITE_END()
