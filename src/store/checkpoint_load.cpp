#include <algorithm>
#include <cstring>

#include "checkpoint_manifest.hpp"
#include "checkpoint_plan.hpp"
#include "part_reader.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"
#include "spar/store/checkpoint.hpp"

namespace spar::store {

namespace {

RowRange range_of(const TableRows& table) {
  return {table.first_row, table.first_row + table.rows};
}

const CheckpointManifest::Table& stored_table(const CheckpointManifest& manifest, const TableRows& wanted) {
  const auto* table = manifest.find_table(wanted.name);
  if (table == nullptr) throw UserError(fmt::format("the checkpoint {} has no table {}", manifest.path, wanted.name));
  if (table->rows != wanted.total_rows)
    throw UserError(
        fmt::format("the checkpoint {} has {} rows in table {}, but {} are needed: it belongs to another data set",
                    manifest.path, table->rows, wanted.name, wanted.total_rows));
  return *table;
}

void check_field(const CheckpointManifest& manifest, const CheckpointManifest::Table& table, const Field& wanted) {
  const auto field =
      std::find_if(table.fields.begin(), table.fields.end(), [&](const Field& f) { return f.name == wanted.name; });
  if (field == table.fields.end())
    throw UserError(
        fmt::format("the checkpoint {} has no field {} in table {}", manifest.path, wanted.name, table.name));
  if (field->columns != wanted.columns)
    throw UserError(fmt::format("the checkpoint {} has {} columns in field {} of table {}, but {} are needed",
                                manifest.path, field->columns, wanted.name, table.name, wanted.columns));
}

void check_fields(const CheckpointManifest& manifest, const std::vector<TableRows>& tables) {
  for (const TableRows& table : tables)
    for (const Field& field : table.fields) check_field(manifest, stored_table(manifest, table), field);
}

bool touches(const CheckpointManifest& manifest, int part, const std::vector<TableRows>& tables) {
  return std::any_of(tables.begin(), tables.end(), [&](const TableRows& table) {
    return common(part_rows(table.total_rows, manifest.parts, part), range_of(table)).size() > 0;
  });
}

void load_field(PartReader& file, const CheckpointManifest& manifest, const TableRows& table, const Field& field) {
  const auto width = static_cast<std::size_t>(field.columns);
  file.read(stored_table(manifest, table), field, range_of(table), [&](const RowRange& rows, const float* values) {
    float* record = table.records + (rows.begin - table.first_row) * table.stride + field.offset;
    for (Index k = 0; k < rows.size(); ++k) {
      std::memcpy(record, values, width * sizeof(float));
      values += width;
      record += table.stride;
    }
  });
}

void load_pending(PartReader& file, const CheckpointManifest& manifest, const std::vector<TableRows>& tables,
                  std::vector<PendingRows>& pending) {
  for (const auto& stored : manifest.pending) {
    const auto table =
        std::find_if(tables.begin(), tables.end(), [&](const TableRows& t) { return t.name == stored.table; });
    if (table == tables.end()) continue;
    auto mine =
        std::find_if(pending.begin(), pending.end(), [&](const PendingRows& p) { return p.table == stored.table; });
    const auto part = file.read_pending(stored);
    const auto first = std::lower_bound(part.rows.begin(), part.rows.end(), table->first_row);
    const auto last = std::lower_bound(first, part.rows.end(), table->first_row + table->rows);
    mine->rows.insert(mine->rows.end(), first, last);
    mine->values.insert(mine->values.end(), part.values.begin() + (first - part.rows.begin()) * stored.columns,
                        part.values.begin() + (last - part.rows.begin()) * stored.columns);
  }
}

void make_pending(const CheckpointManifest& manifest, const std::vector<TableRows>& tables,
                  std::vector<PendingRows>& pending) {
  pending.clear();
  for (const auto& stored : manifest.pending) {
    const bool wanted =
        std::any_of(tables.begin(), tables.end(), [&](const TableRows& t) { return t.name == stored.table; });
    if (wanted) pending.push_back({stored.table, stored.columns, {}, {}});
  }
}

void verify_part(const CheckpointManifest& manifest, int part) {
  PartReader file(manifest, part);
  for (const auto& table : manifest.tables)
    for (const Field& field : table.fields)
      file.read(table, field, {0, table.rows}, [](const RowRange&, const float*) {});
  for (const auto& pending : manifest.pending) file.read_pending(pending);
}

}  // namespace

void load_checkpoint(const comm::Communicator& communicator, const CheckpointManifest& manifest,
                     std::vector<TableRows>& tables, std::vector<PendingRows>* pending) {
  comm::agree(communicator, [&] {
    check_fields(manifest, tables);
    check_part_sizes(manifest);
    if (pending != nullptr) make_pending(manifest, tables, *pending);
    for (int part = 0; part < manifest.parts; ++part) {
      if (!touches(manifest, part, tables)) continue;
      PartReader file(manifest, part);
      for (const TableRows& table : tables)
        for (const Field& field : table.fields) load_field(file, manifest, table, field);
      if (pending != nullptr) load_pending(file, manifest, tables, *pending);
    }
  });
}

void verify_checkpoint(const CheckpointManifest& manifest) {
  check_part_sizes(manifest);
  for (int part = 0; part < manifest.parts; ++part) verify_part(manifest, part);
}

void verify_checkpoint(const comm::Communicator& communicator, const CheckpointManifest& manifest) {
  comm::agree(communicator, [&] {
    check_part_sizes(manifest);
    for (int part = communicator.rank(); part < manifest.parts; part += communicator.size())
      verify_part(manifest, part);
  });
}

}  // namespace spar::store
