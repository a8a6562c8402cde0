#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "checkpoint_plan.hpp"
#include "segment_hasher.hpp"

/// Writing one part file of a checkpoint, from blocks of rows of any rank.
namespace spar::store {

/// Copies rows of a table to a block: all rows of the first field, then all of the second, and so on.
void pack_rows(const TableRows& table, const RowRange& rows, float* block);

/// The pending gradients of one table within one part, gathered from its ranks.
struct PartPending {
  std::vector<Index> rows;
  std::vector<float> values;
};

class PartWriter {
 public:
  /// Creates the file and writes the pending rows. Throws what ArrayFileWriter throws.
  PartWriter(const CheckpointManifest& manifest, int part, const std::string& directory, const std::string& nonce,
             const std::vector<PartPending>& pending);

  /// The next rows of manifest.tables[table], ascending, packed as by pack_rows.
  void add(std::size_t table, const RowRange& rows, const float* block);

  /// Makes the file durable under its own name and says what the manifest needs.
  CheckpointManifest::Part commit();

 private:
  struct Column {
    std::string array;
    int columns = 0;
    SegmentHasher hasher;
  };
  struct Table {
    Index first_row = 0;
    std::vector<Column> columns;
  };

  std::string path_;
  CheckpointManifest::Part entry_;
  ArrayFileWriter file_;
  std::vector<Table> tables_;
};

}  // namespace spar::store
