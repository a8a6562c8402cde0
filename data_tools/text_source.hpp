#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

/// Bytes of a text file, of a gzip file or of standard input.
namespace spar::data_tools {

class TextSource {
 public:
  /// Opens `path` ("-": standard input). Gzip is known by its first bytes, whatever the name. UserError: missing, a
  /// directory, unreadable, or packed in a way spar does not read (zip, zstd, xz, bzip2, Parquet, HDF5: the sentence
  /// names it).
  static std::unique_ptr<TextSource> open(const std::string& path);
  ~TextSource();

  /// The first bytes, at most `size`, without consuming them. Only before the first read().
  std::string_view peek(std::size_t size);
  /// Up to `size` bytes; fewer only at the end. UserError for damaged gzip data.
  std::size_t read(char* bytes, std::size_t size);

  /// Reads on to the end where the text is packed: damage then shows as such, whatever was made of the bytes before it.
  void check_rest();

  const std::string& name() const { return name_; }  ///< for sentences: the path or "standard input"

 private:
  struct Inflater;
  TextSource(std::string name, int descriptor);
  std::size_t read_raw(char* bytes, std::size_t size);
  std::size_t read_through(char* bytes, std::size_t size);
  void refuse_other_formats() const;

  std::string name_;
  int descriptor_;
  std::string head_;  ///< raw bytes read while looking at the format
  std::size_t head_used_ = 0;
  std::string peeked_;
  std::size_t peeked_used_ = 0;
  std::unique_ptr<Inflater> inflater_;
};

}  // namespace spar::data_tools
