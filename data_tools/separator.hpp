#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// What stands between the columns of a line.
namespace spar::data_tools {

struct Separator {
  enum class Kind { byte, blanks, text } kind = Kind::byte;  ///< blanks: runs of blanks and tabs
  std::string text = "\t";

  /// Fields may be quoted ("a ""b"", c") where the separator is a comma or a semicolon.
  bool quoting() const { return kind == Kind::byte && (text == "," || text == ";"); }
  std::string describe() const;  ///< "tab", "comma", "blanks", "\"::\""
  /// The fields of a line, without quotes and the blanks around them. For head lines: not fast.
  std::vector<std::string> cut(std::string_view line) const;
};

/// From the option: any text; the escape \t and the words tab, comma, semicolon, blank(s), space are understood.
/// UserError for an empty one, or one that holds a line end or a quote.
Separator parse_separator(const std::string& option);
/// The first that occurs in `line` among tab, "::", comma, semicolon; else blanks.
Separator detect_separator(std::string_view line);

std::string_view trimmed(std::string_view text);  ///< without blanks, tabs and carriage returns at both ends

}  // namespace spar::data_tools
