#include <algorithm>

#include <fmt/format.h>

#include "data_tools/npy_reader.hpp"
#include "data_tools/numbers.hpp"
#include "data_tools/side_files.hpp"

namespace spar::data_tools {

namespace {

void add_row(FeatureSink& sink, Index row, std::span<const float> values, const std::string& where) {
  if (row != RowFinder::none && !sink.add(row, values))
    throw UserError(fmt::format("{}: this id has features in an earlier row", where));
}

/// Rows of a .npy file by the ids of another.
void read_with_ids(NpyReader& matrix, const std::string& ids_path, RowFinder& rows, FeatureSink& sink,
                   ImportReport::SideData& report) {
  FieldReader ids(ids_path, "tab");
  for (Index k = 0; k < matrix.rows(); ++k) {
    if (!ids.next())
      throw UserError(fmt::format("{} names {} rows, but {} has {}", ids_path, k, matrix.name(), matrix.rows()));
    const std::span<const float> values = matrix.next();
    add_row(sink, rows.row(ids, 0, report), values, fmt::format("{}, line {}", ids_path, ids.line()));
  }
  if (ids.next())
    throw UserError(fmt::format("{} names more rows than the {} that {} has", ids_path, matrix.rows(), matrix.name()));
}

void read_npy(const std::string& option, const SideFile& file, const std::string& ids_path, data::Side side,
              RowFinder& rows, SideSet& set) {
  NpyReader matrix(file.path);
  auto [sink, report] = set.add_features(side, file.name, file.path, matrix.columns());
  if (!ids_path.empty()) {
    read_with_ids(matrix, ids_path, rows, sink, report);
  } else {
    const Index first =
        rows.first_id(file.path, matrix.rows(), fmt::format("name the id of each row with {}-ids", option));
    report.layout = fmt::format("a row for each id from {} on", first);
    for (Index k = 0; k < matrix.rows(); ++k) {
      const std::span<const float> values = matrix.next();
      add_row(sink, rows.row_of_number(first + k, report), values, file.path);
    }
  }
  matrix.finish();
  rows.check_match(file.path, report);
}

void read_delimited(const SideFile& file, data::Side side, const SideOptions& options, RowFinder& rows, SideSet& set) {
  FieldReader reader(file.path, options.separator);
  const std::vector<std::string>& first = reader.head()[0];
  const std::size_t columns = first.size();
  if (columns < 2) {
    throw UserError(
        fmt::format("{} has one column ({} between columns) where an id and numbers were expected; say with "
                    "--side-separator what stands between them",
                    file.path, reader.separator().describe()));
  }
  // A first line without any number holds names; one with some is a line of features with a mistake in it.
  const bool names = std::none_of(first.begin() + 1, first.end(), [](const std::string& f) { return to_number(f); });
  if (reader.head().size() > 1 && names) reader.skip_names();
  auto [sink, report] = set.add_features(side, file.name, file.path, static_cast<Index>(columns) - 1);
  report.layout = fmt::format("{}, an id and {} numbers", reader.separator().describe(), columns - 1);
  std::vector<float> values(columns - 1);
  const std::string expected = fmt::format("an id and {} numbers", columns - 1);
  while (reader.next()) {
    reader.require_columns(columns, expected);
    for (std::size_t k = 1; k < columns; ++k) values[k - 1] = read_real(reader, k, "feature");
    const Index row = rows.row(reader, 0, report);
    if (row != RowFinder::none && !sink.add(row, values))
      throw reader.error(0, fmt::format("{} has features in an earlier line", shown(reader[0])));
  }
  rows.check_match(file.path, report);
}

}  // namespace

void read_features(const std::string& option, const SideFile& file, const std::string& ids_path, data::Side side,
                   const SideOptions& options, const Entities& entities, SideSet& set) {
  RowFinder rows(side, entities, options.strict);
  const bool npy = NpyReader::is_npy(file.path);
  if (!npy && !ids_path.empty()) {
    throw UserError(fmt::format("{} has ids of its own: {}-ids is for .npy files", file.path, option));
  }
  if (npy) {
    read_npy(option, file, ids_path, side, rows, set);
  } else {
    read_delimited(file, side, options, rows, set);
  }
}

}  // namespace spar::data_tools
