#include "spar/data/dataset_file.hpp"

#include <array>
#include <filesystem>

#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/sharding.hpp"

namespace spar::data {

namespace {

constexpr std::array<Part, 4> all_parts = {Part::train, Part::validation, Part::test, Part::fold_in};

struct Expected {
  std::string array;
  store::ElementType type;
  Index rows;
};

[[noreturn]] void throw_damaged(const store::ArrayFile& file, const std::string& what) {
  throw UserError(fmt::format("{} is damaged: {}", file.path(), what));
}

void check_array(const store::ArrayFile& file, const Expected& expected) {
  const Index rows = file.rows(expected.array);
  if (rows != expected.rows)
    throw_damaged(file, fmt::format("array {} has {} rows where {} belong", expected.array, rows, expected.rows));
  if (file.type(expected.array) != expected.type || file.columns(expected.array) != 1) {
    throw_damaged(file, fmt::format("array {} has elements of another type than it must", expected.array));
  }
  const int segments = file.segments(expected.array);
  if (segments != row_groups)
    throw_damaged(file, fmt::format("array {} has {} checksums where {} belong", expected.array, segments, row_groups));
}

void check_arrays(const store::ArrayFile& file, const DatasetHeader& header) {
  using store::ElementType;
  check_array(file, {"/users/ids", ElementType::text, header.users});
  check_array(file, {"/items/ids", ElementType::text, header.items});
  for (const Part part : parts_of(header.holds_out_users)) {
    const Index count = header.counts[static_cast<std::size_t>(part)];
    check_array(file, {part_array(part, "offsets"), ElementType::i64, header.users + 1});
    check_array(file, {part_array(part, "items"), ElementType::u32, count});
    if (header.has_ratings) check_array(file, {part_array(part, "ratings"), ElementType::f32, count});
    if (header.has_times) check_array(file, {part_array(part, "times"), ElementType::i64, count});
  }
  if (!header.has_negatives) return;
  check_array(file, {"/test/negatives_offsets", ElementType::i64, header.users + 1});
  check_array(file, {"/test/negatives", ElementType::u32, file.rows("/test/negatives")});
}

// The arrays themselves are checked where posts are read.
void count_posts(const store::ArrayFile& file, DatasetHeader& header) {
  if (!file.has("/tags/ids")) return;
  header.tags = file.rows("/tags/ids");
  for (const Part part : parts_of(false)) {
    const std::string path = "/tags" + part_array(part, "");
    header.posts[static_cast<std::size_t>(part)] = file.rows(path + "items");
    header.assignments[static_cast<std::size_t>(part)] = file.rows(path + "tags");
  }
}

}  // namespace

const char* part_name(Part part) {
  switch (part) {
    case Part::train:
      return "train";
    case Part::validation:
      return "validation";
    case Part::test:
      return "test";
    case Part::fold_in:
      return "fold_in";
  }
  SPAR_ASSERT(false);
}

std::span<const Part> parts_of(bool holds_out_users) {
  return std::span(all_parts).first(holds_out_users ? 4 : 3);
}

std::string part_array(Part part, const std::string& array) {
  return fmt::format("/{}/{}", part_name(part), array);
}

DatasetHeader read_header(const store::ArrayFile& file) {
  DatasetHeader header;
  header.path = file.path();
  header.name = file.has_attribute("/", "name") ? file.text_attribute("/", "name")
                                                : std::filesystem::path(file.path()).stem().string();
  header.users = file.integer_attribute("/", "users");
  header.items = file.integer_attribute("/", "items");
  if (header.users < 0 || header.items < 0) throw_damaged(file, "its counts of users and items are negative");
  header.holds_out_users = file.has(part_array(Part::fold_in, "offsets"));
  for (const Part part : parts_of(header.holds_out_users))
    header.counts[static_cast<std::size_t>(part)] = file.integer_attribute("/", part_name(part));
  header.has_ratings = file.has(part_array(Part::train, "ratings"));
  header.has_times = file.has(part_array(Part::train, "times"));
  header.has_negatives = file.has("/test/negatives");
  header.content = file.text_attribute("/", "content");
  header.split = file.text_attribute("/", "split");
  check_arrays(file, header);
  count_posts(file, header);
  if (file.has("/dislikes/items")) header.dislikes = file.rows("/dislikes/items");
  return header;
}

store::ArrayFile open_dataset(const std::string& path) {
  return store::ArrayFile::open(path, dataset_format, dataset_version);
}

}  // namespace spar::data
