#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

#include "data_tools/spill.hpp"
#include "spar/base/error.hpp"
#include "spar/base/types.hpp"

namespace spar::data_tools {

/// Records of one fixed size about rows, given in any order and read back by ranges of rows (whole row groups); within
/// a range in the order in which they were given. What lies in memory is the spill file's matter.
class RowRecords {
 public:
  /// `expected_bytes`, of all records together, decides the number of ranges, which no result depends on.
  RowRecords(SpillFile& file, Index rows, std::size_t record_bytes, std::int64_t expected_bytes);

  /// One thread at a time.
  void add(Index row, const void* record);

  int ranges() const { return static_cast<int>(buckets_.count()); }
  Index first_row(int range) const;
  int first_group(int range) const;
  int end_group(int range) const { return first_group(range + 1); }
  Index rows_of_side() const { return rows_; }
  /// Any number of threads, once nothing is added any more.
  void load(int range, std::vector<char>& bytes) const;
  /// The same for records that are structures of the record's size.
  template <class Record>
  void load(int range, std::vector<Record>& records) const {
    std::vector<char> bytes;
    load(range, bytes);
    SPAR_ASSERT(sizeof(Record) == record_bytes_);
    records.resize(bytes.size() / sizeof(Record));
    if (!records.empty()) std::memcpy(records.data(), bytes.data(), bytes.size());
  }

 private:
  Index rows_;
  std::size_t record_bytes_;
  Buckets buckets_;
};

}  // namespace spar::data_tools
