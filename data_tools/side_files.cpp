#include "data_tools/side_files.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>

#include "data_tools/numbers.hpp"

namespace spar::data_tools {

namespace fs = std::filesystem;

std::string as_side_name(std::string text) {
  for (char& c : text) {
    const bool plain = c > 0 && (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.');
    if (!plain) c = '_';
  }
  text.erase(0, text.find_first_not_of("_-."));
  return text;
}

SideFile parse_side_file(const std::string& option, const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals != std::string::npos && data::is_side_name(text.substr(0, equals)))
    return {text.substr(0, equals), text.substr(equals + 1)};
  const std::string file = fs::path(text).filename().string();
  const std::string name = as_side_name(file.substr(0, file.find('.')));
  if (!data::is_side_name(name))
    throw UserError(fmt::format("{} {}: the file's name makes no name for side data: write NAME=FILE", option, text));
  return {name, text};
}

void require_side_file(const std::string& option, const std::string& path) {
  std::error_code error;
  if (path.empty()) throw UserError(fmt::format("{} lacks a file: write FILE or NAME=FILE", option));
  if (!fs::exists(path, error)) throw UserError(fmt::format("{} does not exist ({})", path, option));
  if (!fs::is_regular_file(path, error))
    throw UserError(
        fmt::format("{} is no regular file: side data cannot come from a folder or a pipe ({})", path, option));
}

std::int64_t text_bytes(const std::string& path) {
  std::error_code error;
  const auto size = static_cast<std::int64_t>(fs::file_size(path, error));
  if (error) return 0;
  return path.ends_with(".gz") ? 5 * size : size;
}

RowFinder::RowFinder(data::Side side, const Entities& entities, bool strict)
    : one_(side == data::Side::users ? "user" : "item"),
      ids_(side == data::Side::users ? entities.user_ids : entities.item_ids),
      rows_(side == data::Side::users ? entities.users : entities.items),
      strict_(strict) {}

Index RowFinder::found(std::string_view id, ImportReport::SideData& report) {
  ++report.lines;
  const std::uint32_t number = ids_.find(id);
  if (number != no_number && rows_.row_of[number] != no_row) return rows_.row_of[number];
  ++report.unknown;
  return none;
}

Index RowFinder::row(const FieldReader& reader, std::size_t column, ImportReport::SideData& report) {
  const std::string_view id = reader[column];
  if (id.empty()) throw reader.error(static_cast<int>(column), fmt::format("the {} is empty", one_));
  if (first_seen_.empty()) first_seen_ = id;
  const Index row = found(id, report);
  if (row == none && strict_ && ids_.find(id) == no_number)
    throw reader.error(static_cast<int>(column), fmt::format("{} {} occurs in no interaction", one_, shown(id)));
  return row;
}

Index RowFinder::first_id(const std::string& file, Index rows, const std::string& remedy) const {
  const auto span = ids_.whole_numbers();
  if (!span) {
    throw UserError(
        fmt::format("{} has no ids, and the {}s of the interactions are not whole numbers, so which row is "
                    "whose is not known: {}",
                    file, one_, remedy));
  }
  const auto most = static_cast<Index>(span->most);
  if (span->least == 0 && most < rows) return 0;
  if (span->least > 0 && most == rows) return 1;
  if (most > rows || span->least == 0) {
    throw UserError(fmt::format("{} has {} rows, too few for the {}s {} to {} of the interactions: {}", file, rows,
                                one_, span->least, most, remedy));
  }
  throw UserError(
      fmt::format("{} has {} rows and the {}s of the interactions are {} to {}, so it is not clear whether "
                  "they count from 0 or from 1: {}",
                  file, rows, one_, span->least, most, remedy));
}

Index RowFinder::row_of_number(Index id, ImportReport::SideData& report) {
  const std::string text = std::to_string(id);
  if (first_seen_.empty()) first_seen_ = text;
  return found(text, report);
}

void RowFinder::check_match(const std::string& file, const ImportReport::SideData& report) const {
  if (report.lines > report.unknown) return;
  const std::string ours = rows_.rows() > 0 ? ids_.name(rows_.number_of[0]) : "";
  throw UserError(fmt::format("{} holds nothing of the data set: its first {} is {}, one of the data set is {}", file,
                              one_, shown(first_seen_), shown(ours)));
}

float read_real(const FieldReader& reader, std::size_t column, const char* what) {
  const auto number = to_number(reader[column]);
  const auto value = static_cast<float>(number.value_or(0.0));
  if (!number || !std::isfinite(value)) {
    throw reader.error(static_cast<int>(column),
                       fmt::format("the {} {} is not a finite number", what, shown(reader[column])));
  }
  return value;
}

}  // namespace spar::data_tools
