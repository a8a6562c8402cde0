#include "part_reader.hpp"

#include <algorithm>

#include "checkpoint_manifest.hpp"
#include "segment_hasher.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::store {

namespace {

ArrayFile open_part(const CheckpointManifest& manifest, int part) {
  const auto& entry = manifest.files[static_cast<std::size_t>(part)];
  try {
    return ArrayFile::open(manifest.path + "/" + entry.file, part_format, checkpoint_version);
  } catch (const UserError& failure) {
    throw UserError(damaged_checkpoint(manifest.path, failure.what()));
  }
}

}  // namespace

PartReader::PartReader(const CheckpointManifest& manifest, int part)
    : manifest_(manifest), part_(part), file_(open_part(manifest, part)) {
  const auto& entry = manifest.files[static_cast<std::size_t>(part)];
  if (file_.text_attribute("/", "content") != entry.content || file_.content_of_checksums() != entry.content)
    damaged("is not the one that belongs to it (its checksums differ from those of the manifest)");
}

void PartReader::damaged(const std::string& what) const {
  throw UserError(damaged_checkpoint(
      manifest_.path, fmt::format("its file {} {}", manifest_.files[static_cast<std::size_t>(part_)].file, what)));
}

void PartReader::check_array(const std::string& array, ElementType type, Index rows, Index columns,
                             std::size_t segments) const {
  if (!file_.has(array)) damaged(fmt::format("lacks {}", array));
  if (file_.type(array) != type || file_.rows(array) != rows || file_.columns(array) != columns ||
      static_cast<std::size_t>(file_.segments(array)) != segments)
    damaged(fmt::format("holds {} in another shape than the manifest says", array));
}

void PartReader::read(const CheckpointManifest::Table& table, const Field& field, const RowRange& wanted,
                      const Rows& consume) {
  const RowRange here = part_rows(table.rows, manifest_.parts, part_);
  const RowRange rows = common(here, wanted);
  if (rows.size() == 0) return;
  const std::string array = field_array(table.name, field.name);
  const std::vector<Index> segments = part_segments(table.rows, manifest_.parts, part_);
  check_array(array, ElementType::f32, here.size(), field.columns, segments.size() - 1);
  const std::vector<std::uint64_t> checksums = file_.checksums(array);

  // Whole row groups, since only they have checksums.
  const auto first = std::upper_bound(segments.begin(), segments.end(), rows.begin - here.begin) - segments.begin() - 1;
  const Index end = *std::lower_bound(segments.begin(), segments.end(), rows.end - here.begin);
  SegmentHasher hasher(segments, field.columns * static_cast<std::int64_t>(sizeof(float)), static_cast<int>(first));
  const Index step = block_rows(field.columns * static_cast<std::int64_t>(sizeof(float)));
  for (Index begin = hasher.next_row(); begin < end; begin += step) {
    const Index count = std::min(step, end - begin);
    block_.resize(static_cast<std::size_t>(count * field.columns));
    file_.read(array, begin, count, block_.data());
    hasher.add(block_.data(), count, [&](int segment, std::uint64_t checksum) {
      const auto k = static_cast<std::size_t>(segment);
      if (checksum != checksums[k])
        damaged(fmt::format("does not match its checksum in table {}, field {}, rows {} to {}", table.name, field.name,
                            here.begin + segments[k], here.begin + segments[k + 1] - 1));
    });
    const RowRange wanted_here = common({here.begin + begin, here.begin + begin + count}, rows);
    if (wanted_here.size() > 0)
      consume(wanted_here, block_.data() + (wanted_here.begin - here.begin - begin) * field.columns);
  }
}

PartReader::Pending PartReader::read_pending(const CheckpointManifest::Pending& pending) {
  const std::string rows_array = pending_rows_array(pending.table);
  const std::string values_array = pending_values_array(pending.table);
  if (!file_.has(rows_array)) damaged(fmt::format("lacks {}", rows_array));
  const Index count = file_.rows(rows_array);
  check_array(rows_array, ElementType::i64, count, 1, 1);
  check_array(values_array, ElementType::f32, count, pending.columns, 1);
  Pending result;
  result.rows.resize(static_cast<std::size_t>(count));
  result.values.resize(static_cast<std::size_t>(count * pending.columns));
  if (count == 0) return result;
  try {
    file_.read_segments(rows_array, {0, count}, 0, 1, result.rows.data());
    file_.read_segments(values_array, {0, count}, 0, 1, result.values.data());
  } catch (const UserError&) {
    damaged(fmt::format("does not match its checksum in the pending rows of table {}", pending.table));
  }
  return result;
}

}  // namespace spar::store
