#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "data_tools/numbers.hpp"
#include "data_tools/side_files.hpp"

namespace spar::data_tools {

namespace {

bool is_number(const std::string& field) {
  return to_number(field).has_value();
}

/// The names of the columns; "-" for those to pass over. The reader stands before the first line of data afterwards.
std::vector<std::string> column_names(FieldReader& reader, const std::string& option, const std::string& columns) {
  std::vector<std::string> first = reader.head()[0];
  if (!columns.empty()) {
    std::vector<std::string> names = Separator{Separator::Kind::byte, ","}.cut(columns);
    if (names.size() > first.size()) {
      throw UserError(fmt::format("{} has {} columns ({} between them), but {}-columns names {}", reader.name(),
                                  first.size(), reader.separator().describe(), option, names.size()));
    }
    names.resize(first.size(), "-");
    if (reader.seems_to_have_names()) reader.skip_names();
    return names;
  }
  if (!reader.names_in_comment().empty()) return reader.names_in_comment();
  if (std::any_of(first.begin(), first.end(), is_number)) {
    throw UserError(
        fmt::format("{} has no line of column names: give them with {}-columns, for instance id,gender,age, "
                    "with - for a column to pass over",
                    reader.name(), option));
  }
  reader.skip_names();
  return first;
}

/// A header's name as the name of side data: without the type that RecBole puts behind it.
std::string attribute_name(const std::string& column) {
  const std::size_t colon = column.rfind(':');
  static const std::array<std::string, 4> types = {":token", ":token_seq", ":float", ":float_seq"};
  const bool typed =
      colon != std::string::npos && std::find(types.begin(), types.end(), column.substr(colon)) != types.end();
  return as_side_name(typed ? column.substr(0, colon) : column);
}

/// Adds a filled column: as a bag where its values are lists.
void add_column(std::unique_ptr<AttributeSink> column, const std::string& separator,
                const ImportReport::SideData& report, SideSet& set) {
  if (separator.empty() || !column->has_lists(separator)) return set.add_attribute(std::move(column), report);
  const data::SidePlan& plan = column->plan();
  auto added = set.add_bag(plan.side, plan.name, report.path, text_bytes(report.path));
  column->visit([&](Index row, const std::string& list) {
    for (std::size_t begin = 0; begin <= list.size();) {
      const std::size_t end = std::min(list.find(separator, begin), list.size());
      const std::string_view word = trimmed(std::string_view(list).substr(begin, end - begin));
      if (!word.empty()) added.sink.add_word(row, word, 1.0F);
      begin = end + separator.size();
    }
  });
  added.report = report;
}

struct Column {
  std::size_t place;
  std::unique_ptr<AttributeSink> sink;
};

std::size_t id_place(const std::vector<std::string>& names) {
  const auto id = std::find_if(names.begin(), names.end(), [](const std::string& name) { return name != "-"; });
  return static_cast<std::size_t>(id - names.begin());
}

}  // namespace

void read_attributes(const std::string& option, const std::string& path, const std::string& columns, data::Side side,
                     const SideOptions& options, const Entities& entities, SideSet& set) {
  FieldReader reader(path, options.separator);
  const std::size_t width = reader.head()[0].size();
  const std::vector<std::string> names = column_names(reader, option, columns);
  const std::size_t id = id_place(names);
  std::vector<Column> attributes;
  for (std::size_t k = id + 1; k < names.size(); ++k) {
    if (names[k] != "-") attributes.push_back({k, set.new_attribute(side, attribute_name(names[k]), text_bytes(path))});
  }
  if (attributes.empty()) {
    throw UserError(
        fmt::format("{} has no column of attributes behind the id ({} between columns); say with "
                    "--side-separator what stands between them",
                    path, reader.separator().describe()));
  }

  ImportReport::SideData report;
  report.path = path;
  report.layout = reader.separator().describe();
  RowFinder rows(side, entities, options.strict);
  std::vector<bool> seen(static_cast<std::size_t>(set.rows(side)));
  while (reader.next()) {
    reader.require_columns(width, "as in the first line");
    const Index row = rows.row(reader, id, report);
    if (row == RowFinder::none) continue;
    if (seen[static_cast<std::size_t>(row)])
      throw reader.error(static_cast<int>(id), fmt::format("{} stands in an earlier line", shown(reader[id])));
    seen[static_cast<std::size_t>(row)] = true;
    for (const Column& column : attributes) {
      const std::string_view value = reader[column.place];
      if (value.size() > longest_id) {
        throw reader.error(static_cast<int>(column.place),
                           fmt::format("a value of {} bytes; a category has at most {}: pass over columns of text with "
                                       "- in {}-columns",
                                       value.size(), longest_id, option));
      }
      column.sink->add(row, value);
    }
  }
  rows.check_match(path, report);
  for (Column& column : attributes)
    add_column(std::move(column.sink), of_side(options, side).attributes_lists, report, set);
}

}  // namespace spar::data_tools
