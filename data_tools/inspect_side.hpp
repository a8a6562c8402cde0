#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "spar/data/side_data.hpp"
#include "spar/store/array_file.hpp"

namespace spar::data_tools {

/// What one set of side data holds.
struct SideFindings {
  data::SideDescription side;
  Index covered = 0;                                  ///< rows that have some
  Index posts[3] = {0, 0, 0};                         ///< tags: by Part
  std::vector<std::pair<std::string, Index>> values;  ///< attribute: rows by category, by code; "" are the missing
};

/// Reads all side data of a file, a row group at a time; reading verifies.
std::vector<SideFindings> examine_side_data(const store::ArrayFile& file);

/// Lines for people, each set on a line of its own and categories below; empty where there is no side data.
std::string side_text(const std::vector<SideFindings>& findings);

/// A JSON list of objects with kind, side, name, width, rows, covered, entries, content (and values, posts).
std::string side_json(const std::vector<SideFindings>& findings);

}  // namespace spar::data_tools
