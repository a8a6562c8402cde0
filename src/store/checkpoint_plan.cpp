#include "checkpoint_plan.hpp"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

namespace spar::store {

namespace {

void add_group(std::vector<Attribute>& attributes, const std::string& group, const std::string& format) {
  attributes.push_back(Attribute::of(group, "format", format));
  attributes.push_back(Attribute::of(group, "version", checkpoint_version));
}

}  // namespace

int checkpoint_parts(std::int64_t bytes, int shards, std::int64_t part_bytes) {
  const std::int64_t needed = std::max<std::int64_t>(1, (bytes + part_bytes - 1) / part_bytes);
  return static_cast<int>(
      std::min<std::uint64_t>(std::bit_ceil(static_cast<std::uint64_t>(needed)), static_cast<std::uint64_t>(shards)));
}

RowRange common(const RowRange& a, const RowRange& b) {
  const Index begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

std::string part_file(int part) {
  return fmt::format("part-{:04}.h5", part);
}
std::string field_array(const std::string& table, const std::string& field) {
  return "/tables/" + table + "/" + field;
}
std::string pending_rows_array(const std::string& table) {
  return "/pending/" + table + "/rows";
}
std::string pending_values_array(const std::string& table) {
  return "/pending/" + table + "/values";
}

RowRange part_rows(Index total_rows, int parts, int part) {
  const Partition partition{total_rows, parts};
  return {partition.begin(part), partition.end(part)};
}

std::vector<Index> part_segments(Index total_rows, int parts, int part) {
  const Partition groups{total_rows, row_groups};
  const int groups_per_part = row_groups / parts;
  const Index first = groups.begin(part * groups_per_part);
  std::vector<Index> boundaries;
  boundaries.reserve(static_cast<std::size_t>(groups_per_part) + 1);
  for (int group = part * groups_per_part; group <= (part + 1) * groups_per_part; ++group)
    boundaries.push_back(groups.begin(group) - first);
  return boundaries;
}

Index block_rows(std::int64_t bytes_a_row) {
  return std::max<Index>(1, block_bytes / std::max<std::int64_t>(1, bytes_a_row));
}

std::int64_t row_bytes(const std::vector<Field>& fields) {
  std::int64_t columns = 0;
  for (const Field& field : fields) columns += field.columns;
  return columns * static_cast<std::int64_t>(sizeof(float));
}

std::int64_t table_bytes(const CheckpointManifest& manifest) {
  std::int64_t bytes = 0;
  for (const auto& table : manifest.tables) bytes += table.rows * row_bytes(table.fields);
  return bytes;
}

std::vector<ArraySpec> part_arrays(const CheckpointManifest& manifest, int part,
                                   const std::vector<Index>& pending_counts) {
  std::vector<ArraySpec> arrays;
  for (const auto& table : manifest.tables) {
    const auto segments = part_segments(table.rows, manifest.parts, part);
    for (const Field& field : table.fields)
      arrays.push_back(
          {field_array(table.name, field.name), ElementType::f32, 0, segments.back(), field.columns, segments});
  }
  for (std::size_t k = 0; k < manifest.pending.size(); ++k) {
    const auto& pending = manifest.pending[k];
    const std::vector<Index> segments = {0, pending_counts[k]};
    arrays.push_back({pending_rows_array(pending.table), ElementType::i64, 0, pending_counts[k], 1, segments});
    arrays.push_back(
        {pending_values_array(pending.table), ElementType::f32, 0, pending_counts[k], pending.columns, segments});
  }
  return arrays;
}

std::vector<Attribute> part_attributes(const CheckpointManifest& manifest, int part) {
  std::vector<Attribute> attributes;
  add_group(attributes, "/", part_format);
  attributes.push_back(Attribute::of("/", "part", std::int64_t{part}));
  attributes.push_back(Attribute::of("/", "parts", std::int64_t{manifest.parts}));
  attributes.push_back(Attribute::of("/", "shards", std::int64_t{manifest.shards}));
  add_group(attributes, "/tables", "spar-tables");
  for (const auto& table : manifest.tables) {
    const std::string group = "/tables/" + table.name;
    add_group(attributes, group, "spar-table-rows");
    attributes.push_back(
        Attribute::of(group, "first_row", std::int64_t{part_rows(table.rows, manifest.parts, part).begin}));
    attributes.push_back(Attribute::of(group, "total_rows", std::int64_t{table.rows}));
  }
  if (!manifest.pending.empty()) add_group(attributes, "/pending", "spar-pending");
  for (const auto& pending : manifest.pending) add_group(attributes, "/pending/" + pending.table, "spar-pending-rows");
  return attributes;
}

std::vector<PartDuty> duties_of(int rank, const ShardLayout& layout, int parts) {
  const int shards_per_part = layout.shards / parts;
  std::vector<PartDuty> rounds[3];
  int shared = 0;
  for (int part = 0; part < parts; ++part) {
    const int first_shard = part * shards_per_part;
    const PartDuty duty{part, layout.rank_of(first_shard), layout.rank_of(first_shard + shards_per_part - 1) + 1};
    const int round = duty.shared() ? shared++ % 2 : 2;
    if (duty.writer <= rank && rank < duty.end_rank) rounds[round].push_back(duty);
  }
  std::vector<PartDuty> duties;
  for (const auto& round : rounds) duties.insert(duties.end(), round.begin(), round.end());
  return duties;
}

}  // namespace spar::store
