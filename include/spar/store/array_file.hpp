#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "spar/base/sharding.hpp"
#include "spar/base/types.hpp"

/// HDF5 files made of contiguous arrays whose rows carry an XXH3-64 checksum for each segment (docs/formats.md). HDF5
/// lays the file out; the values are then written at their offsets with pwrite, by any number of ranks and threads at
/// once, so the bytes do not depend on who wrote them. h5py reads such files unaided.
namespace spar::store {

enum class ElementType {
  i32,
  u32,
  i64,
  u64,
  f32,
  f64,
  text
};  ///< text: fixed-size, NUL-padded UTF-8; its size in bytes is ArraySpec::text_size

std::size_t element_bytes(ElementType type, std::size_t text_size = 0);

/// One array: `rows` x `columns` (columns = 1: a vector) cut into segments for checksums. segment_rows[k] ..
/// segment_rows[k+1] are the rows of segment k; segment_rows.front() = 0, .back() = rows, at least one segment. Row
/// arrays use the 1,024 row groups; arrays by interaction use the groups' offsets.
struct ArraySpec {
  std::string path;  ///< "/train/items"
  ElementType type = ElementType::f32;
  std::size_t text_size = 0;
  Index rows = 0;
  Index columns = 1;
  std::vector<Index> segment_rows;
};

/// The boundaries floor(g * rows / 1024) of the row groups, g = 0 .. 1024.
std::vector<Index> group_boundaries(Index rows);

/// Attributes of a group ("/" is the file). Values are text (up to 60,000 bytes), integers or reals. "content" of "/"
/// is the writer's own.
struct Attribute {
  std::string group;
  std::string name;
  enum class Kind { text, integer, real } kind = Kind::text;
  std::string text;
  std::int64_t integer = 0;
  double real = 0;
  static Attribute of(std::string group, std::string name, std::string value);
  static Attribute of(std::string group, std::string name, std::int64_t value);
  static Attribute of(std::string group, std::string name, double value);
};

/// Writes one file under a temporary name and renames it when all is durable. The constructing process lays the file
/// out; others may join with `open_existing`.
class ArrayFileWriter {
 public:
  /// Creates `final_path` + ".partial-<nonce>" with all arrays allocated (posix_fallocate: a full disk shows here).
  /// Throws EnvironmentError for what the file system lacks (space) and UserError for what it forbids (no such
  /// directory, no permission). Identical specs and attributes give identical bytes (no times are tracked). Segments
  /// without rows need no write. One process calls this.
  static ArrayFileWriter create(const std::string& final_path, const std::vector<ArraySpec>& arrays,
                                const std::vector<Attribute>& attributes, const std::string& nonce);
  /// Another rank's view of the file that create() made; the two agree on specs and nonce.
  static ArrayFileWriter open_existing(const std::string& final_path, const std::vector<ArraySpec>& arrays,
                                       const std::string& nonce);

  ArrayFileWriter(ArrayFileWriter&&) noexcept;
  ArrayFileWriter& operator=(ArrayFileWriter&&) noexcept;
  ~ArrayFileWriter();  ///< without commit(): the creator removes the temporary file

  /// Writes rows [first_row, first_row + count) of an array; `values` holds count x columns elements, packed.
  /// Thread-safe for disjoint rows.
  void write(const std::string& path, Index first_row, Index count, const void* values);
  /// Writes the checksum of one segment, computed over its packed bytes. Every segment with rows of every array needs
  /// one before commit().
  void write_checksum(const std::string& path, int segment, std::uint64_t checksum);
  /// write() of one whole segment and write_checksum() of its bytes.
  void write_segment(const std::string& path, int segment, const void* values);

  /// Flushes this process's writes to disk (fsync). Every writer calls it before the creator's commit().
  void flush();
  /// fsync, sets the attribute "content" of "/" (XXH3 of all checksums, by path), renames to the final name, fsync of
  /// the directory. Creator only.
  void commit();

 private:
  struct State;
  explicit ArrayFileWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Reads and verifies; the structure is read once, on open, and values with pread, so that any number of threads may
/// read at once. Every failure is a UserError with one sentence: missing file; not an HDF5 file; an HDF5 file of
/// another kind; a newer version than this program knows; truncated; a missing array or attribute; a checksum that does
/// not match (file, array, rows).
class ArrayFile {
 public:
  /// Opens `path`, which must carry "format" = `format` and "version" <= `newest_version` at "/".
  static ArrayFile open(const std::string& path, const std::string& format, std::int64_t newest_version);

  ArrayFile(ArrayFile&&) noexcept;
  ArrayFile& operator=(ArrayFile&&) noexcept;
  ~ArrayFile();

  const std::string& path() const;
  bool has(const std::string& array) const;
  Index rows(const std::string& array) const;
  Index columns(const std::string& array) const;
  std::size_t text_size(const std::string& array) const;
  ElementType type(const std::string& array) const;
  int segments(const std::string& array) const;
  std::vector<std::string> arrays() const;  ///< paths of all arrays, checksums excluded, sorted

  bool has_attribute(const std::string& group, const std::string& name) const;
  std::string text_attribute(const std::string& group, const std::string& name) const;
  std::int64_t integer_attribute(const std::string& group, const std::string& name) const;
  double real_attribute(const std::string& group, const std::string& name) const;

  /// Reads rows [first_row, first_row + count) into `values` (count x columns packed elements of the array's own type).
  void read(const std::string& array, Index first_row, Index count, void* values) const;
  /// Compares the checksum of one segment with its packed bytes; throws the "checksum" sentence.
  void verify(const std::string& array, int segment, Index first_row, const void* values, std::size_t bytes) const;
  /// Reads whole segments [first_segment, end_segment), whose boundary rows the caller knows, and verifies each.
  void read_segments(const std::string& array, const std::vector<Index>& segment_rows, int first_segment,
                     int end_segment, void* values) const;
  /// The stored checksums of an array.
  std::vector<std::uint64_t> checksums(const std::string& array) const;
  /// What the attribute "content" must be, from the stored checksums: 16 hexadecimal digits.
  std::string content_of_checksums() const;

 private:
  struct State;
  explicit ArrayFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// XXH3-64 of bytes.
std::uint64_t checksum(const void* bytes, std::size_t size);

}  // namespace spar::store
