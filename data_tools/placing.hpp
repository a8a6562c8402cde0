#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data_tools/blocks.hpp"
#include "data_tools/import.hpp"
#include "data_tools/split_rule.hpp"
#include "spar/base/types.hpp"

/// The last stages: rows, parts, file.
namespace spar::data_tools {

inline constexpr std::uint32_t no_row = 0xffffffffU;

/// Which row a user or item gets, and back.
struct RowMap {
  std::vector<std::uint32_t> row_of;     ///< by number; no_row: dropped
  std::vector<std::uint32_t> number_of;  ///< by row
  Index rows() const { return static_cast<Index>(number_of.size()); }
};

/// Rows dealt by data::deal_rows over the counts of what is kept: numbers below `always` only with a count, those from
/// there on in any case (items that candidate lists alone name).
RowMap deal(const std::vector<std::int64_t>& counts, std::uint32_t always);
/// Every number keeps its own row.
RowMap keep_rows(std::uint32_t rows);

/// What the file says about itself besides the interactions.
struct Title {
  std::string to;
  SpillPlace place;  ///< of intermediate records
  std::string name;
  std::string source;
  std::string filters;
};

class SideSet;

/// Splits, orders and writes, group of users by group of users; completes the report. The collection's blocks are read
/// once more, memory holds one block and one range of users for each thread. EnvironmentError for the target; the file
/// is complete or absent. `side` is finished already.
void write_dataset(const Collection& collection, const RowMap& users, const RowMap& items, const ResolvedSplit& split,
                   const Title& title, const SideSet& side, ImportReport& report);

}  // namespace spar::data_tools
