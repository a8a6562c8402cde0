#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace spar::store {

/// The "content" of a file: XXH3-64 of all checksums, arrays in the order of their paths, as 16 hexadecimal digits.
std::string content_of(const std::map<std::string, std::vector<std::uint64_t>>& checksums_by_path);

}  // namespace spar::store
