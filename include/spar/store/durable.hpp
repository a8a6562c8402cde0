#pragma once
#include <string>

/// Files that are complete or absent, whatever happens to the machine.
///
/// What the system refuses is told apart by its reason: a path on which nobody could write (a missing directory, a
/// directory without permission, a read-only file system) is the user's to change and a UserError; a full disk, a quota
/// or a failing device is an EnvironmentError. Both are one sentence that names the path and the system's reason.
namespace spar::store {

/// Throws the failure of `action` ("cannot write", "cannot create the directory") on `path` with the reason of
/// `error_number` (errno).
[[noreturn]] void throw_system_failure(const std::string& action, const std::string& path, int error_number);

/// 16 hexadecimal digits that no other process has (from the system's entropy); marks temporary files and locks, never
/// enters results.
std::string make_nonce();

/// Writes `text` to a temporary name beside `path`, fsync, rename, fsync of the directory. On failure the temporary
/// file is gone and `path` untouched.
void write_durably(const std::string& path, const std::string& text);

/// fsync of a file or directory.
void sync_path(const std::string& path);

/// Renames and makes the rename durable (fsync of the directory).
void rename_durably(const std::string& from, const std::string& to);

/// The whole file as text; UserError where it cannot be read.
std::string read_text(const std::string& path);

/// Creates a directory and its parents.
void make_directories(const std::string& path);

}  // namespace spar::store
