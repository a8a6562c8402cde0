#include "data_tools/chunk.hpp"

#include <cstring>

#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::data_tools {

namespace {
constexpr std::size_t slack = 64;
constexpr std::size_t longest_line = std::size_t{1} << 29;
}  // namespace

void Chunk::clear_rows() {
  users.clear();
  items.clear();
  ratings.clear();
  times.clear();
  lines = empty_lines = empty_lists = 0;
  line_error.reset();
}

ChunkReader::ChunkReader(TextSource& source, std::size_t chunk_bytes) : source_(source), chunk_bytes_(chunk_bytes) {}

std::size_t ChunkReader::fill(Chunk& chunk, std::size_t size) {
  if (chunk.text.size() < chunk_bytes_ + size + slack) chunk.text.resize(chunk_bytes_ + size + slack);
  try {
    const std::size_t got = source_.read(chunk.text.data() + size, chunk_bytes_);
    over_ = got < chunk_bytes_;
    return size + got;
  } catch (const Error& error) {
    chunk.broken = error.what();
    over_ = true;
    return size;
  }
}

bool ChunkReader::next(Chunk& chunk) {
  if (over_) return false;
  chunk.clear_rows();
  chunk.broken.clear();
  chunk.first = first_;
  first_ = false;
  if (chunk.text.size() < rest_.size() + slack) chunk.text.resize(rest_.size() + slack);
  std::memcpy(chunk.text.data(), rest_.data(), rest_.size());
  std::size_t searched = rest_.size();
  std::size_t size = rest_.size();
  rest_.clear();
  while (true) {
    size = fill(chunk, size);
    if (over_) break;
    const void* end = ::memrchr(chunk.text.data() + searched, '\n', size - searched);
    if (end != nullptr) {
      const std::size_t cut = static_cast<std::size_t>(static_cast<const char*>(end) - chunk.text.data()) + 1;
      rest_.assign(chunk.text.begin() + static_cast<std::ptrdiff_t>(cut),
                   chunk.text.begin() + static_cast<std::ptrdiff_t>(size));
      chunk.size = cut;
      break;
    }
    searched = size;
    if (size > longest_line) {
      chunk.broken =
          fmt::format("{} has a line of more than {} MiB: it seems not to be text", source_.name(), longest_line >> 20);
      over_ = true;
      break;
    }
  }
  chunk.last = over_;
  if (over_) {
    // Behind a failure the last line may be cut: only whole lines are read, so that the failure itself is what gets
    // reported.
    if (!chunk.broken.empty()) {
      const void* end = ::memrchr(chunk.text.data(), '\n', size);
      size = end == nullptr ? 0 : static_cast<std::size_t>(static_cast<const char*>(end) - chunk.text.data()) + 1;
    }
    if (size > 0 && chunk.text[size - 1] != '\n') chunk.text[size++] = '\n';
    chunk.size = size;
  }
  return true;
}

std::vector<std::string> head_lines(TextSource& source, std::size_t count) {
  const std::string_view head = source.peek(std::size_t{1} << 18);
  std::vector<std::string> lines;
  std::size_t begin = 0;
  while (begin < head.size() && lines.size() < count) {
    const std::size_t end = head.find('\n', begin);
    std::string_view line = head.substr(begin, end == std::string_view::npos ? end : end - begin);
    if (lines.empty() && line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
    if (end == std::string_view::npos) break;
    begin = end + 1;
  }
  return lines;
}

}  // namespace spar::data_tools
