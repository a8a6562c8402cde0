#pragma once
#include <string>

namespace spar::data_tools {

/// What the file or directory at `path` holds, for people or (json) as one JSON object; every checksum is verified on
/// the way. A data set's object has at least "kind" = "dataset", "users", "items", "train", "validation", "test". Reads
/// a row group at a time; memory: one number for each item. Serial: one rank calls it. UserError with one sentence for
/// anything unknown or damaged.
std::string inspect(const std::string& path, bool json);

}  // namespace spar::data_tools
