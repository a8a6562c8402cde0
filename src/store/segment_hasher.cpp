#include "segment_hasher.hpp"

#include <algorithm>
#include <utility>

#include <xxhash.h>

#include "spar/store/array_file.hpp"

namespace spar::store {

struct alignas(64) SegmentHasher::Stream {
  XXH3_state_t state;
};

SegmentHasher::SegmentHasher(std::vector<Index> boundaries, std::int64_t row_bytes, int first_segment)
    : boundaries_(std::move(boundaries)),
      row_bytes_(row_bytes),
      segment_(first_segment),
      row_(boundaries_[static_cast<std::size_t>(first_segment)]),
      stream_(std::make_unique<Stream>()) {}
SegmentHasher::SegmentHasher(SegmentHasher&&) noexcept = default;
SegmentHasher& SegmentHasher::operator=(SegmentHasher&&) noexcept = default;
SegmentHasher::~SegmentHasher() = default;

void SegmentHasher::add(const void* rows, Index count, const Found& found) {
  const auto* bytes = static_cast<const char*>(rows);
  while (count > 0) {
    while (boundaries_[static_cast<std::size_t>(segment_) + 1] == row_) ++segment_;
    const Index begin = boundaries_[static_cast<std::size_t>(segment_)];
    const Index end = boundaries_[static_cast<std::size_t>(segment_) + 1];
    const Index taken = std::min(count, end - row_);
    const auto size = static_cast<std::size_t>(taken * row_bytes_);
    const bool starts = row_ == begin;
    const bool ends = row_ + taken == end;
    if (starts && ends) {
      found(segment_, checksum(bytes, size));
    } else {
      if (starts) XXH3_64bits_reset(&stream_->state);
      XXH3_64bits_update(&stream_->state, bytes, size);
      if (ends) found(segment_, XXH3_64bits_digest(&stream_->state));
    }
    row_ += taken;
    bytes += size;
    count -= taken;
  }
}

}  // namespace spar::store
