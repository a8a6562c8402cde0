#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "data_tools/side_files.hpp"

/// What the editions of MovieLens say of users and movies beside the ratings.
namespace spar::data_tools {

namespace {

namespace fs = std::filesystem;

std::optional<std::string> present(const std::string& folder, const std::string& name) {
  for (const char* ending : {"", ".gz"}) {
    std::error_code error;
    const std::string path = (fs::path(folder) / (name + ending)).string();
    if (fs::is_regular_file(path, error)) return path;
  }
  return std::nullopt;
}

std::string folder_of(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return path;
  const std::string folder = fs::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

/// The 100k edition: a movie's last columns are 0 or 1, one for each line of u.genre.
void read_genre_columns(const std::string& movies, const std::string& genre_names, const Entities& entities,
                        SideSet& set) {
  std::vector<std::string> genres;
  FieldReader names(genre_names, "|");
  while (names.next()) genres.emplace_back(names[0]);
  FieldReader reader(movies, "|");
  const std::size_t columns = reader.head()[0].size();
  if (columns <= genres.size())
    throw UserError(
        fmt::format("{} has {} columns, too few for the {} genres of {}", movies, columns, genres.size(), genre_names));
  auto [sink, report] = set.add_bag(data::Side::items, "genres", movies, text_bytes(movies));
  RowFinder rows(data::Side::items, entities, false);
  while (reader.next()) {
    reader.require_columns(columns, "as in the first line");
    const Index row = rows.row(reader, 0, report);
    for (std::size_t k = 0; k < genres.size() && row != RowFinder::none; ++k) {
      if (reader[columns - genres.size() + k] == "1") sink.add_word(row, genres[k], 1.0F);
    }
  }
  rows.check_match(movies, report);
}

/// Later editions: id, title, genres joined by '|'.
void read_genre_lists(const std::string& movies, const std::string& separator, const Entities& entities, SideSet& set) {
  FieldReader reader(movies, separator);
  if (reader.head()[0][0] == "movieId") reader.skip_names();
  auto [sink, report] = set.add_bag(data::Side::items, "genres", movies, text_bytes(movies));
  RowFinder rows(data::Side::items, entities, false);
  const Separator bar{Separator::Kind::byte, "|"};
  while (reader.next()) {
    reader.require_columns(3, "movie, title, genres");
    const Index row = rows.row(reader, 0, report);
    if (row == RowFinder::none || reader[2] == "(no genres listed)") continue;
    for (const std::string& genre : bar.cut(reader[2])) {
      if (!genre.empty()) sink.add_word(row, genre, 1.0F);
    }
  }
  rows.check_match(movies, report);
}

void read_users(const std::string& path, const std::string& separator, const std::string& columns,
                const Entities& entities, SideSet& set) {
  SideOptions options;
  options.separator = separator;
  read_attributes("--user-attributes", path, columns, data::Side::users, options, entities, set);
}

}  // namespace

void read_movielens(const std::vector<std::string>& paths, const SideOptions& options, const Entities& entities,
                    SideSet& set) {
  if (!options.movielens || paths.empty() || paths[0] == "-") return;
  const std::string folder = folder_of(paths[0]);
  if (const auto users = present(folder, "u.user"))
    read_users(*users, "|", "id,age,gender,occupation,zip", entities, set);
  if (const auto users = present(folder, "users.dat"))
    read_users(*users, "::", "id,gender,age,occupation,zip", entities, set);
  const auto items = present(folder, "u.item");
  const auto genres = present(folder, "u.genre");
  if (items && genres) return read_genre_columns(*items, *genres, entities, set);
  if (const auto movies = present(folder, "movies.dat")) return read_genre_lists(*movies, "::", entities, set);
  if (const auto movies = present(folder, "movies.csv")) read_genre_lists(*movies, ",", entities, set);
}

}  // namespace spar::data_tools
