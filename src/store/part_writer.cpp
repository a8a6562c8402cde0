#include "part_writer.hpp"

#include <cstring>
#include <filesystem>
#include <system_error>

#include "spar/base/error.hpp"
#include "spar/store/durable.hpp"

namespace spar::store {

namespace {

std::vector<Index> counts(const std::vector<PartPending>& pending) {
  std::vector<Index> result;
  for (const PartPending& p : pending) result.push_back(static_cast<Index>(p.rows.size()));
  return result;
}

}  // namespace

void pack_rows(const TableRows& table, const RowRange& rows, float* block) {
  for (const Field& field : table.fields) {
    const auto width = static_cast<std::size_t>(field.columns);
    const float* record = table.records + (rows.begin - table.first_row) * table.stride + field.offset;
    for (Index k = 0; k < rows.size(); ++k) {
      std::memcpy(block, record, width * sizeof(float));
      block += width;
      record += table.stride;
    }
  }
}

PartWriter::PartWriter(const CheckpointManifest& manifest, int part, const std::string& directory,
                       const std::string& nonce, const std::vector<PartPending>& pending)
    : path_(directory + "/" + part_file(part)),
      file_(ArrayFileWriter::create(path_, part_arrays(manifest, part, counts(pending)),
                                    part_attributes(manifest, part), nonce)) {
  entry_.file = part_file(part);
  for (const auto& table : manifest.tables) {
    Table& mine = tables_.emplace_back();
    mine.first_row = part_rows(table.rows, manifest.parts, part).begin;
    const auto segments = part_segments(table.rows, manifest.parts, part);
    for (const Field& field : table.fields)
      mine.columns.push_back({field_array(table.name, field.name), field.columns,
                              SegmentHasher(segments, field.columns * static_cast<std::int64_t>(sizeof(float)))});
  }
  for (std::size_t k = 0; k < pending.size(); ++k) {
    if (pending[k].rows.empty()) continue;
    file_.write_segment(pending_rows_array(manifest.pending[k].table), 0, pending[k].rows.data());
    file_.write_segment(pending_values_array(manifest.pending[k].table), 0, pending[k].values.data());
  }
}

void PartWriter::add(std::size_t table, const RowRange& rows, const float* block) {
  Table& mine = tables_[table];
  for (Column& column : mine.columns) {
    SPAR_ASSERT(column.hasher.next_row() == rows.begin - mine.first_row);
    file_.write(column.array, rows.begin - mine.first_row, rows.size(), block);
    column.hasher.add(block, rows.size(), [&](int segment, std::uint64_t checksum) {
      file_.write_checksum(column.array, segment, checksum);
    });
    block += rows.size() * column.columns;
  }
}

CheckpointManifest::Part PartWriter::commit() {
  file_.commit();
  entry_.content = ArrayFile::open(path_, part_format, checkpoint_version).text_attribute("/", "content");
  std::error_code failure;
  entry_.bytes = static_cast<std::int64_t>(std::filesystem::file_size(path_, failure));
  if (failure) throw_system_failure("cannot write", path_, failure.value());
  return entry_;
}

}  // namespace spar::store
