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
#include "spar/store/durable.hpp"

namespace spar::data_tools {

namespace {
constexpr std::uint64_t slab_bytes = std::uint64_t{4} << 20;
}  // namespace

std::size_t spill_memory(std::int64_t mebibytes) {
  const std::size_t wanted = static_cast<std::size_t>(mebibytes < 0 ? 512 : mebibytes) << 20;
  const std::size_t machine =
      static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return std::min(wanted, machine / 16);
}

SpillFile::SpillFile(const SpillPlace& place)
    : memory_(place.memory / slab_bytes * slab_bytes), slabs_(memory_ / slab_bytes) {
  folder_ = std::filesystem::path(place.target).parent_path().string();
  if (folder_.empty()) folder_ = ".";
  std::string name = folder_ + "/.spar-import-XXXXXX";
  descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor_ < 0) store::throw_system_failure("cannot write in", folder_, errno);
  ::unlink(name.c_str());
}

SpillFile::~SpillFile() {
  ::close(descriptor_);
}

char* SpillFile::slab(std::uint64_t index) {
  const std::scoped_lock lock(mutex_);
  std::unique_ptr<char[]>& memory = slabs_[index];
  if (!memory) memory = std::make_unique_for_overwrite<char[]>(slab_bytes);
  return memory.get();
}

/// Calls copy(slab, place in the slab, place in the extent, size) for the pieces of an extent in memory.
template <class Copy>
void SpillFile::for_pieces(const Extent& extent, const Copy& copy) {
  std::uint64_t done = 0;
  while (done < extent.bytes) {
    const std::uint64_t at = extent.offset + done;
    const std::uint64_t size = std::min(extent.bytes - done, slab_bytes - at % slab_bytes);
    copy(at / slab_bytes, at % slab_bytes, done, size);
    done += size;
  }
}

SpillFile::Extent SpillFile::append(const void* bytes, std::size_t size) {
  const Extent extent{end_.fetch_add(size), size};
  const char* from = static_cast<const char*>(bytes);
  if (!in_memory(extent)) {
    write(extent, from);
    return extent;
  }
  for_pieces(extent, [&](std::uint64_t index, std::uint64_t place, std::uint64_t done, std::uint64_t count) {
    std::memcpy(slab(index) + place, from + done, count);
  });
  return extent;
}

void SpillFile::write(const Extent& extent, const char* bytes) {
  std::size_t done = 0;
  while (done < extent.bytes) {
    const ssize_t written =
        ::pwrite(descriptor_, bytes + done, extent.bytes - done, static_cast<off_t>(extent.offset + done));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      throw EnvironmentError(fmt::format("temporary data in {} cannot be written: {}", folder_,
                                         std::strerror(written == 0 ? ENOSPC : errno)));
    }
    done += static_cast<std::size_t>(written);
  }
}

void SpillFile::read(const Extent& extent, void* bytes) const {
  char* to = static_cast<char*>(bytes);
  if (in_memory(extent)) {
    for_pieces(extent, [&](std::uint64_t index, std::uint64_t place, std::uint64_t done, std::uint64_t count) {
      std::memcpy(to + done, slabs_[index].get() + place, count);
    });
    return;
  }
  std::size_t done = 0;
  while (done < extent.bytes) {
    const ssize_t got = ::pread(descriptor_, to + done, extent.bytes - done, static_cast<off_t>(extent.offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      throw EnvironmentError(
          fmt::format("temporary data in {} cannot be read back: {}", folder_, std::strerror(got == 0 ? EIO : errno)));
    }
    done += static_cast<std::size_t>(got);
  }
}

Buckets::Buckets(SpillFile& file, std::size_t buckets, std::size_t buffer_bytes)
    : file_(file),
      buffer_bytes_(buffer_bytes),
      buffers_(std::make_unique_for_overwrite<char[]>(buckets * buffer_bytes)),
      fill_(buckets),
      extents_(buckets) {}

void Buckets::flush(std::size_t bucket) {
  if (fill_[bucket] == 0) return;
  extents_[bucket].push_back(file_.append(buffers_.get() + bucket * buffer_bytes_, fill_[bucket]));
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
  std::memcpy(bytes.data() + at, buffers_.get() + bucket * buffer_bytes_, fill_[bucket]);
}

}  // namespace spar::data_tools
