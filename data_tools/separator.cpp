#include "data_tools/separator.hpp"

#include <fmt/format.h>

#include "spar/base/error.hpp"

namespace spar::data_tools {

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::string Separator::describe() const {
  if (kind == Kind::blanks) return "blanks";
  if (text == "\t") return "tab";
  if (text == ",") return "comma";
  if (text == ";") return "semicolon";
  return fmt::format("\"{}\"", text);
}

Separator parse_separator(const std::string& option) {
  std::string text = option;
  for (std::size_t at = text.find("\\t"); at != std::string::npos; at = text.find("\\t", at + 1))
    text.replace(at, 2, "\t");
  if (text == "tab") text = "\t";
  if (text == "comma") text = ",";
  if (text == "semicolon") text = ";";
  if (text == "blank" || text == "blanks" || text == "space" || text == " ") return {Separator::Kind::blanks, " "};
  if (text.empty() || text.find_first_of("\n\r\"") != std::string::npos) {
    throw UserError("--separator must be a text without line ends and quotes, for instance , or :: or tab");
  }
  return {text.size() == 1 ? Separator::Kind::byte : Separator::Kind::text, text};
}

Separator detect_separator(std::string_view line) {
  line = trimmed(line);
  if (line.find('\t') != std::string_view::npos) return {Separator::Kind::byte, "\t"};
  if (line.find("::") != std::string_view::npos) return {Separator::Kind::text, "::"};
  for (const char* byte : {",", ";"}) {
    if (line.find(byte) != std::string_view::npos) return {Separator::Kind::byte, byte};
  }
  return {Separator::Kind::blanks, " "};
}

namespace {

/// Takes a quoted field off the front of `line` (which begins with the quote); the rest then begins behind the closing
/// quote.
std::string take_quoted(std::string_view& line) {
  std::string field;
  line.remove_prefix(1);
  while (!line.empty()) {
    if (line.front() == '"') {
      line.remove_prefix(1);
      if (line.empty() || line.front() != '"') break;
    }
    field += line.front();
    line.remove_prefix(1);
  }
  return field;
}

std::vector<std::string> cut_at_blanks(std::string_view line) {
  std::vector<std::string> fields;
  for (line = trimmed(line); !line.empty(); line = trimmed(line)) {
    const std::size_t end = line.find_first_of(" \t");
    fields.emplace_back(line.substr(0, end));
    line.remove_prefix(end == std::string_view::npos ? line.size() : end);
  }
  return fields;
}

}  // namespace

std::vector<std::string> Separator::cut(std::string_view line) const {
  if (kind == Kind::blanks) return cut_at_blanks(line);
  std::vector<std::string> fields;
  while (true) {
    std::string quoted;
    const std::size_t start = quoting() ? line.find_first_not_of(' ') : std::string_view::npos;
    const bool has_quotes = start != std::string_view::npos && line[start] == '"';
    if (has_quotes) {
      line.remove_prefix(start);
      quoted = take_quoted(line);
    }
    const std::size_t end = line.find(text);
    fields.emplace_back(trimmed(has_quotes ? std::string_view(quoted) : line.substr(0, end)));
    if (end == std::string_view::npos) return fields;
    line.remove_prefix(end + text.size());
  }
}

}  // namespace spar::data_tools
