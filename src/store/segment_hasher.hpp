#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "spar/base/types.hpp"

namespace spar::store {

/// XXH3 of each segment of an array whose rows come in ascending order, in pieces of any size: memory does not depend
/// on the size of a segment.
class SegmentHasher {
 public:
  using Found = std::function<void(int segment, std::uint64_t checksum)>;

  /// `boundaries` as ArraySpec::segment_rows; the first row to come is that of segment `first_segment`.
  SegmentHasher(std::vector<Index> boundaries, std::int64_t row_bytes, int first_segment = 0);
  SegmentHasher(SegmentHasher&&) noexcept;
  SegmentHasher& operator=(SegmentHasher&&) noexcept;
  ~SegmentHasher();

  /// The next `count` rows; calls `found` for each segment that they complete. Segments without rows are passed over.
  void add(const void* rows, Index count, const Found& found);

  /// The row that comes next.
  Index next_row() const { return row_; }

 private:
  struct Stream;
  std::vector<Index> boundaries_;
  std::int64_t row_bytes_;
  int segment_;
  Index row_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace spar::store
