#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "data_tools/numbers.hpp"
#include "data_tools/row_layout.hpp"
#include "data_tools/side_files.hpp"

/// Bags, edges and tags: any number of lines a row.
namespace spar::data_tools {

namespace {

std::string_view checked_word(const FieldReader& reader, std::size_t column, const char* what) {
  const std::string_view word = reader[column];
  if (word.empty()) throw reader.error(static_cast<int>(column), fmt::format("the {} is empty", what));
  if (word.size() > longest_id) {
    throw reader.error(static_cast<int>(column),
                       fmt::format("a {} of {} bytes; at most {} are allowed", what, word.size(), longest_id));
  }
  return word;
}

/// Whether lines are "n word:count word:count ...", n pairs behind their number.
bool is_count_list(const std::vector<std::vector<std::string>>& head) {
  bool any = false;
  for (const std::vector<std::string>& line : head) {
    if (line[0] != std::to_string(line.size() - 1)) return false;
    for (std::size_t k = 1; k < line.size(); ++k) {
      if (line[k].find(':') == std::string::npos) return false;
    }
    any = any || line.size() > 1;
  }
  return any;
}

void read_count_lists(const SideFile& file, data::Side side, RowFinder& rows, SideSet& set) {
  Index lines = 0;
  for (FieldReader reader(file.path, "blanks", FieldReader::EmptyLines::kept); reader.next();) ++lines;
  const Index first = rows.first_id(file.path, lines, "write lines of id, word and count instead");
  auto [sink, report] = set.add_bag(side, file.name, file.path, text_bytes(file.path));
  report.layout = fmt::format("lists of word:count, a line for each id from {} on", first);
  FieldReader reader(file.path, "blanks", FieldReader::EmptyLines::kept);
  for (Index k = first; reader.next(); ++k) {
    if (reader.size() > 0 && reader[0] != std::to_string(reader.size() - 1)) {
      throw reader.error(0, fmt::format("the line announces {} words and has {}", shown(reader[0]), reader.size() - 1));
    }
    const Index row = rows.row_of_number(k, report);
    for (std::size_t column = 1; column < reader.size(); ++column) {
      const std::string_view pair = reader[column];
      const std::size_t colon = pair.rfind(':');
      const auto number = colon == std::string_view::npos ? std::nullopt : to_number(pair.substr(colon + 1));
      const auto count = static_cast<float>(number.value_or(0.0));
      if (!number || colon == 0 || !std::isfinite(count))
        throw reader.error(static_cast<int>(column), fmt::format("{} is not of the form word:count", shown(pair)));
      if (colon > longest_id) {
        throw reader.error(static_cast<int>(column),
                           fmt::format("a word of {} bytes; at most {} are allowed", colon, longest_id));
      }
      if (row != RowFinder::none) sink.add_word(row, pair.substr(0, colon), count);
    }
  }
  rows.check_match(file.path, report);
}

void require_lists(const FieldReader& reader, std::size_t least, std::size_t most, const std::string& what) {
  const std::size_t columns = reader.head()[0].size();
  if (columns >= least && columns <= most) return;
  throw UserError(
      fmt::format("{} has {} columns ({} between them) where {} were expected; say with --side-separator "
                  "what stands between them",
                  reader.name(), columns, reader.separator().describe(), what));
}

}  // namespace

void read_bag(const SideFile& file, data::Side side, const SideOptions& options, const Entities& entities,
              SideSet& set) {
  RowFinder rows(side, entities, options.strict);
  if (options.separator.empty() && is_count_list(FieldReader(file.path, "blanks").head()))
    return read_count_lists(file, side, rows, set);
  FieldReader reader(file.path, options.separator);
  require_lists(reader, 2, 3, "an id, a word and perhaps a weight");
  const std::size_t columns = reader.head()[0].size();
  if (reader.seems_to_have_names()) reader.skip_names();
  auto [sink, report] = set.add_bag(side, file.name, file.path, text_bytes(file.path));
  report.layout = reader.separator().describe() + (columns == 3 ? ", with weights" : "");
  while (reader.next()) {
    reader.require_columns(columns, columns == 3 ? "an id, a word and a weight" : "an id and a word");
    const std::string_view word = checked_word(reader, 1, "word");
    const float weight = columns == 3 ? read_real(reader, 2, "weight") : 1.0F;
    const Index row = rows.row(reader, 0, report);
    if (row != RowFinder::none) sink.add_word(row, word, weight);
  }
  rows.check_match(file.path, report);
}

void read_edges(const SideFile& file, const SideOptions& options, const Entities& entities, SideSet& set) {
  FieldReader reader(file.path, options.separator);
  require_lists(reader, 2, 3, "a user, a user and perhaps a weight");
  const std::size_t columns = reader.head()[0].size();
  if (reader.seems_to_have_names()) reader.skip_names();
  auto [sink, report] = set.add_graph(file.name, file.path, columns == 3, text_bytes(file.path));
  report.layout = reader.separator().describe() + (options.undirected ? ", both directions" : "");
  RowFinder rows(data::Side::users, entities, options.strict);
  while (reader.next()) {
    reader.require_columns(columns, columns == 3 ? "a user, a user and a weight" : "two users");
    const float weight = columns == 3 ? read_real(reader, 2, "weight") : 1.0F;
    // A line counts once, whichever of its two users is unknown.
    ImportReport::SideData ends;
    const Index from = rows.row(reader, 0, ends);
    const Index to = rows.row(reader, 1, ends);
    ++report.lines;
    if (from == RowFinder::none || to == RowFinder::none) {
      ++report.unknown;
    } else if (from == to) {
      ++report.loops;
    } else {
      sink.add_edge(from, to, weight);
      if (options.undirected) sink.add_edge(to, from, weight);
    }
  }
  rows.check_match(file.path, report);
}

namespace {

/// Where user, item, tag and time stand.
struct TagColumns {
  std::size_t user = 0, item = 1, tag = 2;
  std::optional<std::size_t> time;
  std::size_t width = 0;  ///< of every line
};

std::optional<std::size_t> place_of(const std::vector<std::string>& names, std::initializer_list<const char*> wanted) {
  for (std::size_t k = 0; k < names.size(); ++k) {
    for (const char* name : wanted) {
      const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
      if (std::equal(names[k].begin(), names[k].end(), name, name + std::strlen(name), same)) return k;
    }
  }
  return std::nullopt;
}

TagColumns columns_by_name(const std::vector<std::string>& names, const std::string& where) {
  TagColumns columns;
  const auto user = known_column(Role::user, names);
  const auto item = known_column(Role::item, names);
  const auto tag = place_of(names, {"tag", "tagid", "tag_id", "tags", "label", "keyword"});
  if (!user || !item || !tag || *item == *tag) {
    throw UserError(
        fmt::format("{}: the columns {} do not say which are user, item and tag: name them with "
                    "--tags-columns, for instance user,item,tag,time, with - for a column to pass over",
                    where, fmt::join(names, ", ")));
  }
  columns.user = *user;
  columns.item = *item;
  columns.tag = *tag;
  columns.time = known_column(Role::time, names);
  return columns;
}

TagColumns columns_by_option(const std::string& option, std::size_t width, const std::string& name) {
  const std::vector<std::string> names = Separator{Separator::Kind::byte, ","}.cut(option);
  const auto user = place_of(names, {"user"}), item = place_of(names, {"item"}), tag = place_of(names, {"tag"});
  const bool known = std::all_of(names.begin(), names.end(), [](const std::string& word) {
    return word == "-" || word == "user" || word == "item" || word == "tag" || word == "time";
  });
  if (!known || !user || !item || !tag)
    throw UserError(
        fmt::format("--tags-columns {} must consist of user, item, tag, perhaps time, and - for columns to "
                    "pass over",
                    option));
  if (names.size() > width)
    throw UserError(fmt::format("{} has {} columns, but --tags-columns names {}", name, width, names.size()));
  TagColumns columns;
  columns.user = *user;
  columns.item = *item;
  columns.tag = *tag;
  columns.time = place_of(names, {"time"});
  return columns;
}

TagColumns columns_by_place(std::size_t width) {
  TagColumns columns;
  if (width == 4) columns.time = 3;
  return columns;
}

TagColumns tag_columns(FieldReader& reader, const std::string& option) {
  const std::vector<std::string> first = reader.head()[0];
  require_lists(reader, 3, 1000, "a user, an item, a tag and perhaps a time");
  const bool names = reader.seems_to_have_names();
  if (names) reader.skip_names();
  TagColumns columns = !option.empty() ? columns_by_option(option, first.size(), reader.name())
                       : names         ? columns_by_name(first, reader.name())
                                       : columns_by_place(first.size());
  columns.width = first.size();
  return columns;
}

}  // namespace

void read_tags(const SideOptions& options, std::uint64_t seed, const Entities& entities, SideSet& set) {
  std::vector<std::unique_ptr<FieldReader>> readers;
  std::vector<TagColumns> columns;
  std::int64_t bytes = 0;
  bool timed = true;
  for (const std::string& path : options.tags) {
    readers.push_back(std::make_unique<FieldReader>(path, options.separator));
    columns.push_back(tag_columns(*readers.back(), options.tags_columns));
    timed = timed && columns.back().time.has_value();
    bytes += 2 * text_bytes(path);
  }
  auto [sink, report] = set.add_posts(fmt::format("{}", fmt::join(options.tags, ", ")), timed, bytes);
  report.layout = timed ? "with times" : "";
  RowFinder users(data::Side::users, entities, options.strict);
  RowFinder items(data::Side::items, entities, options.strict);
  for (std::size_t k = 0; k < readers.size(); ++k) {
    FieldReader& reader = *readers[k];
    const TagColumns& at = columns[k];
    while (reader.next()) {
      reader.require_columns(at.width, "as in the first line");
      ImportReport::SideData ends;
      const Index user = users.row(reader, at.user, ends);
      const Index item = items.row(reader, at.item, ends);
      const std::string_view tag = checked_word(reader, at.tag, "tag");
      std::optional<std::int64_t> time = 0;
      if (timed) time = to_time(reader[*at.time]);
      if (!time) {
        throw reader.error(static_cast<int>(*at.time),
                           fmt::format("the time {} is neither a number nor a date such as 2014-04-01 10:20:30",
                                       shown(reader[*at.time])));
      }
      ++report.lines;
      if (user == RowFinder::none || item == RowFinder::none) {
        ++report.unknown;
      } else {
        sink.add(user, item, tag, *time);
      }
    }
  }
  users.check_match(options.tags.front(), report);
  PostSplit split;
  split.leave_one_out = options.split_tags;
  split.seed = seed;
  if (split.leave_one_out) {
    split.user_hashes = hashes_by_row(entities.user_ids, entities.users);
    split.item_hashes = hashes_by_row(entities.item_ids, entities.items);
  }
  sink.set_split(std::move(split));
}

}  // namespace spar::data_tools
