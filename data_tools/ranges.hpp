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

/// What stands before one user's lists: items of train, validation, test and fold_in one after the other, rows
/// ascending in each (u32); then the ratings (f32) and the times (i64) in the same order, where the schema has them.
struct ListHead {
  std::uint32_t row = 0;
  std::array<std::uint32_t, 4> counts{};  ///< by data::Part
  std::size_t size() const { return std::size_t{counts[0]} + counts[1] + counts[2] + counts[3]; }
};
static_assert(sizeof(ListHead) == 20);

/// How many ranges for so many interactions: a power of two up to 1,024, about 2^18 interactions each.
std::size_t range_count(std::int64_t interactions);

/// The lists of one worker.
class RangeSpill {
 public:
  RangeSpill(SpillFile& file, std::size_t ranges);
  /// Room for the values of the next list, until end_list().
  char* begin_list(std::size_t bytes);
  void end_list(Index users, const ListHead& head);
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
