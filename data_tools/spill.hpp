#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

/// Intermediate records: the first of them in memory, the others on disk.
namespace spar::data_tools {

/// Where intermediate records go.
struct SpillPlace {
  std::string target;      ///< a file beside which temporary data may lie
  std::size_t memory = 0;  ///< bytes of each stage that stay in memory
};

/// At most `mebibytes` and a sixteenth of the machine's memory; `mebibytes` < 0: 512.
std::size_t spill_memory(std::int64_t mebibytes);

/// Append and read. What does not fit the memory lies in a file without a name: whatever ends the program, the system
/// takes it back.
class SpillFile {
 public:
  struct Extent {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };

  /// Where the target's folder cannot be written: UserError or EnvironmentError, as store::throw_system_failure.
  explicit SpillFile(const SpillPlace& place);
  ~SpillFile();
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;

  /// Any number of threads. EnvironmentError: the disk is full.
  Extent append(const void* bytes, std::size_t size);
  void read(const Extent& extent, void* bytes) const;

 private:
  bool in_memory(const Extent& extent) const { return extent.offset + extent.bytes <= memory_; }
  char* slab(std::uint64_t index);
  void write(const Extent& extent, const char* bytes);
  template <class Copy>
  static void for_pieces(const Extent& extent, const Copy& copy);

  std::string folder_;
  int descriptor_;
  std::uint64_t memory_;
  std::atomic<std::uint64_t> end_{0};
  std::mutex mutex_;
  std::vector<std::unique_ptr<char[]>> slabs_;  ///< the first memory_ bytes; each is made when it is first written
};

/// Byte strings sorted into buckets; each bucket keeps the order in which it was given its strings. One thread at a
/// time.
class Buckets {
 public:
  Buckets(SpillFile& file, std::size_t buckets, std::size_t buffer_bytes);

  /// Room for `size` more bytes at the end of a bucket, to be filled before the next call. size <= buffer_bytes.
  char* extend(std::size_t bucket, std::size_t size) {
    if (fill_[bucket] + size > buffer_bytes_) flush(bucket);
    char* at = buffers_.get() + bucket * buffer_bytes_ + fill_[bucket];
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
  std::unique_ptr<char[]> buffers_;  ///< of all buckets; touched as they are used
  std::vector<std::size_t> fill_;
  std::vector<std::vector<SpillFile::Extent>> extents_;
};

}  // namespace spar::data_tools
