#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// Intermediate records on disk. The file lies beside the target and has no name: whatever ends the program, the system
/// takes it back.
namespace spar::data_tools {

class SpillFile {
 public:
  struct Extent {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };

  /// In the folder of `target`. EnvironmentError where that cannot be written.
  explicit SpillFile(const std::string& target);
  ~SpillFile();
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;

  /// Any number of threads. EnvironmentError: the disk is full.
  Extent append(const void* bytes, std::size_t size);
  void read(const Extent& extent, void* bytes) const;

 private:
  std::string folder_;
  int descriptor_;
  std::atomic<std::uint64_t> end_{0};
};

/// Byte strings sorted into buckets; each bucket keeps the order in which it was given its strings. One thread at a
/// time.
class Buckets {
 public:
  Buckets(SpillFile& file, std::size_t buckets, std::size_t buffer_bytes);

  /// Room for `size` more bytes at the end of a bucket, to be filled before the next call. size <= buffer_bytes.
  char* extend(std::size_t bucket, std::size_t size) {
    if (fill_[bucket] + size > buffer_bytes_) flush(bucket);
    char* at = buffers_.data() + bucket * buffer_bytes_ + fill_[bucket];
    fill_[bucket] += size;
    return at;
  }
  void append(std::size_t bucket, const void* bytes, std::size_t size);

  std::size_t count() const { return fill_.size(); }
  std::uint64_t bytes(std::size_t bucket) const;
  /// Appends a bucket's bytes to `bytes`. Any number of threads, once nothing is added any more.
  void load(std::size_t bucket, std::vector<char>& bytes) const;

 private:
  void flush(std::size_t bucket);

  SpillFile& file_;
  std::size_t buffer_bytes_;
  std::vector<char> buffers_;
  std::vector<std::size_t> fill_;
  std::vector<std::vector<SpillFile::Extent>> extents_;
};

}  // namespace spar::data_tools
