#include "data_tools/field_reader.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>

#include <fmt/format.h>

#include "data_tools/numbers.hpp"

namespace spar::data_tools {

namespace {

constexpr std::size_t chunk_bytes = std::size_t{1} << 20;
constexpr std::size_t head_count = 100;

bool looks_like_name(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalpha(static_cast<unsigned char>(c)) != 0 || std::strchr(" _.:-", c) != nullptr;
  });
}

Separator detect(const std::string& line) {
  Separator separator = detect_separator(line);
  if (separator.kind == Separator::Kind::blanks && line.find('|') != std::string::npos)
    return {Separator::Kind::byte, "|"};
  return separator;
}

}  // namespace

FieldReader::FieldReader(const std::string& path, const std::string& separator, EmptyLines empty)
    : source_(TextSource::open(path)), empty_(empty) {
  look_at_head(separator);
  reader_ = std::make_unique<ChunkReader>(*source_, chunk_bytes);
}

void FieldReader::look_at_head(const std::string& separator) {
  const std::vector<std::string> lines = head_lines(*source_, head_count);
  std::size_t at = 0;
  for (; at < lines.size() && (trimmed(lines[at]).empty() ? empty_ == EmptyLines::skipped : lines[at][0] == '#');
       ++at) {
  }
  if (at == lines.size()) throw UserError(fmt::format("{} holds no line of data", name()));
  separator_ = separator.empty() ? detect(lines[at]) : parse_separator(separator);
  skip_ = static_cast<std::int64_t>(at);
  for (std::size_t k = at; k < lines.size(); ++k) {
    if (!trimmed(lines[k]).empty()) head_.push_back(separator_.cut(lines[k]));
  }
  if (at == 0 || !lines[at - 1].starts_with('#')) return;
  const std::vector<std::string> names = separator_.cut(trimmed(std::string_view(lines[at - 1]).substr(1)));
  if (names.size() == head_[0].size()) comment_names_ = names;
}

bool FieldReader::seems_to_have_names() const {
  return head_.size() > 1 && std::all_of(head_[0].begin(), head_[0].end(), looks_like_name) &&
         std::any_of(head_[1].begin(), head_[1].end(),
                     [](const std::string& field) { return to_number(field).has_value(); });
}

void FieldReader::skip_names() {
  ++skip_;
  head_.erase(head_.begin());
}

UserError FieldReader::error(int column, const std::string& what) const {
  const std::string place = column < 0 ? "" : fmt::format(", column {}", column + 1);
  return UserError(fmt::format("{}, line {}{}: {}", name(), line_, place, what));
}

void FieldReader::require_columns(std::size_t columns, const std::string& what) const {
  if (size() == columns) return;
  throw error(-1, fmt::format("{} column{} ({} between them) where {} belong: {}", size(), size() == 1 ? "" : "s",
                              separator_.describe(), columns, what));
}

bool FieldReader::next() {
  while (true) {
    if (at_ == chunk_.size) {
      if (!chunk_.broken.empty()) throw UserError(chunk_.broken);
      if (!reader_->next(chunk_)) return false;
      at_ = chunk_.first && std::string_view(chunk_.text.data(), chunk_.size).starts_with("\xef\xbb\xbf") ? 3 : 0;
      continue;
    }
    const char* begin = chunk_.text.data() + at_;
    const char* end = static_cast<const char*>(std::memchr(begin, '\n', chunk_.size - at_));
    at_ = static_cast<std::size_t>(end - chunk_.text.data()) + 1;
    ++line_;
    if (line_ <= skip_) continue;
    const std::string_view line(begin, static_cast<std::size_t>(end - begin));
    if (trimmed(line).empty() && empty_ == EmptyLines::skipped) continue;
    cut(line);
    return true;
  }
}

void FieldReader::cut_quoted(std::string_view& line) {
  auto text = std::make_unique<std::string>();
  std::size_t at = 1;
  for (;; ++at) {
    if (at >= line.size()) throw error(static_cast<int>(fields_.size()), "a quoted field does not end on its line");
    if (line[at] == '"') {
      if (at + 1 >= line.size() || line[at + 1] != '"') break;
      ++at;
    }
    *text += line[at];
  }
  line.remove_prefix(at + 1);
  fields_.push_back(trimmed(*text));
  unquoted_.push_back(std::move(text));
}

void FieldReader::cut(std::string_view line) {
  fields_.clear();
  unquoted_.clear();
  if (separator_.kind == Separator::Kind::blanks) {
    for (line = trimmed(line); !line.empty(); line = trimmed(line)) {
      const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
      fields_.push_back(line.substr(0, end));
      line.remove_prefix(end);
    }
    return;
  }
  while (true) {
    const std::size_t start = separator_.quoting() ? line.find_first_not_of(' ') : std::string_view::npos;
    const bool quoted = start != std::string_view::npos && line[start] == '"';
    if (quoted) {
      line.remove_prefix(start);
      cut_quoted(line);
    }
    const std::size_t end = line.find(separator_.text);
    const std::string_view rest = trimmed(line.substr(0, end));
    if (!quoted) fields_.push_back(rest);
    if (quoted && !rest.empty())
      throw error(static_cast<int>(fields_.size()) - 1, "text stands between a closing quote and the next separator");
    if (end == std::string_view::npos) return;
    line.remove_prefix(end + separator_.text.size());
  }
}

}  // namespace spar::data_tools
