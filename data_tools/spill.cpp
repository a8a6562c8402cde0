#include "data_tools/spill.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::data_tools {

SpillFile::SpillFile(const std::string& target) {
  folder_ = std::filesystem::path(target).parent_path().string();
  if (folder_.empty()) folder_ = ".";
  std::string name = folder_ + "/.spar-import-XXXXXX";
  descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor_ < 0) throw EnvironmentError(fmt::format("{} cannot be written: {}", folder_, std::strerror(errno)));
  ::unlink(name.c_str());
}

SpillFile::~SpillFile() {
  ::close(descriptor_);
}

SpillFile::Extent SpillFile::append(const void* bytes, std::size_t size) {
  const Extent extent{end_.fetch_add(size), size};
  std::size_t done = 0;
  while (done < size) {
    const ssize_t written = ::pwrite(descriptor_, static_cast<const char*>(bytes) + done, size - done,
                                     static_cast<off_t>(extent.offset + done));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      throw EnvironmentError(fmt::format("temporary data in {} cannot be written: {}", folder_,
                                         std::strerror(written == 0 ? ENOSPC : errno)));
    }
    done += static_cast<std::size_t>(written);
  }
  return extent;
}

void SpillFile::read(const Extent& extent, void* bytes) const {
  std::size_t done = 0;
  while (done < extent.bytes) {
    const ssize_t got = ::pread(descriptor_, static_cast<char*>(bytes) + done, extent.bytes - done,
                                static_cast<off_t>(extent.offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      throw EnvironmentError(
          fmt::format("temporary data in {} cannot be read back: {}", folder_, std::strerror(got == 0 ? EIO : errno)));
    done += static_cast<std::size_t>(got);
  }
}

Buckets::Buckets(SpillFile& file, std::size_t buckets, std::size_t buffer_bytes)
    : file_(file), buffer_bytes_(buffer_bytes), buffers_(buckets * buffer_bytes), fill_(buckets), extents_(buckets) {}

void Buckets::flush(std::size_t bucket) {
  if (fill_[bucket] == 0) return;
  extents_[bucket].push_back(file_.append(buffers_.data() + bucket * buffer_bytes_, fill_[bucket]));
  fill_[bucket] = 0;
}

void Buckets::append(std::size_t bucket, const void* bytes, std::size_t size) {
  if (size > buffer_bytes_) {
    flush(bucket);
    extents_[bucket].push_back(file_.append(bytes, size));
  } else {
    std::memcpy(extend(bucket, size), bytes, size);
  }
}

std::uint64_t Buckets::bytes(std::size_t bucket) const {
  std::uint64_t total = fill_[bucket];
  for (const SpillFile::Extent& extent : extents_[bucket]) total += extent.bytes;
  return total;
}

void Buckets::load(std::size_t bucket, std::vector<char>& bytes) const {
  std::size_t at = bytes.size();
  bytes.resize(at + this->bytes(bucket));
  for (const SpillFile::Extent& extent : extents_[bucket]) {
    file_.read(extent, bytes.data() + at);
    at += extent.bytes;
  }
  std::memcpy(bytes.data() + at, buffers_.data() + bucket * buffer_bytes_, fill_[bucket]);
}

}  // namespace spar::data_tools
