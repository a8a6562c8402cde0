#pragma once
#include <string>

/// Files that are complete or absent, whatever happens to the machine.
namespace spar::store {

/// 16 hexadecimal digits that no other process has (from the system's entropy); marks temporary files and locks, never enters results.
std::string make_nonce();

/// Writes `text` to a temporary name beside `path`, fsync, rename, fsync of the directory. Throws EnvironmentError with the system's reason.
void write_durably(const std::string& path, const std::string& text);

/// fsync of a file or directory. Throws EnvironmentError.
void sync_path(const std::string& path);

/// Renames and makes the rename durable (fsync of the directory).
void rename_durably(const std::string& from, const std::string& to);

/// The whole file as text; UserError where it cannot be read.
std::string read_text(const std::string& path);

/// Creates a directory and its parents; EnvironmentError with the system's reason.
void make_directories(const std::string& path);

}  // namespace spar::store
