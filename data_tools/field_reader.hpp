#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data_tools/chunk.hpp"
#include "data_tools/separator.hpp"
#include "data_tools/text_source.hpp"
#include "spar/base/error.hpp"

/// Files of side data: lines with any number of columns, one after the other.
namespace spar::data_tools {

class FieldReader {
 public:
  enum class EmptyLines { skipped, kept };

  /// Opens `path` (perhaps packed by gzip). `separator` as ImportOptions::separator; empty: detected, '|' included.
  /// UserError as TextSource::open, and for a file without a line of data.
  FieldReader(const std::string& path, const std::string& separator, EmptyLines empty = EmptyLines::skipped);

  const std::string& name() const { return source_->name(); }
  const Separator& separator() const { return separator_; }
  /// The fields of the first lines that are no comments, at most 100 of them, before the first next().
  const std::vector<std::vector<std::string>>& head() const { return head_; }
  /// The names in a comment line just above the data ("#item genres"), where there are as many as columns; else empty.
  const std::vector<std::string>& names_in_comment() const { return comment_names_; }
  /// Whether the first line seems to hold names: words only, where the second has numbers.
  bool seems_to_have_names() const;
  /// Passes over the first line.
  void skip_names();

  /// Goes to the next line; false at the end. UserError for damage, and for a quoted field that does not end.
  bool next();
  std::size_t size() const { return fields_.size(); }
  /// A field without quotes and the blanks around it; valid until next().
  std::string_view operator[](std::size_t column) const { return fields_[column]; }
  std::int64_t line() const { return line_; }  ///< of the current line, from 1

  /// "FILE, line 3, column 2: what"; columns count from 0 here and from 1 in the sentence; negative: none.
  UserError error(int column, const std::string& what) const;
  /// Refuses lines that have not `columns` fields. `what` says what belongs there: "an id and 3 numbers".
  void require_columns(std::size_t columns, const std::string& what) const;

 private:
  void look_at_head(const std::string& separator);
  void cut(std::string_view line);
  void cut_quoted(std::string_view& line);

  std::unique_ptr<TextSource> source_;
  std::unique_ptr<ChunkReader> reader_;
  Separator separator_;
  EmptyLines empty_;
  std::vector<std::vector<std::string>> head_;
  std::vector<std::string> comment_names_;
  std::int64_t skip_ = 0;  ///< lines before the data
  Chunk chunk_;
  std::size_t at_ = 0;  ///< in the chunk
  std::int64_t line_ = 0;
  std::vector<std::string_view> fields_;
  std::vector<std::unique_ptr<std::string>> unquoted_;  ///< of the current line
};

}  // namespace spar::data_tools
