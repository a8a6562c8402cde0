#pragma once
#include <string>

#include "spar/store/checkpoint.hpp"

/// manifest.json: what makes a directory a checkpoint.
namespace spar::store {

/// The file's text; its last entry is the XXH3 of the rest.
std::string manifest_text(const CheckpointManifest& manifest);

/// Reads such a text; `checkpoint_path` is the directory it came from. UserError where it is damaged or of a newer
/// version.
CheckpointManifest parse_manifest(const std::string& text, const std::string& checkpoint_path);

/// UserError where a part file is missing or has another size than the manifest says.
void check_part_sizes(const CheckpointManifest& manifest);

/// "the checkpoint PATH is damaged: WHAT; ..." with what to do.
std::string damaged_checkpoint(const std::string& checkpoint_path, const std::string& what);

}  // namespace spar::store
