#pragma once
#include <string>
#include <vector>

namespace spar::data_tools {

/// What the file or directory at `path` holds, for people or (json) as one JSON object: a data set, a run directory or
/// a checkpoint; every checksum is verified on the way. The object has "kind" = "dataset" with "users", "items",
/// "train", "validation", "test"; "run" or "checkpoint" with "system", "settings", "epoch", "tables"
/// (docs/formats-run.md). Reads a row group at a time; memory: one number for each item. Serial: one rank calls it.
/// UserError with one sentence for anything unknown or damaged; only a run with damaged checkpoints is shown all the
/// same, and their sentences are added to `damage`.
std::string inspect(const std::string& path, bool json, std::vector<std::string>* damage = nullptr);

}  // namespace spar::data_tools
