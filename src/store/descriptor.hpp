#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

/// POSIX files for the sources of this part: descriptors that close themselves, and reads and writes that are whole or
/// throw.
namespace spar::store {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();

  int get() const { return number_; }
  bool valid() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

/// Opens with O_CLOEXEC; throw_system_failure(action, shown) where the system refuses. `shown` is the name the user
/// knows.
Descriptor open_descriptor(const std::string& path, int flags, const std::string& action, const std::string& shown);

/// Writes all bytes at `offset`. Thread-safe.
void write_fully(const Descriptor& file, const std::string& path, const void* bytes, std::size_t size,
                 std::int64_t offset);

/// Reads up to `size` bytes at `offset`; fewer only at the end of the file. Thread-safe.
std::size_t read_fully(const Descriptor& file, const std::string& path, void* bytes, std::size_t size,
                       std::int64_t offset);

/// fsync; throws as the others do.
void sync_descriptor(const Descriptor& file, const std::string& path);

/// The directory that holds `path`: "." where it names none.
std::string directory_of(const std::string& path);

}  // namespace spar::store
