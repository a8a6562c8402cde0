#include "descriptor.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include "spar/store/durable.hpp"

namespace spar::store {

namespace {

// Linux moves at most 2^31 - 4096 bytes a call.
constexpr std::size_t largest_transfer = std::size_t{1} << 30;

}  // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

Descriptor open_descriptor(const std::string& path, int flags, const std::string& action, const std::string& shown) {
  const int number = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (number < 0) throw_system_failure(action, shown, errno);
  return Descriptor(number);
}

void write_fully(const Descriptor& file, const std::string& path, const void* bytes, std::size_t size,
                 std::int64_t offset) {
  const char* next = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t written = ::pwrite(file.get(), next, std::min(size, largest_transfer), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_system_failure("cannot write", path, errno);
    next += written;
    offset += written;
    size -= static_cast<std::size_t>(written);
  }
}

std::size_t read_fully(const Descriptor& file, const std::string& path, void* bytes, std::size_t size,
                       std::int64_t offset) {
  char* next = static_cast<char*>(bytes);
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = ::pread(file.get(), next + done, std::min(size - done, largest_transfer),
                                  offset + static_cast<std::int64_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_system_failure("cannot read", path, errno);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

void sync_descriptor(const Descriptor& file, const std::string& path) {
  if (::fsync(file.get()) != 0) throw_system_failure("cannot make durable", path, errno);
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace spar::store
