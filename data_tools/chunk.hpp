#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data_tools/text_source.hpp"

/// A piece of a text that ends with a line, and what was read from it. Chunks pass the stages of the importer in turn;
/// their memory is used again.
namespace spar::data_tools {

/// An id as it stands in a chunk: a whole number below 10^18 without leading zeros as itself; any other text as
/// text_mark | length << 55 | place in the text.
using IdKey = std::uint64_t;

inline constexpr IdKey text_mark = IdKey{1} << 63;
inline constexpr std::size_t longest_id = 255;  ///< bytes
inline IdKey text_key(std::size_t place, std::size_t length) {
  return text_mark | IdKey{length} << 55 | IdKey{place};
}
inline bool is_text(IdKey key) {
  return (key & text_mark) != 0;
}
inline std::string_view key_text(IdKey key, const char* text) {
  return {text + (key & ((IdKey{1} << 55) - 1)), static_cast<std::size_t>((key >> 55) & 255)};
}

/// What is wrong in a line. `line` counts from 0 at the chunk's start, `column` from 1; 0 where no column is to blame.
struct LineError {
  std::int64_t line = 0;
  int column = 0;
  std::string what;
};

struct Chunk {
  bool first = false, last = false;  ///< of its input
  std::vector<char> text;            ///< text[0 .. size), ending in '\n'; at least 16 readable bytes follow
  std::size_t size = 0;

  std::vector<IdKey> users, items;
  std::vector<float> ratings;
  std::vector<std::int64_t> times;
  std::vector<std::uint32_t> user_index, item_index;
  std::int64_t lines = 0, empty_lines = 0, empty_lists = 0;
  std::optional<LineError> line_error;
  std::string broken;  ///< a sentence: the input could not be read beyond this chunk

  void clear_rows();
};

/// Cuts one text into chunks at line ends.
class ChunkReader {
 public:
  ChunkReader(TextSource& source, std::size_t chunk_bytes);
  /// Fills the next chunk; false when the text is over. A failure to read is stored in chunk.broken, behind the lines
  /// that were still whole.
  bool next(Chunk& chunk);

 private:
  std::size_t fill(Chunk& chunk, std::size_t size);

  TextSource& source_;
  std::size_t chunk_bytes_;
  std::vector<char> rest_;  ///< the unfinished line behind the last chunk
  bool first_ = true;
  bool over_ = false;
};

/// The lines at the head of a text without their ends, at most `count`, as long as they lie in the first 256 KiB.
std::vector<std::string> head_lines(TextSource& source, std::size_t count);

}  // namespace spar::data_tools
