#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "data_tools/reading.hpp"
#include "data_tools/spill.hpp"
#include "spar/base/types.hpp"
#include "spar/data/dataset_writer.hpp"

/// Finished lists on their way into the file: sorted into ranges of user rows (whole groups), then written range by
/// range.
namespace spar::data_tools {

/// One user's lists: items of train, validation and test one after the other, rows ascending in each.
struct StoredList {
  std::uint32_t row = 0;
  std::array<std::uint32_t, 3> counts{};
  std::vector<std::uint32_t> items;
  std::vector<float> ratings;
  std::vector<std::int64_t> times;
  void clear(std::uint32_t new_row);
};

/// How many ranges for so many interactions: a power of two up to 1,024, about 2^18 interactions each.
std::size_t range_count(std::int64_t interactions);

/// The lists of one worker.
class RangeSpill {
 public:
  RangeSpill(SpillFile& file, std::size_t ranges);
  void add(Index users, const StoredList& list);
  void load(std::size_t range, std::vector<char>& bytes) const { buckets_.load(range, bytes); }

 private:
  Buckets buckets_;
  std::vector<char> bytes_;
};

/// Reads ranges back and hands their groups to the writer. One thread each.
class RangeWriter {
 public:
  RangeWriter(Index users, std::size_t ranges, const Schema& schema, data::DatasetWriter& writer);
  void write_parts(std::size_t range, const std::vector<const RangeSpill*>& spills);
  void write_candidates(std::size_t range, const std::vector<const RangeSpill*>& spills);

 private:
  void load(std::size_t range, const std::vector<const RangeSpill*>& spills, bool values);
  /// Collects one part of the users of a group into the arrays below.
  void gather(int group, std::size_t part, bool values);

  Index users_;
  std::size_t ranges_;
  Schema schema_;
  data::DatasetWriter& writer_;
  Index first_row_ = 0;
  std::vector<char> bytes_;
  std::vector<std::size_t> places_;  ///< by row of the range: where its list begins in bytes_, plus one; 0: it has none
  std::vector<std::int64_t> offsets_;
  std::vector<ItemId> items_;
  std::vector<float> ratings_;
  std::vector<std::int64_t> times_;
};

}  // namespace spar::data_tools
