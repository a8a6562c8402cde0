#pragma once
#include <functional>
#include <vector>

#include "checkpoint_plan.hpp"

/// Reading one part file of a checkpoint: only what matches its checksums comes out.
namespace spar::store {

class PartReader {
 public:
  /// Opens the part; UserError where it is missing, truncated, of another kind, or not the one that the manifest names.
  PartReader(const CheckpointManifest& manifest, int part);

  using Rows = std::function<void(const RowRange& rows, const float* values)>;
  /// Reads the rows of `wanted` (global) of a field that lie in this part, and what else their row groups hold, in
  /// blocks; a block is handed on before its groups are known to be sound, and the UserError that names table, field
  /// and rows comes at the end of the group.
  void read(const CheckpointManifest::Table& table, const Field& field, const RowRange& wanted, const Rows& consume);

  struct Pending {
    std::vector<Index> rows;
    std::vector<float> values;
  };
  Pending read_pending(const CheckpointManifest::Pending& pending);

 private:
  [[noreturn]] void damaged(const std::string& what) const;
  void check_array(const std::string& array, ElementType type, Index rows, Index columns, std::size_t segments) const;

  const CheckpointManifest& manifest_;
  int part_;
  ArrayFile file_;
  std::vector<float> block_;
};

}  // namespace spar::store
