#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "spar/base/sharding.hpp"
#include "spar/base/types.hpp"
#include "spar/comm/communicator.hpp"

/// Checkpoints (docs/formats.md, "Checkpoint"): a directory that is complete or absent, whose bytes do not depend on
/// the launch that wrote it, and that loads on any rank count.
namespace spar::store {

/// Named columns of a table's records, in memory at `offset` floats from the record's start: "vector", "bias",
/// "vector.accumulator" ...
struct Field {
  std::string name;
  int columns = 0;
  int offset = 0;
};

/// One table as a rank holds it: rows [first_row, first_row + rows) of total_rows, whole shards; record k starts at
/// records + k * stride.
struct TableRows {
  std::string name;  ///< "user", "item"
  Index total_rows = 0;
  Index first_row = 0;
  Index rows = 0;
  float* records = nullptr;
  Index stride = 0;
  std::vector<Field> fields;
};

/// Gradients that wait to be applied (pipeline = 1), as this rank's owner rows hold them: row k of `rows` has `columns`
/// values at values + k * columns; rows ascend.
struct PendingRows {
  std::string table;
  int columns = 0;
  std::vector<Index> rows;
  std::vector<float> values;
};

/// What a checkpoint holds besides rows, as texts so that this part knows nothing of training.
struct CheckpointInfo {
  std::string name;      ///< directory name under checkpoints/, sorts by progress: "epoch-000012-step-000000"
  std::string progress;  ///< JSON of the trainer; comes back with the same values, not the same blanks
  std::string recipe;    ///< resolved TOML
  std::string identity;  ///< Recipe::identity() and the data set's content
  std::vector<std::pair<std::string, std::string>> id_sources;  ///< where original ids are: data set path and content
};

struct SaveReport {
  std::string path;
  std::int64_t bytes = 0;  ///< of all ranks together
  double seconds = 0;
};

/// A part file holds about this many bytes.
inline constexpr std::int64_t checkpoint_part_bytes = std::int64_t{256} << 20;

/// Writes checkpoints_dir/info.name through a temporary directory that carries `nonce`; collective. Each part file
/// holds an aligned block of shards; the rank of a part's first shard writes it, the others send it their rows (one
/// message of at most 8 MiB in flight per rank; memory: two such blocks, and the pending rows of a part). `may_commit`
/// is asked on rank 0 between blocks, so that it may touch run.lock, and right before the final rename (run.lock's
/// nonce is read again there); false ends the save. A checkpoint of the same name is replaced. On failure (disk full
/// ...) every rank throws the same AgreedError of ExitCode::environment, the temporary directory is gone and older
/// checkpoints are untouched.
SaveReport save_checkpoint(const comm::Communicator& communicator, int shards, const std::string& checkpoints_dir,
                           const std::string& nonce, const CheckpointInfo& info, const std::vector<TableRows>& tables,
                           const std::vector<PendingRows>& pending, const std::function<bool()>& may_commit,
                           std::int64_t part_bytes = checkpoint_part_bytes);

/// The number of part files for tables of `bytes` bytes altogether: the least power of two that leaves at most
/// `part_bytes` for each, from 1 to `shards`.
int checkpoint_parts(std::int64_t bytes, int shards, std::int64_t part_bytes = checkpoint_part_bytes);

/// What the manifest of a checkpoint says.
struct CheckpointManifest {
  std::string path;  ///< of the checkpoint's directory
  CheckpointInfo info;
  int shards = 0;
  int parts = 0;
  struct Table {
    std::string name;
    Index rows = 0;
    std::vector<Field> fields;  ///< offset unused
  };
  std::vector<Table> tables;
  struct Pending {
    std::string table;
    int columns = 0;
  };
  std::vector<Pending> pending;
  struct Part {
    std::string file;
    std::int64_t bytes = 0;
    std::string content;  ///< ArrayFile's "content": XXH3 of all checksums
  };
  std::vector<Part> files;  ///< by part

  const Table* find_table(const std::string& name) const;
};

/// The checkpoints under checkpoints_dir whose manifest is sound and whose files are all there with the right size,
/// newest (largest name) first. Cheap: reads no rows. `damaged`, if given, receives one sentence for each directory
/// that was a checkpoint and is skipped; what never had a manifest is none. One process calls this.
std::vector<CheckpointManifest> list_checkpoints(const std::string& checkpoints_dir,
                                                 std::vector<std::string>* damaged = nullptr);
/// The same list on every rank, read by rank 0; collective. `damaged` is filled on every rank.
std::vector<CheckpointManifest> list_checkpoints(const comm::Communicator& communicator,
                                                 const std::string& checkpoints_dir,
                                                 std::vector<std::string>* damaged = nullptr);

/// Reads one manifest; UserError where it is missing, damaged or of a newer version, or where a part is missing or has
/// another size.
CheckpointManifest read_manifest(const std::string& checkpoint_path);

/// Loads this rank's rows of the named fields (a table or field that the checkpoint lacks is a UserError) and verifies
/// every checksum; collective; any rows on any rank count, whatever count wrote them. `pending`, if given, receives the
/// pending rows of this rank's rows of these tables. Damage is an Error of ExitCode::usage naming file, table and rows,
/// the same on every rank: catch it to go on with an older checkpoint, which overwrites whatever was loaded before the
/// damage was seen.
void load_checkpoint(const comm::Communicator& communicator, const CheckpointManifest& manifest,
                     std::vector<TableRows>& tables, std::vector<PendingRows>* pending);

/// Reads all rows and compares every checksum; UserError with the first damage. One process calls this; about as fast
/// as the disk.
void verify_checkpoint(const CheckpointManifest& manifest);
/// The same by all ranks together, each some of the parts; collective, with the same Error on every rank.
void verify_checkpoint(const comm::Communicator& communicator, const CheckpointManifest& manifest);

/// Deletes all but the `keep` newest checkpoints and those named in `keep_names` (the best of each stage); rank 0 only;
/// asks `may_delete` before each. Also sweeps temporary directories that are not of `nonce`, and damaged checkpoints
/// older than all that are kept.
void sweep_checkpoints(const std::string& checkpoints_dir, int keep, const std::vector<std::string>& keep_names,
                       const std::string& nonce, const std::function<bool()>& may_delete);

}  // namespace spar::store
