#include <cstring>

#include <fmt/format.h>

#include "data_tools/numbers.hpp"
#include "data_tools/parsers.hpp"

namespace spar::data_tools {

namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

const char* over_blanks(const char* p) {
  while (is_blank(*p)) ++p;
  return p;
}

/// Whole numbers of one line, with the column for errors.
class LineOfNumbers {
 public:
  LineOfNumbers(Chunk& chunk, const char* p) : chunk_(chunk), at_(over_blanks(p)) {}

  const char* at() const { return at_; }
  bool over() const { return *at_ == '\n'; }

  /// Reads one number that ends at a blank, the line's end, or at one of `ends`, which is passed over. False after a
  /// failure.
  bool take(const char* what, std::string_view ends, IdKey& value) {
    ++column_;
    const int digits = take_digits(at_, value);
    const char* end = at_ + digits;
    const bool marked = ends.find(*end) != std::string_view::npos;
    const bool closed = marked || (ends.empty() && (*end == '\n' || is_blank(*end)));
    if (digits == 0 || digits > 18 || !closed || value > 4294967294U) return refuse(what);
    at_ = over_blanks(end + (marked ? 1 : 0));
    return true;
  }
  bool take_mark(char mark) {
    if (*at_ != mark) return false;
    at_ = over_blanks(at_ + 1);
    return true;
  }
  bool fail(std::string what) {
    chunk_.line_error = LineError{chunk_.lines, column_, std::move(what)};
    return false;
  }

 private:
  bool refuse(const char* what) {
    const char* end = at_;
    while (*end != '\n' && !is_blank(*end)) ++end;
    return fail(fmt::format("{} {} is out of range: ids of this format are whole numbers from 0 to 4294967294", what,
                            shown({at_, static_cast<std::size_t>(end - at_)})));
  }

  Chunk& chunk_;
  const char* at_;
  int column_ = 0;
};

/// Calls read(line) for every line that is not empty; `read` returns false to stop.
template <class Read>
void for_lines(Chunk& chunk, std::size_t begin, Read&& read) {
  const char* p = chunk.text.data() + begin;
  const char* const end = chunk.text.data() + chunk.size;
  while (p < end) {
    LineOfNumbers line(chunk, p);
    if (line.over()) {
      ++chunk.empty_lines;
    } else if (!read(line)) {
      return;
    }
    p = line.at() + 1;
    ++chunk.lines;
  }
}

}  // namespace

void parse_lists(std::int64_t skip_lines, Chunk& chunk) {
  for_lines(chunk, skip_head(chunk, skip_lines), [&](LineOfNumbers& line) {
    IdKey user = 0, item = 0;
    if (!line.take("user", "", user)) return false;
    if (line.over()) ++chunk.empty_lists;
    while (!line.over()) {
      if (!line.take("item", "", item)) return false;
      chunk.users.push_back(user);
      chunk.items.push_back(item);
    }
    return true;
  });
}

void parse_negatives(Chunk& chunk) {
  for_lines(chunk, skip_head(chunk, 0), [&](LineOfNumbers& line) {
    IdKey user = 0, item = 0;
    const auto add = [&](bool positive) {
      chunk.users.push_back(user);
      chunk.items.push_back(item);
      chunk.times.push_back(2 * chunk.lines + (positive ? 1 : 0));
    };
    if (line.take_mark('(')) {
      if (!line.take("user", ",", user) || !line.take("item", ")", item)) {
        return line.fail("a line must begin with (user,item) or with a user, and go on with the candidates");
      }
      add(true);
    } else if (!line.take("user", "", user)) {
      return false;
    }
    if (line.over()) return line.fail("the line has no candidates");
    while (!line.over()) {
      if (!line.take("candidate", "", item)) return false;
      add(false);
    }
    return true;
  });
}

}  // namespace spar::data_tools
