#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "data_tools/numbers.hpp"
#include "data_tools/parsers.hpp"

namespace spar::data_tools {

namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

struct ByteSeparator {
  char byte;
  bool quoting;
  bool at(const char* p) const { return *p == byte; }
  char* over(char* p) const { return p + 1; }
  char* line_start(char* p) const { return p; }
};

struct BlankSeparator {
  static constexpr bool quoting = false;
  bool at(const char* p) const { return *p == ' ' || *p == '\t'; }
  char* over(char* p) const {
    while (at(p)) ++p;
    return p;
  }
  char* line_start(char* p) const { return over(p); }
};

struct TextSeparator {
  const std::string& text;
  static constexpr bool quoting = false;
  bool at(const char* p) const { return *p == text[0] && std::memcmp(p, text.data(), text.size()) == 0; }
  char* over(char* p) const { return p + text.size(); }
  char* line_start(char* p) const { return p; }
};

/// Reads the fields of one chunk's lines. A reading function takes the start of a field and returns its end, which is a
/// separator or the line's '\n', or nullptr after fail().
template <class Separators>
class RowReader {
 public:
  RowReader(const RowLayout& layout, Separators separators, Chunk& chunk)
      : layout_(layout), separators_(separators), chunk_(chunk) {}

  void read(std::size_t begin) {
    char* p = chunk_.text.data() + begin;
    char* const end = chunk_.text.data() + chunk_.size;
    while (p < end) {
      if (!read_line(p)) return;
      if (*p != '\n') p = static_cast<char*>(std::memchr(p, '\n', static_cast<std::size_t>(end - p)));
      ++p;
      ++chunk_.lines;
    }
  }

 private:
  bool read_line(char*& place) {
    char* p = separators_.line_start(place);
    if ((*p == '\n' || is_blank(*p)) && is_empty_line(p)) {
      ++chunk_.empty_lines;
      place = p;
      return true;
    }
    const std::size_t count = layout_.roles.size();
    for (column_ = 0;;) {
      p = read_field(p);
      if (p == nullptr) return false;
      if (++column_ == count) break;
      if (!separators_.at(p)) return missing();
      p = separators_.over(p);
    }
    place = p;
    return true;
  }

  static bool is_empty_line(const char* p) {
    while (is_blank(*p)) ++p;
    return *p == '\n';
  }

  char* read_field(char* p) {
    switch (layout_.roles[column_]) {
      case Role::user:
        return read_id(p, chunk_.users);
      case Role::item:
        return read_id(p, chunk_.items);
      case Role::rating:
        return read_rating(p);
      case Role::time:
        return read_time(p);
      case Role::skip:
        break;
    }
    return skip_field(p);
  }

  /// The end of the line counts as a field's end; a carriage return before it is passed over.
  char* closed(char* p) const {
    if (*p == '\n' || separators_.at(p)) return p;
    return *p == '\r' && p[1] == '\n' ? p + 1 : nullptr;
  }

  char* read_id(char* p, std::vector<IdKey>& keys) {
    std::uint64_t value = 0;
    const int digits = take_digits(p, value);
    if (digits > 0 && digits <= 18 && (*p != '0' || digits == 1)) {
      if (char* end = closed(p + digits)) {
        if (layout_.whole_numbers && value > 4294967294U) return out_of_range(p, end);
        keys.push_back(value);
        return end;
      }
    }
    return read_text_id(p, keys);
  }

  char* read_text_id(char* p, std::vector<IdKey>& keys) {
    const Field field = take_field(p);
    if (field.next == nullptr) return nullptr;
    const auto length = static_cast<std::size_t>(field.end - field.begin);
    if (length == 0) return fail(fmt::format("the {} is empty", role_name(layout_.roles[column_])));
    std::uint64_t value = 0;
    const int digits = take_digits(field.begin, value);
    if (static_cast<std::size_t>(digits) == length && digits <= 18 && (*field.begin != '0' || digits == 1) &&
        (!layout_.whole_numbers || value <= 4294967294U)) {
      keys.push_back(value);
      return field.next;
    }
    if (layout_.whole_numbers) return out_of_range(field.begin, field.end);
    if (length > longest_id) return fail(fmt::format("an id of {} bytes; at most {} are allowed", length, longest_id));
    if (std::memchr(field.begin, 0, length) != nullptr)
      return fail("the id holds a NUL byte, so this seems not to be text");
    keys.push_back(text_key(static_cast<std::size_t>(field.begin - chunk_.text.data()), length));
    return field.next;
  }

  char* out_of_range(const char* begin, const char* end) {
    return fail(fmt::format("{} {} is out of range: ids of this format are whole numbers from 0 to 4294967294",
                            role_name(layout_.roles[column_]),
                            shown(trimmed({begin, static_cast<std::size_t>(end - begin)}))));
  }

  char* read_rating(char* p) {
    std::uint64_t whole = 0, fraction = 0;
    const int digits = digits_of_8(p, whole);
    int decimals = 0;
    char* end = p + digits;
    if (digits > 0 && *end == '.') {
      decimals = digits_of_8(end + 1, fraction);
      end += 1 + decimals;
    }
    if (digits > 0 && (end = closed(end)) != nullptr) {
      const std::uint64_t scale = powers_of_10[decimals];
      chunk_.ratings.push_back(
          static_cast<float>(static_cast<double>(whole * scale + fraction) / static_cast<double>(scale)));
      return end;
    }
    const Field field = take_field(p);
    if (field.next == nullptr) return nullptr;
    const std::string_view text(field.begin, static_cast<std::size_t>(field.end - field.begin));
    const auto number = to_number(text);
    if (!number) return fail(fmt::format("the rating {} is not a number", shown(text)));
    chunk_.ratings.push_back(static_cast<float>(*number));
    return field.next;
  }

  char* read_time(char* p) {
    std::uint64_t value = 0;
    const int digits = take_digits(p, value);
    if (digits > 0 && digits <= 18) {
      if (char* end = closed(p + digits)) {
        chunk_.times.push_back(static_cast<std::int64_t>(value));
        return end;
      }
    }
    const Field field = take_field(p);
    if (field.next == nullptr) return nullptr;
    const std::string_view text(field.begin, static_cast<std::size_t>(field.end - field.begin));
    const auto time = to_time(text);
    if (!time)
      return fail(fmt::format("the time {} is neither a number nor a date such as 2014-04-01 10:20:30", shown(text)));
    chunk_.times.push_back(*time);
    return field.next;
  }

  char* skip_field(char* p) {
    if (separators_.quoting && *p == '"') return take_field(p).next;
    while (*p != '\n' && !separators_.at(p)) ++p;
    return p;
  }

  struct Field {
    char* begin;
    char* end;
    char* next;  ///< nullptr after fail()
  };

  Field take_field(char* p) {
    if (separators_.quoting) {
      char* q = p;
      while (*q == ' ') ++q;
      if (*q == '"') return take_quoted(q);
    }
    char* next = p;
    while (*next != '\n' && !separators_.at(next)) ++next;
    return trim({p, next, next});
  }

  static Field trim(Field field) {
    while (field.end > field.begin && is_blank(field.end[-1])) --field.end;
    while (field.begin < field.end && is_blank(*field.begin)) ++field.begin;
    return field;
  }

  /// A quoted field is written back in place without its quotes, doubled ones halved.
  Field take_quoted(char* p) {
    char* const begin = p + 1;
    char* to = begin;
    for (char* from = begin;; ++from) {
      if (*from == '\n') return {begin, to, fail("a quoted field does not end on its line")};
      if (*from == '"') {
        if (from[1] != '"') {
          char* next = from + 1;
          while (*next == ' ') ++next;
          char* const end = closed(next);
          if (end == nullptr) return {begin, to, fail("text stands between a closing quote and the next separator")};
          return trim({begin, to, end});
        }
        ++from;
      }
      *to++ = *from;
    }
  }

  char* fail(std::string what) {
    chunk_.line_error = LineError{chunk_.lines, static_cast<int>(column_) + 1, std::move(what)};
    return nullptr;
  }

  bool missing() {
    fail(fmt::format("the line ends here, but column {} is to be read ({})", layout_.roles.size(), layout_.describe()));
    return false;
  }

  const RowLayout& layout_;
  Separators separators_;
  Chunk& chunk_;
  std::size_t column_ = 0;
};

}  // namespace

std::size_t skip_head(Chunk& chunk, std::int64_t lines) {
  if (!chunk.first) return 0;
  const std::string_view text(chunk.text.data(), chunk.size);
  std::size_t begin = text.starts_with("\xef\xbb\xbf") ? 3 : 0;
  for (std::int64_t k = 0; k < lines && begin < text.size(); ++k) {
    begin = std::min(text.find('\n', begin), text.size() - 1) + 1;
    ++chunk.lines;
  }
  return begin;
}

void parse_rows(const RowLayout& layout, Chunk& chunk) {
  const std::size_t begin = skip_head(chunk, layout.skip_lines);
  const Separator& separator = layout.separator;
  switch (separator.kind) {
    case Separator::Kind::byte:
      return RowReader<ByteSeparator>(layout, {separator.text[0], separator.quoting()}, chunk).read(begin);
    case Separator::Kind::blanks:
      return RowReader<BlankSeparator>(layout, {}, chunk).read(begin);
    case Separator::Kind::text:
      return RowReader<TextSeparator>(layout, {separator.text}, chunk).read(begin);
  }
}

}  // namespace spar::data_tools
