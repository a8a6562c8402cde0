#include "spar/store/durable.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <sys/random.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "descriptor.hpp"
#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::store {

namespace {

// Reasons that another path or permission would cure.
bool is_users_fault(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EEXIST:
    case EACCES:
    case EPERM:
    case EROFS:
    case ENAMETOOLONG:
    case ELOOP:
      return true;
    default:
      return false;
  }
}

}  // namespace

void throw_system_failure(const std::string& action, const std::string& path, int error_number) {
  std::string reason = std::generic_category().message(error_number);
  std::transform(reason.begin(), reason.begin() + 1, reason.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const std::string sentence = fmt::format("{} {}: {}", action, path, reason);
  if (is_users_fault(error_number)) throw UserError(sentence);
  throw EnvironmentError(sentence);
}

std::string make_nonce() {
  std::uint64_t nonce = 0;
  if (::getentropy(&nonce, sizeof nonce) != 0)
    throw EnvironmentError("the system gives no random bytes (getentropy fails)");
  return fmt::format("{:016x}", nonce);
}

void write_durably(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".partial-" + make_nonce();
  try {
    const Descriptor file = open_descriptor(temporary, O_WRONLY | O_CREAT | O_EXCL, "cannot write", path);
    write_fully(file, path, text.data(), text.size(), 0);
    sync_descriptor(file, path);
    rename_durably(temporary, path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
}

void sync_path(const std::string& path) {
  sync_descriptor(open_descriptor(path, O_RDONLY, "cannot make durable", path), path);
}

void rename_durably(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) throw_system_failure("cannot write", to, errno);
  sync_path(directory_of(to));
}

std::string read_text(const std::string& path) {
  try {
    const Descriptor file = open_descriptor(path, O_RDONLY, "cannot read", path);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) throw_system_failure("cannot read", path, errno);
    std::string text;
    constexpr std::size_t piece = std::size_t{1} << 16;
    const std::size_t expected = std::max(piece, static_cast<std::size_t>(std::max<off_t>(status.st_size, 0)) + 1);
    for (std::size_t got = expected; got == expected;) {
      const std::size_t size = text.size();
      text.resize(size + expected);
      got = read_fully(file, path, text.data() + size, expected, static_cast<std::int64_t>(size));
      text.resize(size + got);
    }
    return text;
  } catch (const EnvironmentError& failure) {
    throw UserError(failure.what());
  }
}

void make_directories(const std::string& path) {
  std::error_code failure;
  std::filesystem::create_directories(path, failure);
  if (failure) throw_system_failure("cannot create the directory", path, failure.value());
}

}  // namespace spar::store
