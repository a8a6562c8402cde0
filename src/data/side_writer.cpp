#include "spar/data/side_writer.hpp"

#include <algorithm>

#include "array_specs.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/base/sharding.hpp"
#include "spar/data/dataset_writer.hpp"

namespace spar::data {

SideWriter::SideWriter(DatasetWriter& writer, std::size_t k)
    : writer_(writer),
      plan_(writer.plan_.side.at(k)),
      rows_(plan_.side == Side::users ? writer.plan_.users : writer.plan_.items) {
  for (std::size_t part = 0; part < 3; ++part) {
    entry_offsets_[part] = running_sum(plan_.group_entries[part]);
    post_offsets_[part] = running_sum(plan_.group_posts[part]);
  }
}

std::string SideWriter::path(const std::string& array) const {
  return side_array(plan_.kind, plan_.side, plan_.name, array);
}

void SideWriter::write_segment(const std::string& array, int segment, const void* values) {
  writer_.writer_.write_segment(path(array), segment, values);
}

std::size_t SideWriter::rows_of(int group) const {
  return static_cast<std::size_t>(Partition{rows_, row_groups}.size(group));
}

void SideWriter::write_offsets(const std::string& array, int group, std::int64_t base,
                               std::span<const std::int64_t> offsets) {
  const std::size_t closing = group == row_groups - 1 ? 1 : 0;
  std::vector<std::int64_t> of_file(offsets.size() - 1 + closing);
  std::transform(offsets.begin(), offsets.begin() + static_cast<std::ptrdiff_t>(of_file.size()), of_file.begin(),
                 [&](std::int64_t offset) { return base + offset; });
  write_segment(array, group, of_file.data());
}

void SideWriter::write_features(int group, std::span<const float> values, std::span<const std::uint32_t> present) {
  SPAR_ASSERT(plan_.kind == SideKind::features &&
              values.size() == rows_of(group) * static_cast<std::size_t>(plan_.width));
  write_segment("", group, values.data());
  if (plan_.missing == 0) return;
  SPAR_ASSERT(present.size() == rows_of(group));
  write_segment("present", group, present.data());
}

void SideWriter::write_codes(int group, std::span<const std::uint32_t> codes) {
  SPAR_ASSERT(plan_.kind == SideKind::attribute && codes.size() == rows_of(group));
  write_segment("", group, codes.data());
}

void SideWriter::write_values(std::span<const std::string> values) {
  SPAR_ASSERT(plan_.kind == SideKind::attribute && static_cast<Index>(values.size()) == plan_.width);
  writer_.write_texts(path("values"), plan_.text_bytes, 0, values);
}

void SideWriter::write_sparse(int group, const SparseSlice& slice) {
  SPAR_ASSERT(plan_.kind == SideKind::bag || plan_.kind == SideKind::graph);
  const auto g = static_cast<std::size_t>(group);
  const bool weighted = plan_.weighted || plan_.kind == SideKind::bag;
  SPAR_ASSERT(slice.offsets.size() == rows_of(group) + 1 && slice.offsets.front() == 0);
  SPAR_ASSERT(slice.offsets.back() == static_cast<std::int64_t>(slice.columns.size()));
  SPAR_ASSERT(entry_offsets_[0][g] + slice.offsets.back() == entry_offsets_[0][g + 1]);
  SPAR_ASSERT(slice.weights.size() == (weighted ? slice.columns.size() : 0));
  write_offsets("offsets", group, entry_offsets_[0][g], slice.offsets);
  write_segment(plan_.kind == SideKind::bag ? "entries" : "neighbours", group, slice.columns.data());
  if (weighted) write_segment("weights", group, slice.weights.data());
}

void SideWriter::write_vocabulary(int group, std::span<const std::string> words) {
  SPAR_ASSERT(plan_.kind == SideKind::bag || plan_.kind == SideKind::tags);
  SPAR_ASSERT(static_cast<Index>(words.size()) == Partition({plan_.width, row_groups}).size(group));
  writer_.write_texts(path(plan_.kind == SideKind::bag ? "vocabulary" : "ids"), plan_.text_bytes, group, words);
}

void SideWriter::write_posts(Part part, int group, const PostSlice& slice) {
  const auto g = static_cast<std::size_t>(group);
  const std::vector<std::int64_t>& posts = post_offsets_[static_cast<std::size_t>(part)];
  const std::vector<std::int64_t>& tags = entry_offsets_[static_cast<std::size_t>(part)];
  SPAR_ASSERT(plan_.kind == SideKind::tags && slice.offsets.size() == rows_of(group) + 1);
  SPAR_ASSERT(posts[g] + slice.offsets.back() == posts[g + 1] && tags[g] + slice.tag_offsets.back() == tags[g + 1]);
  SPAR_ASSERT(slice.tag_offsets.size() == slice.items.size() + 1);
  SPAR_ASSERT(slice.times.size() == (plan_.timed ? slice.tags.size() : 0));
  const std::string name = std::string(part_name(part)) + "/";
  write_offsets(name + "offsets", group, posts[g], slice.offsets);
  write_segment(name + "items", group, slice.items.data());
  write_offsets(name + "tag_offsets", group, tags[g], slice.tag_offsets);
  write_segment(name + "tags", group, slice.tags.data());
  if (plan_.timed) write_segment(name + "times", group, slice.times.data());
}

void SideWriter::write_dislikes(int group, const DislikeSlice& slice) {
  const auto g = static_cast<std::size_t>(group);
  SPAR_ASSERT(plan_.kind == SideKind::dislikes && slice.offsets.size() == rows_of(group) + 1);
  SPAR_ASSERT(slice.offsets.back() == static_cast<std::int64_t>(slice.items.size()));
  SPAR_ASSERT(entry_offsets_[0][g] + slice.offsets.back() == entry_offsets_[0][g + 1]);
  SPAR_ASSERT(slice.times.size() == (plan_.timed ? slice.items.size() : 0));
  write_offsets("offsets", group, entry_offsets_[0][g], slice.offsets);
  write_segment("items", group, slice.items.data());
  if (plan_.timed) write_segment("times", group, slice.times.data());
}

}  // namespace spar::data
