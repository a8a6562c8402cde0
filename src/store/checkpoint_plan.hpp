#pragma once
#include <string>
#include <vector>

#include "spar/store/array_file.hpp"
#include "spar/store/checkpoint.hpp"

/// How a checkpoint is cut into files, and who writes which rows: a pure function of tables, shards and ranks that
/// every rank computes alike.
namespace spar::store {

inline constexpr const char* checkpoint_format = "spar-checkpoint";
inline constexpr const char* part_format = "spar-checkpoint-part";
inline constexpr const char* index_format = "spar-checkpoint-index";
inline constexpr std::int64_t checkpoint_version = 1;
inline constexpr const char* manifest_file = "manifest.json";
inline constexpr const char* index_file = "index.h5";

/// Rows travel and are written in blocks of at most this many bytes.
inline constexpr std::int64_t block_bytes = std::int64_t{8} << 20;

struct RowRange {
  Index begin = 0;
  Index end = 0;
  Index size() const { return end - begin; }
};
RowRange common(const RowRange& a, const RowRange& b);

std::string part_file(int part);
/// The arrays of a table's field and of the pending rows of a table.
std::string field_array(const std::string& table, const std::string& field);
std::string pending_rows_array(const std::string& table);
std::string pending_values_array(const std::string& table);

/// The rows of a table of `total_rows` rows that lie in a part.
RowRange part_rows(Index total_rows, int parts, int part);
/// Boundaries of the row groups of that table that make up the part, counted from the part's first row.
std::vector<Index> part_segments(Index total_rows, int parts, int part);

/// How many rows of that many bytes fit a block; at least one.
Index block_rows(std::int64_t bytes_a_row);
/// The packed bytes of one row with all fields.
std::int64_t row_bytes(const std::vector<Field>& fields);
/// The packed bytes of all tables.
std::int64_t table_bytes(const CheckpointManifest& manifest);

/// The arrays and attributes of part file `part`; `pending_counts` has the pending rows of each entry of
/// manifest.pending in this part.
std::vector<ArraySpec> part_arrays(const CheckpointManifest& manifest, int part,
                                   const std::vector<Index>& pending_counts);
std::vector<Attribute> part_attributes(const CheckpointManifest& manifest, int part);

/// One part as the ranks of a launch meet in it.
struct PartDuty {
  int part = 0;
  int writer = 0;
  int end_rank = 0;  ///< ranks writer .. end_rank-1 hold rows of it
  bool shared() const { return end_rank - writer > 1; }
};
/// The parts in which `rank` takes part, in the order in which it works on them. Shared parts come first and in two
/// rounds, so that every rank meets the others of a part without waiting in a chain: a rank shares at most two parts,
/// which are neighbours among the shared ones and so fall into different rounds.
std::vector<PartDuty> duties_of(int rank, const ShardLayout& layout, int parts);

}  // namespace spar::store
